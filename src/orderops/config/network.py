"""The VPC of an environment, and its division into subnets."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Annotated, Literal

from orderops.config import types as values
from orderops.config.loader import Mistake, TomlTable
from orderops.config.types import between

Tier = Literal["public", "private", "isolated"]
TIERS: tuple[Tier, ...] = ("public", "private", "isolated")
SUBNETS_PER_TIER = 4
# Four bits more than the VPC's prefix give sixteen subnets: three tiers of four, and four spare ones.
DERIVED_BITS = 4


class NetworkConfig(TomlTable):
    """The VPC and its subnets: one public, one private and one isolated subnet in every zone.

    Tiers that are left out are derived from the VPC, four subnets for each: first public, then private, then isolated.
    With two zones in 10.0.0.0/16, the public subnets are 10.0.0.0/24 and 10.0.1.0/24, the private ones begin at
    10.0.4.0/24, and the isolated ones at 10.0.8.0/24. A third zone does not move existing subnets, and each tier is a
    single range for firewall rules.
    """

    cidr: values.VpcCidr = "10.0.0.0/16"
    """IPv4 range of the VPC, /16 to /28."""
    zones: values.Zones = 2
    """Number of availability zones, or their names; existing subnets stay in the zones they are in."""
    subnet_prefix: Annotated[int, between(16, 28)] = 24
    """Prefix length of the subnets that are derived from `cidr`."""
    public_subnets: list[values.SubnetCidr] | None = None
    """Subnets of the load balancer and the NAT gateways, one for each zone; derived from `cidr` when left out."""
    private_subnets: list[values.SubnetCidr] | None = None
    """Subnets of the tasks, one for each zone; derived from `cidr` when left out."""
    isolated_subnets: list[values.SubnetCidr] | None = None
    """Subnets of the database, without internet access, one for each zone; derived from `cidr` when left out."""
    nat_gateways: int = 1
    """Number of NAT gateways: 1 for all zones together, or one for each zone."""
    flow_log_days: values.LogDays = 7
    """Days for which the flow logs of the VPC are kept."""

    @property
    def zone_count(self) -> int:
        """The number of availability zones."""
        return self.zones if isinstance(self.zones, int) else len(self.zones)

    @property
    def zone_names(self) -> tuple[str, ...]:
        """The zones that the file names; () if it names none."""
        return () if isinstance(self.zones, int) else self.zones

    def subnets(self, tier: Tier) -> list[str]:
        """The CIDRs of one tier, one for each zone."""
        given = self._given(tier)
        if given is not None:
            return list(given)
        vpc, first = IPv4Network(self.cidr), TIERS.index(tier) * SUBNETS_PER_TIER
        size = 1 << (32 - self.subnet_prefix)
        return [
            f"{vpc.network_address + (first + zone) * size}/{self.subnet_prefix}" for zone in range(self.zone_count)
        ]

    def mistakes(self) -> Iterator[Mistake]:
        """Check the gateways, then the room for derived subnets, then all subnets together."""
        if self.nat_gateways not in (1, self.zone_count):
            allowed = f"must be 1 or {self.zone_count}, the number of zones"
            yield Mistake(("nat_gateways",), self.nat_gateways, allowed, (("zones",),))
        least = IPv4Network(self.cidr).prefixlen + DERIVED_BITS
        if self.subnet_prefix < least and any(self._given(tier) is None for tier in TIERS):
            allowed = f"must be {least} to 28 in {self.cidr}"
            if least > 28:
                allowed = f"{self.cidr} is too small to derive subnets; set all three lists, or a /24 or larger"
            yield Mistake(("subnet_prefix",), self.subnet_prefix, allowed, (("cidr",),))
        else:
            yield from self._subnet_mistakes()

    def _given(self, tier: Tier) -> list[str] | None:
        return {"public": self.public_subnets, "private": self.private_subnets, "isolated": self.isolated_subnets}[tier]

    def _subnet_mistakes(self) -> Iterator[Mistake]:
        vpc = IPv4Network(self.cidr)
        taken: dict[IPv4Network, tuple[str, int]] = {}
        # Subnets from the file come last, so that an overlap is reported for a line that the file has.
        for tier in sorted(TIERS, key=lambda tier: self._given(tier) is not None):
            key, cidrs = f"{tier}_subnets", self.subnets(tier)
            if len(cidrs) != self.zone_count:
                yield Mistake((key,), cidrs, f"must be {self.zone_count} subnets, one for each zone", (("zones",),))
            for index, cidr in enumerate(cidrs):
                subnet = IPv4Network(cidr)
                other = next((other for other in taken if subnet.overlaps(other)), None)
                if not subnet.subnet_of(vpc):
                    yield Mistake((key, index), cidr, f"is outside the VPC, {self.cidr}", (("cidr",),))
                elif other:
                    theirs, at = taken[other]
                    among = ((theirs,), ("cidr",), ("zones",), ("subnet_prefix",)) if theirs != key else ()
                    yield Mistake((key, index), cidr, f"overlaps {other}, {theirs}[{at}]", among)
                taken[subnet] = (key, index)
