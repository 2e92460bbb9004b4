"""What the account holds of one environment: each kind listed once, one thing looked at again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ADDRESS, ENVIRONMENT, Ownership, Tags, from_pairs
from orderops.engine.resource import Observed, Properties, Resource, State, unknown_in
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
    observed: Observed
    address: str


class Inventory:
    """One look at an environment, shared by all that ask; reading starts at once and concurrently."""

    def __init__(self, aws: Aws, environment: str, kinds: Sequence[type[Resource]], tags: Tags | None = None) -> None:
        self.aws = aws
        self.environment = environment
        self._extra = dict(tags or {})
        self._kinds = tuple(kinds)
        shared = aws.remembering()
        whole = Ownership(environment)
        self._listings = {kind: Once(partial(_list, kind, shared, whole)) for kind in kinds}
        self._index = Once(lambda: _tag_index(shared, whole))
        self._shared = shared
        self._start_reading()

    def ownership(self, resource: Resource) -> Ownership:
        """How this environment marks that resource."""
        return Ownership(self.environment, resource.address, resource.name, self._extra)

    def get(self, resource: Resource, desired: Properties) -> Observed | None:
        """The resource as the listing of its kind tells it, with detail and tags."""
        listing = self._listings.get(type(resource))
        if listing is None:
            return self.refresh(resource, desired)
        return self._complete(self._shared, resource, _pick(resource, listing()), desired, self._tags)

    def refresh(self, resource: Resource, desired: Properties) -> Observed | None:
        """The resource as it is now, by a listing of it alone."""
        found = _pick(resource, list(resource.listing(self.aws, self.ownership(resource))))
        return self._complete(self.aws, resource, found, desired, self._tags_of_thing)

    def owned(self) -> Iterator[Owned]:
        """Everything that carries our environment's tag, declared or not."""
        for kind in self._kinds:
            for observed in self._listings[kind]():
                if observed.state is State.GOING:
                    continue
                tags = self._tags(kind, observed)
                if tags.get(ENVIRONMENT) == self.environment:
                    yield Owned(
                        kind,
                        replace(observed, tags=tags),
                        tags.get(ADDRESS) or f"{kind.kind}/{observed.name or observed.id}",
                    )

    def refresh_owned(self, owned: Owned) -> Observed | None:
        """A thing found before, as it is now; None when it is gone."""
        tagged = ADDRESS in (owned.observed.tags or {})
        owner = (
            Ownership(self.environment, owned.address, owned.observed.name) if tagged else Ownership(self.environment)
        )
        again = [observed for observed in owned.kind.listing(self.aws, owner) if observed.id == owned.observed.id]
        return again[0] if again else None

    def check_owned(self, owned: Owned, observed: Observed) -> None:
        """Refuse to go on with a thing that says itself, and not only the index, that it is no longer ours."""
        environment = self._tags_of_thing(owned.kind, observed).get(ENVIRONMENT)
        if environment != self.environment:
            whose = f"belongs to {environment}" if environment else "has no owner any more"
            raise NotOurs(f"{observed.id} {whose}, and was left alone", "look whose it is; the same command goes on")

    def _complete(
        self,
        aws: Aws,
        resource: Resource,
        observed: Observed | None,
        desired: Properties,
        tags: Callable[[type[Resource], Observed], Tags],
    ) -> Observed | None:
        if observed is None:
            if unknown_in(desired):
                return None
            observed = resource.occupant(self.aws, desired)
            return observed and resource.detail(self.aws, observed)
        if observed.state in (State.GOING, State.FAILED):
            return observed
        told = tags(type(resource), observed)
        wanted = self.ownership(resource).tags
        if observed.tags is None and any(told.get(key) != value for key, value in wanted.items()):
            told = type(resource).tags(self.aws, observed)  # the index lags behind: before a doubt, ask the thing
        return resource.detail(aws, replace(observed, tags=told))

    def _tags(self, kind: type[Resource], observed: Observed) -> Tags:
        if observed.tags is not None:
            return observed.tags
        return self._index().get(observed.arn) or kind.tags(self._shared, observed)

    def _tags_of_thing(self, kind: type[Resource], observed: Observed) -> Tags:
        return observed.tags if observed.tags is not None else kind.tags(self.aws, observed)

    def _start_reading(self) -> None:
        pool = ThreadPoolExecutor(READERS, thread_name_prefix="survey")
        pool.submit(self._index)
        for listing in self._listings.values():
            pool.submit(listing)
        pool.shutdown(wait=False)


def environments_in_account(aws: Aws) -> dict[str, set[str]]:
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


def _list(kind: type[Resource], aws: Aws, owner: Ownership) -> list[Observed]:
    return list(kind.listing(aws, owner))


def _pick(resource: Resource, found: Iterable[Observed]) -> Observed | None:
    """By our address in the tags, else by name; what is going away stands back behind what is there."""
    candidates = list(found)
    for matching in (
        [observed for observed in candidates if observed.tags and observed.tags.get(ADDRESS) == resource.address],
        [observed for observed in candidates if observed.name and observed.name == resource.name],
    ):
        there = [observed for observed in matching if observed.state is not State.GOING]
        if len(there) > 1:
            raise OrderopsError(
                f"found {len(there)} times: {', '.join(observed.id for observed in there)}",
                f"look which one is used, and take the tag {ADDRESS} from the others; then the same command",
            )
        if matching:
            return (there or matching)[0]
    return None


def _tag_index(aws: Aws, owner: Ownership) -> dict[str, dict[str, str]]:
    wanted = [{"Key": ENVIRONMENT, "Values": [owner.environment]}]
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
