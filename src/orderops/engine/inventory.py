"""The inventory: all resources of an environment, each kind listed once, and fresh reads of single ones."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Generic, TypeVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ADDRESS, ENVIRONMENT, Ownership, Tags, from_pairs
from orderops.engine.features import FeatureNotes
from orderops.engine.resource import Observed, Properties, Resource, State, unknown_in
from orderops.errors import AwsError, NotOurs, OrderopsError
from orderops.frozen import Frozen, replace

READERS = 16
# Services whose tags come from the tagging API, in one call for all; EC2's listings include the tags.
# Those of AWS WAF and API Gateway are there to be found, see `engine.features`.
INDEXED = [
    "acm",
    "apigateway",
    "cloudwatch",
    "ecr",
    "elasticloadbalancing",
    "logs",
    "rds",
    "s3",
    "sns",
    "sqs",
    "wafv2",
]
# Parts of the ARNs of a network or a database. Only an environment that has one of them exists.
EXISTING = (":vpc/", ":db:")

T = TypeVar("T")
Key = tuple[str, str]
"""Address and AWS's id of a resource. The address alone is a tag, which several resources may carry."""


class Once(Generic[T]):
    """A value computed by the first thread that needs it, while others wait; a failure is computed again."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        # A list, since None is a possible value.
        self._value: list[T] = []

    def __call__(self) -> T:
        with self._lock:
            if not self._value:
                self._value.append(self._make())
            return self._value[0]


class Owned(Frozen):
    """An existing resource with our environment's tag."""

    kind: type[Resource]
    observed: Observed
    address: str

    @property
    def key(self) -> Key:
        """What tells it apart from every other resource."""
        return self.address, self.observed.id

    @property
    def own_name(self) -> str:
        """Its name in AWS, whatever its tags say; its id where AWS gives it no name."""
        return self.observed.name or self.observed.id

    def is_named_by(self, names: Collection[str]) -> bool:
        """Whether it is meant by one of these: its own name or id, or its kind with that name."""
        return not {self.own_name, self.observed.id, f"{self.kind.kind}/{self.own_name}"}.isdisjoint(names)


class Inventory:
    """One reading of an environment, shared by all resources; starts at once, all kinds concurrently."""

    def __init__(
        self,
        aws: Aws,
        environment: str,
        kinds: Sequence[type[Resource]],
        tags: Tags | None = None,
        shared: Aws | None = None,
        features: Callable[[], Collection[str]] | None = None,
    ) -> None:
        """`tags` are those that each resource has besides; `shared` is a view of `aws` that sends equal reads once.

        With the declared `features`, kinds of others are listed only if the environment may have some; else all are.
        """
        self.aws = aws
        self.environment = environment
        self._extra = dict(tags or {})
        self._kinds = tuple(kinds)
        shared = shared or aws.remembering()
        whole = Ownership(environment)
        self._listings = {kind: Once(partial(_list, kind, shared, whole)) for kind in kinds}
        self._index = Once(lambda: tag_index(shared, whole))
        self._shared = shared
        self.notes = features and FeatureNotes(Once(self._networks), features, self._index)
        self._may_have = {
            kind.feature: Once(partial(self.notes.may_have, kind.feature))
            for kind in kinds
            if self.notes and kind.feature
        }
        self._start_reading()

    def ownership(self, resource: Resource) -> Ownership:
        """The ownership tags of a resource in this environment."""
        return Ownership(self.environment, resource.address, resource.name, {**self._extra, **resource.own_tags})

    def get(self, resource: Resource, desired: Properties) -> Observed | None:
        """The resource from the shared listing of its kind, with detail and tags; None if it does not exist."""
        listing = self._listings.get(type(resource))
        if listing is None:
            return self.refresh(resource, desired)
        found = _pick(resource, listing())
        if found is None and resource.lists_late:
            return self.refresh(resource, desired)
        return self._complete(self._shared, resource, found, desired, self._tags)

    def refresh(self, resource: Resource, desired: Properties) -> Observed | None:
        """The resource as it is now, from a listing of it alone."""
        found = _pick(resource, list(resource.listing(self.aws, self.ownership(resource))))
        return self._complete(self.aws, resource, found, desired, self._own_tags)

    def owned(self, kinds: Sequence[type[Resource]] | None = None) -> Iterator[Owned]:
        """Every resource with our environment's tag, declared or not; with `kinds`, only of those."""
        for kind in self._kinds if kinds is None else kinds:
            for observed in self._present(kind):
                # AWS lists some resources for an hour after their deletion, such as NAT gateways.
                if observed.state is State.GOING:
                    continue
                tags = self._listed_tags(kind, observed)
                if tags.get(ENVIRONMENT) == self.environment:
                    yield Owned(
                        kind,
                        replace(observed, tags=tags),
                        tags.get(ADDRESS) or f"{kind.kind}/{observed.name or observed.id}",
                    )

    def _present(self, kind: type[Resource]) -> list[Observed]:
        """The listing of a kind; none of a feature that the environment does not have."""
        if kind.feature in self._may_have and not self._may_have[kind.feature]():
            return []
        return self._listings[kind]()

    def _networks(self) -> list[Tags]:
        kinds = [kind for kind in self._kinds if kind.notes_features]
        return [observed.tags or {} for kind in kinds for observed in self._listings[kind]()]

    def existing(self, declared: Iterable[Resource]) -> Iterator[Owned]:
        """Every resource with our environment's tag. Of a kind that lists late, each is read by its name.

        So a deleted resource that AWS still lists is left out, and a declared one that AWS does not list yet is found.
        """
        listed = list(self.owned())
        yield from (owned for owned in listed if not owned.kind.lists_late or self.refresh_owned(owned))
        addresses = {owned.address for owned in listed}
        for resource in declared:
            if resource.lists_late and resource.address not in addresses:
                yield from self._owned_by_name(resource)

    def _owned_by_name(self, resource: Resource) -> Iterator[Owned]:
        for observed in resource.listing(self.aws, self.ownership(resource)):
            tags = self._own_tags(type(resource), observed)
            if tags.get(ENVIRONMENT) == self.environment and observed.state is not State.GOING:
                yield Owned(type(resource), replace(observed, tags=tags), tags.get(ADDRESS, resource.address))

    def refresh_owned(self, owned: Owned) -> Observed | None:
        """A resource found before, as it is now; None if it is gone."""
        tagged = ADDRESS in (owned.observed.tags or {})
        owner = (
            Ownership(self.environment, owned.address, owned.observed.name) if tagged else Ownership(self.environment)
        )
        again = [observed for observed in owned.kind.listing(self.aws, owner) if observed.id == owned.observed.id]
        return again[0] if again else None

    def check_owned(self, owned: Owned, observed: Observed) -> None:
        """Raise NotOurs if the tags on the resource itself, and not only in the index, are no longer ours."""
        environment = self._own_tags(owned.kind, observed).get(ENVIRONMENT)
        if environment != self.environment:
            owner = f"belongs to {environment}" if environment else "no longer has an owner"
            raise NotOurs(f"{observed.id} {owner}; it was not deleted", "check its tags, then re-run this command")

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
        known = tags(type(resource), observed)
        wanted = self.ownership(resource).tags
        if observed.tags is None and any(known.get(key) != value for key, value in wanted.items()):
            # The tag index lags behind: before tags count as missing, they are read from the resource itself.
            known = type(resource).tags(self.aws, observed)
        return resource.detail(aws, replace(observed, tags=known))

    def _tags(self, kind: type[Resource], observed: Observed) -> Tags:
        if observed.tags is not None:
            return observed.tags
        return self._index().get(observed.arn) or kind.tags(self._shared, observed)

    def _listed_tags(self, kind: type[Resource], observed: Observed) -> Tags:
        """The tags of a listed resource; none of one that a late listing shows although it is gone."""
        try:
            return self._tags(kind, observed)
        except AwsError as error:
            if kind.lists_late and error.code in kind.retryable_errors:
                return {}
            raise

    def _own_tags(self, kind: type[Resource], observed: Observed) -> Tags:
        return observed.tags if observed.tags is not None else kind.tags(self.aws, observed)

    def _start_reading(self) -> None:
        pool = ThreadPoolExecutor(READERS, thread_name_prefix="inventory")
        pool.submit(self._index)
        # Those of features last, since they wait for the notes.
        for kind in sorted(self._listings, key=lambda kind: kind.feature is not None):
            pool.submit(self._present, kind)
        # Does not wait: the first resource can be planned while other kinds are still being listed.
        pool.shutdown(wait=False)


def environments_in_account(aws: Aws) -> dict[str, set[str]]:
    """The environments in this account and region, each with the addresses of its resources.

    Only those with a network or a database, since the tag index lists deleted resources for a while.
    """
    found: dict[str, set[str]] = {}
    existing: set[str] = set()
    wanted = [{"Key": ENVIRONMENT}]
    call = aws.resourcegroupstaggingapi.get_resources
    for raw in every(call, "ResourceTagMappingList", TagFilters=wanted, ResourcesPerPage=100):
        tags = from_pairs(raw["Tags"])
        found.setdefault(tags[ENVIRONMENT], set()).add(tags.get(ADDRESS, raw["ResourceARN"]))
        if any(mark in raw["ResourceARN"] for mark in EXISTING):
            existing.add(tags[ENVIRONMENT])
    return {environment: found[environment] for environment in sorted(existing)}


def _list(kind: type[Resource], aws: Aws, owner: Ownership) -> list[Observed]:
    return list(kind.listing(aws, owner))


def _pick(resource: Resource, found: Iterable[Observed]) -> Observed | None:
    """The resource with our address in its tags, else with its name; one being deleted only if there is no other."""
    candidates = list(found)
    for matching in (
        [observed for observed in candidates if observed.tags and observed.tags.get(ADDRESS) == resource.address],
        [observed for observed in candidates if observed.name and observed.name == resource.name],
    ):
        present = [observed for observed in matching if observed.state is not State.GOING]
        if len(present) > 1:
            raise OrderopsError(
                f"found {len(present)} times: {', '.join(observed.id for observed in present)}",
                f"find out which one is used, remove the tag {ADDRESS} from the others, then re-run this command",
            )
        if matching:
            return (present or matching)[0]
    return None


def tag_index(aws: Aws, owner: Ownership) -> dict[str, dict[str, str]]:
    """The tags of an environment's resources by ARN, as the tagging API knows them: it may lag by minutes."""
    wanted = [{"Key": ENVIRONMENT, "Values": [owner.environment]}]
    call = aws.resourcegroupstaggingapi.get_resources
    found = every(call, "ResourceTagMappingList", TagFilters=wanted, ResourceTypeFilters=INDEXED, ResourcesPerPage=100)
    return {mapping["ResourceARN"]: from_pairs(mapping["Tags"]) for mapping in found}
