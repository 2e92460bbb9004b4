"""Ownership tags: set on every created resource, used to find it again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from orderops.frozen import Frozen, field

ENVIRONMENT = "orderops:environment"
ADDRESS = "orderops:address"
ROLE = "orderops:role"
"""The role of a resource that its environment does not declare: a restored instance, or the previous primary."""

FEATURES = "orderops:features"
"""On the network of an environment: which features beyond the ordinary it may have; see `engine.features`."""

Tags = Mapping[str, str]


class Owner(StrEnum):
    """Who a resource belongs to by its tags: this environment, no environment, or another one."""

    OWNED = "ours"
    ADOPTABLE = "adoptable"
    FOREIGN = "foreign"


class Ownership(Frozen):
    """What to find and how to tag it: a whole environment, or one resource of it if `address` is given."""

    environment: str
    address: str = ""
    name: str = ""
    extra: Tags = field(default_factory=dict)

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the one resource."""
        # `extra` first: a tag of the environment file must not replace an ownership tag.
        return {**self.extra, "Name": self.name, ENVIRONMENT: self.environment, ADDRESS: self.address}

    @property
    def pairs(self) -> list[dict[str, str]]:
        """The tags in the form that most AWS calls take."""
        return to_pairs(self.tags)

    @property
    def prefix(self) -> str:
        """The prefix of all names in the environment, or the whole name of the one resource."""
        return self.name or f"orderops-{self.environment}-"

    def path(self, form: str = "/orderops/{}/") -> str:
        """Return the prefix of names that are paths, such as those of log groups."""
        return self.name or form.format(self.environment)

    def named(self, kind: str, name: str) -> dict[str, str]:
        """Return the ownership tags that a name implies, for a resource that has no tags in AWS."""
        return {ENVIRONMENT: self.environment, ADDRESS: f"{kind}/{name}"}

    @property
    def filters(self) -> list[dict[str, Any]]:
        """EC2 filters that find what is owned."""
        filters = [{"Name": f"tag:{ENVIRONMENT}", "Values": [self.environment]}]
        if self.address:
            filters.append({"Name": f"tag:{ADDRESS}", "Values": [self.address]})
        return filters

    def specification(self, kind: str) -> list[dict[str, Any]]:
        """Return EC2's TagSpecifications for a resource of this kind."""
        return [{"ResourceType": kind, "Tags": self.pairs}]

    def has(self, tags: Tags) -> bool:
        """Whether these tags are those of what is to be found."""
        return tags.get(ENVIRONMENT) == self.environment and self.address in ("", tags.get(ADDRESS))

    def owner(self, tags: Tags) -> Owner:
        """Return who a resource with these tags belongs to."""
        environment, address = tags.get(ENVIRONMENT), tags.get(ADDRESS)
        if environment is None:
            return Owner.ADOPTABLE
        # A tag may have been removed by hand; the environment alone still proves the owner.
        owned = environment == self.environment and address in (None, self.address)
        return Owner.OWNED if owned else Owner.FOREIGN


def to_pairs(tags: Tags, key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    """Return tags as AWS's list of key and value, sorted."""
    return [{key: name, value: text} for name, text in sorted(tags.items())]


def from_pairs(pairs: Iterable[Mapping[str, str]] | None, key: str = "Key", value: str = "Value") -> dict[str, str]:
    """Return tags from AWS's list of key and value, without those that AWS itself sets."""
    return {pair[key]: pair.get(value, "") for pair in pairs or () if not pair[key].startswith("aws:")}
