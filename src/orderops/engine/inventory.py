"""What the account holds of one environment: each kind listed once, one thing looked at again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ADDRESS, ENVIRONMENT, Claim, Tags, from_pairs
from orderops.engine.resource import Live, Properties, Resource, State, unknown_in
from orderops.errors import NotOurs, OrderopsError

READERS = 16
# What the tag index may answer for; EC2 tells its tags in the listing.
INDEXED = ["cloudwatch", "ecr", "elasticloadbalancing", "logs", "rds", "sns", "sqs"]
STANDING = (":vpc/", ":db:")
"""What ARNs hold of an environment that is there."""

T = TypeVar("T")


class Once(Generic[T]):
    """A value made by the first thread that asks, and waited for by the others; a failure is made anew."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._value: list[T] = []

    def __call__(self) -> T:
        with self._lock:
            if not self._value:
                self._value.append(self._make())
            return self._value[0]


@dataclass(frozen=True)
class Owned:
    """A thing that carries our environment's tag."""

    kind: type[Resource]
    live: Live
    address: str


class Survey:
    """One look at an environment, shared by all that ask; reading starts at once and concurrently."""

    def __init__(self, aws: Aws, environment: str, kinds: Sequence[type[Resource]], tags: Tags | None = None) -> None:
        self.aws = aws
        self.environment = environment
        self._extra = dict(tags or {})
        self._kinds = tuple(kinds)
        shared = aws.remembering()
        whole = Claim(environment)
        self._listings = {kind: Once(partial(_list, kind, shared, whole)) for kind in kinds}
        self._index = Once(lambda: _tag_index(shared, whole))
        self._shared = shared
        self._start_reading()

    def claim(self, resource: Resource) -> Claim:
        """How this environment marks that resource."""
        return Claim(self.environment, resource.address, resource.name, self._extra)

    def find(self, resource: Resource, desired: Properties) -> Live | None:
        """The resource as the listing of its kind tells it, with detail and tags."""
        listing = self._listings.get(type(resource))
        if listing is None:
            return self.look_again(resource, desired)
        return self._complete(self._shared, resource, _pick(resource, listing()), desired, self._tags)

    def look_again(self, resource: Resource, desired: Properties) -> Live | None:
        """The resource as it is now, by a listing of it alone."""
        found = _pick(resource, list(resource.listing(self.aws, self.claim(resource))))
        return self._complete(self.aws, resource, found, desired, self._tags_of_thing)

    def owned(self) -> Iterator[Owned]:
        """Everything that carries our environment's tag, declared or not."""
        for kind in self._kinds:
            for live in self._listings[kind]():
                if live.state is State.GOING:
                    continue
                tags = self._tags(kind, live)
                if tags.get(ENVIRONMENT) == self.environment:
                    yield Owned(
                        kind, replace(live, tags=tags), tags.get(ADDRESS) or f"{kind.kind}/{live.name or live.id}"
                    )

    def look_again_at(self, owned: Owned) -> Live | None:
        """A thing found before, as it is now; None when it is gone."""
        tagged = ADDRESS in (owned.live.tags or {})
        claim = Claim(self.environment, owned.address, owned.live.name) if tagged else Claim(self.environment)
        again = [live for live in owned.kind.listing(self.aws, claim) if live.id == owned.live.id]
        return again[0] if again else None

    def check_ours(self, owned: Owned, live: Live) -> None:
        """Refuse to go on with a thing that says itself, and not only the index, that it is no longer ours."""
        environment = self._tags_of_thing(owned.kind, live).get(ENVIRONMENT)
        if environment != self.environment:
            whose = f"belongs to {environment}" if environment else "has no owner any more"
            raise NotOurs(f"{live.id} {whose}, and was left alone", "look whose it is; the same command goes on")

    def _complete(
        self,
        aws: Aws,
        resource: Resource,
        live: Live | None,
        desired: Properties,
        tags: Callable[[type[Resource], Live], Tags],
    ) -> Live | None:
        if live is None:
            if unknown_in(desired):
                return None
            live = resource.place(self.aws, desired)
            return live and resource.detail(self.aws, live)
        if live.state in (State.GOING, State.FAILED):
            return live
        told = tags(type(resource), live)
        wanted = self.claim(resource).tags
        if live.tags is None and any(told.get(key) != value for key, value in wanted.items()):
            told = type(resource).tags(self.aws, live)  # the index lags behind: before a doubt, ask the thing
        return resource.detail(aws, replace(live, tags=told))

    def _tags(self, kind: type[Resource], live: Live) -> Tags:
        if live.tags is not None:
            return live.tags
        return self._index().get(live.arn) or kind.tags(self._shared, live)

    def _tags_of_thing(self, kind: type[Resource], live: Live) -> Tags:
        return live.tags if live.tags is not None else kind.tags(self.aws, live)

    def _start_reading(self) -> None:
        pool = ThreadPoolExecutor(READERS, thread_name_prefix="survey")
        pool.submit(self._index)
        for listing in self._listings.values():
            pool.submit(listing)
        pool.shutdown(wait=False)


def environments_in(aws: Aws) -> dict[str, set[str]]:
    """The environments in this account and region, each with the addresses of what it has.

    Only those that have a network or a database: the index remembers parts of others that are gone.
    """
    found: dict[str, set[str]] = {}
    standing: set[str] = set()
    wanted = [{"Key": ENVIRONMENT}]
    call = aws.resourcegroupstaggingapi.get_resources
    for raw in every(call, "ResourceTagMappingList", TagFilters=wanted, ResourcesPerPage=100):
        tags = from_pairs(raw["Tags"])
        found.setdefault(tags[ENVIRONMENT], set()).add(tags.get(ADDRESS, raw["ResourceARN"]))
        if any(mark in raw["ResourceARN"] for mark in STANDING):
            standing.add(tags[ENVIRONMENT])
    return {environment: found[environment] for environment in sorted(standing)}


def _list(kind: type[Resource], aws: Aws, claim: Claim) -> list[Live]:
    return list(kind.listing(aws, claim))


def _pick(resource: Resource, lives: Iterable[Live]) -> Live | None:
    """By our address in the tags, else by name; what is going away stands back behind what is there."""
    lives = list(lives)
    for found in (
        [live for live in lives if live.tags and live.tags.get(ADDRESS) == resource.address],
        [live for live in lives if live.name and live.name == resource.name],
    ):
        there = [live for live in found if live.state is not State.GOING]
        if len(there) > 1:
            raise OrderopsError(
                f"found {len(there)} times: {', '.join(live.id for live in there)}",
                f"look which one is used, and take the tag {ADDRESS} from the others; then the same command",
            )
        if found:
            return (there or found)[0]
    return None


def _tag_index(aws: Aws, claim: Claim) -> dict[str, dict[str, str]]:
    wanted = [{"Key": ENVIRONMENT, "Values": [claim.environment]}]
    call = aws.resourcegroupstaggingapi.get_resources
    found = every(
        call,
        "ResourceTagMappingList",
        TagFilters=wanted,
        ResourceTypeFilters=INDEXED,
        ResourcesPerPage=100,
        TagsPerPage=500,
    )
    return {each["ResourceARN"]: from_pairs(each["Tags"]) for each in found}
