"""Whose a thing is: the tags that every create sets, and how listings seek them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

ENVIRONMENT = "orderops:environment"
ADDRESS = "orderops:address"
ROLE = "orderops:role"
"""What a thing is for, where that is not what its environment declares: a restored copy, or what was primary before."""

Tags = Mapping[str, str]


class Owner(StrEnum):
    """What the tags of a thing say of us and it."""

    OWNED = "ours"
    ADOPTABLE = "adoptable"
    FOREIGN = "foreign"


@dataclass(frozen=True)
class Ownership:
    """What we seek and what we mark: a whole environment, or one resource of it when `address` is given."""

    environment: str
    address: str = ""
    name: str = ""
    extra: Tags = field(default_factory=dict)

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the one resource claimed."""
        return {**self.extra, "Name": self.name, ENVIRONMENT: self.environment, ADDRESS: self.address}

    @property
    def pairs(self) -> list[dict[str, str]]:
        """The tags as most AWS calls take them."""
        return to_pairs(self.tags)

    @property
    def prefix(self) -> str:
        """How the names begin that we seek; a whole name when one resource is claimed."""
        return self.name or f"orderops-{self.environment}-"

    def path(self, form: str = "/orderops/{}/") -> str:
        """How path-like names begin that we seek, such as those of log groups."""
        return self.name or form.format(self.environment)

    def named(self, kind: str, name: str) -> dict[str, str]:
        """What the tags of a thing would say, for one that AWS keeps no tags for and whose name is ours."""
        return {ENVIRONMENT: self.environment, ADDRESS: f"{kind}/{name}"}

    @property
    def filters(self) -> list[dict[str, Any]]:
        """EC2 filters for what is tagged as ours."""
        wanted = [{"Name": f"tag:{ENVIRONMENT}", "Values": [self.environment]}]
        if self.address:
            wanted.append({"Name": f"tag:{ADDRESS}", "Values": [self.address]})
        return wanted

    def specification(self, kind: str) -> list[dict[str, Any]]:
        """EC2's TagSpecifications for a thing of that kind."""
        return [{"ResourceType": kind, "Tags": self.pairs}]

    def owner(self, tags: Tags) -> Owner:
        """Whose a thing with these tags is, seen from this claim."""
        environment, address = tags.get(ENVIRONMENT), tags.get(ADDRESS)
        if environment is None:
            return Owner.ADOPTABLE
        ours = environment == self.environment and address in (None, self.address)
        return Owner.OWNED if ours else Owner.FOREIGN


def to_pairs(tags: Tags, key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    """A list of key and value, in an order that never changes."""
    return [{key: name, value: text} for name, text in sorted(tags.items())]


def from_pairs(pairs: Iterable[Mapping[str, str]] | None, key: str = "Key", value: str = "Value") -> dict[str, str]:
    """Tags from AWS's list of key and value, without AWS's own."""
    return {pair[key]: pair.get(value, "") for pair in pairs or () if not pair[key].startswith("aws:")}
