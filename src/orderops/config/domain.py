"""The table [domain] of an environment file: the name under which clients reach the services, by HTTPS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from orderops.config import types as values
from orderops.config.loader import Key, Mistake, TomlTable
from orderops.config.types import between, counted

ELSEWHERE = "elsewhere"
"""As the zone: another account or company serves it, and its records are made by hand."""
LAPTOP_ZONE = "localhost"
"""The zone of the laptop: every resolver leads the names in it to this machine."""
# ACM's quota "Domain names per certificate" is 10 by default.
MOST_NAMES = 10
# "Quotas" in the ACM user guide: DomainName, which becomes the common name, has at most 64 characters.
LONGEST_FIRST = 64
# Each client range is a rule for each of the two ports, and a security group has at most 60.
MOST_CIDRS = 30
# "Quotas for your Application Load Balancers": condition values per rule.
MOST_VALUES = 5
YEAR = 31_536_000


class DomainConfig(TomlTable):
    """The name of the environment: HTTPS with a certificate of ACM, and the records of Route 53. With `[api]`, it leads
    to the API."""

    name: values.DomainName | None = None
    """Name of the environment, such as `orders.example.com`; when left out, clients use HTTP and AWS's name."""
    zone: values.ZoneName | None = None
    """Public hosted zone of Route 53 in this account that holds the names; `elsewhere` to make the records by hand."""
    names: Annotated[list[values.DomainName], counted(0, MOST_NAMES - 1)] = Field(default_factory=list)
    """Further names for the same services and on the same certificate."""
    port: values.Port = 443
    """Port of the HTTPS listener; 443 with `[api]`."""
    hsts_seconds: Annotated[int, between(0, 2 * YEAR)] = 0
    """Seconds for which browsers use HTTPS only (header Strict-Transport-Security); 0 for none, as with `[api]`."""

    @property
    def all_names(self) -> tuple[str, ...]:
        """The name and the further names; empty without a name."""
        return (self.name, *self.names) if self.name else ()

    @property
    def hosted_zone(self) -> str:
        """The name of the hosted zone; "" if the records are made by hand."""
        return "" if self.zone in (None, ELSEWHERE) else str(self.zone)

    @property
    def redirected(self) -> list[tuple[str, ...]]:
        """The further names by the rules that redirect each of them to itself."""
        return [tuple(self.names[start : start + MOST_VALUES]) for start in range(0, len(self.names), MOST_VALUES)]

    def mistakes(self) -> Iterator[Mistake]:
        """Names outside the zone, twice the same name, and one that is too long for a certificate."""
        if not self.name:
            if self.zone or self.names or self.hsts_seconds:
                yield Mistake(("name",), self.name, "is missing: the name of the environment, or leave out [domain]")
            return
        if not self.zone:
            rule = f'is missing: the hosted zone that holds the name, or zone = "{ELSEWHERE}"'
            yield Mistake(("zone",), self.zone, rule)
        if len(self.name) > LONGEST_FIRST:
            rule = f"has {len(self.name)} characters; ACM takes {LONGEST_FIRST} as the first name of a certificate"
            yield Mistake(("name",), self.name, f"{rule}: use a shorter one, and this one in names")
        for index, name in enumerate(self.names):
            if name == self.name:
                yield Mistake(("names", index), name, "is the name already; list only further names", (("name",),))
        yield from self._outside()

    def _outside(self) -> Iterator[Mistake]:
        keys: list[Key] = [("name",), *(("names", index) for index in range(len(self.names)))]
        for key, name in zip(keys, self.all_names, strict=True):
            if self.hosted_zone and name != self.hosted_zone and not name.endswith(f".{self.hosted_zone}"):
                rule = f'is not in the zone {self.hosted_zone}; give its own zone, or zone = "{ELSEWHERE}"'
                yield Mistake(key, name, rule, (("zone",),))

    def beside(self, port: int, cidrs: int, *, emulated: bool) -> Iterator[Mistake]:
        """What does not fit the load balancer's `port` for HTTP, the number of its client ranges, or the laptop."""
        if self.name and emulated and self.zone != LAPTOP_ZONE:
            rule = f'is not on this laptop; give a name such as orders.{LAPTOP_ZONE}, and zone = "{LAPTOP_ZONE}"'
            yield Mistake(("domain", "zone"), self.zone, rule, (("emulated",),))
        if self.name and self.port == port:
            rule = "is the port of the HTTP listener, which redirects to this one; use another port"
            yield Mistake(("domain", "port"), self.port, rule, (("balancer", "port"),))
        if self.name and cidrs > MOST_CIDRS:
            rule = f"needs rules for two ports; with [domain], at most {MOST_CIDRS} ranges fit into a security group"
            yield Mistake(("balancer", "allowed_cidrs"), f"{cidrs} ranges", rule, (("domain",),))
