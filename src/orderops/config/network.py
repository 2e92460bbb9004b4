"""The VPC of an environment, and how it is cut into subnets."""

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
CARVING_BITS = 4  # sixteen subnets: three tiers of four, and four to spare


class NetworkConfig(TomlTable):
    """The VPC and its subnets: one public, one private and one isolated in every zone.

    Tiers that are not given are carved from the VPC in blocks of four subnets: public, private, isolated, and a block
    to spare. So two zones of 10.0.0.0/16 are 10.0.0.0/24 and 10.0.1.0/24, then 10.0.4.0/24 on, then 10.0.8.0/24 on.
    A third zone moves none of them, each tier is one range for a firewall, and a VPC of sixteen subnets is enough.
    """

    cidr: values.VpcCidr = "10.0.0.0/16"
    """Addresses of the VPC, /16 to /28."""
    zones: Annotated[int, between(2, 3)] = 2
    """Availability zones in use."""
    subnet_prefix: Annotated[int, between(16, 28)] = 24
    """Prefix length of the subnets that are carved from `cidr`."""
    public_subnets: list[values.SubnetCidr] | None = None
    """Subnets of the balancer and the NAT gateways, one a zone; carved when left out."""
    private_subnets: list[values.SubnetCidr] | None = None
    """Subnets of the tasks, one a zone; carved when left out."""
    isolated_subnets: list[values.SubnetCidr] | None = None
    """Subnets of the database, one a zone, without a way out; carved when left out."""
    nat_gateways: int = 1
    """1 for all zones together, or one a zone."""
    flow_log_days: values.LogDays = 7
    """Days for which the VPC's flow logs are kept."""

    def subnets(self, tier: Tier) -> list[str]:
        """The CIDRs of one tier, one a zone."""
        given = self._given(tier)
        if given is not None:
            return list(given)
        vpc, first = IPv4Network(self.cidr), TIERS.index(tier) * SUBNETS_PER_TIER
        size = 1 << (32 - self.subnet_prefix)
        return [f"{vpc.network_address + (first + zone) * size}/{self.subnet_prefix}" for zone in range(self.zones)]

    def mistakes(self) -> Iterator[Mistake]:
        """Gateways, then room for what is carved, then the subnets as a whole."""
        if self.nat_gateways not in (1, self.zones):
            yield Mistake(
                ("nat_gateways",), self.nat_gateways, f"allowed are 1 or {self.zones}, the zones", (("zones",),)
            )
        least = IPv4Network(self.cidr).prefixlen + CARVING_BITS
        if self.subnet_prefix < least and any(self._given(tier) is None for tier in TIERS):
            allowed = f"allowed are {least} to 28 in {self.cidr}"
            if least > 28:
                allowed = f"{self.cidr} is too small to carve; give all three lists of subnets, or a /24 or larger"
            yield Mistake(("subnet_prefix",), self.subnet_prefix, allowed, (("cidr",),))
        else:
            yield from self._misplaced()

    def _given(self, tier: Tier) -> list[str] | None:
        return {"public": self.public_subnets, "private": self.private_subnets, "isolated": self.isolated_subnets}[tier]

    def _misplaced(self) -> Iterator[Mistake]:
        vpc = IPv4Network(self.cidr)
        taken: dict[IPv4Network, tuple[str, int]] = {}
        # given ones come last: an overlap is then a mistake in a line that the file holds
        for tier in sorted(TIERS, key=lambda tier: self._given(tier) is not None):
            key, cidrs = f"{tier}_subnets", self.subnets(tier)
            if len(cidrs) != self.zones:
                yield Mistake((key,), cidrs, f"allowed are {self.zones} subnets, one a zone", (("zones",),))
            for place, cidr in enumerate(cidrs):
                subnet = IPv4Network(cidr)
                other = next((other for other in taken if subnet.overlaps(other)), None)
                if not subnet.subnet_of(vpc):
                    yield Mistake((key, place), cidr, f"lies outside the VPC, {self.cidr}", (("cidr",),))
                elif other:
                    theirs, at = taken[other]
                    among = ((theirs,), ("cidr",), ("zones",), ("subnet_prefix",)) if theirs != key else ()
                    yield Mistake((key, place), cidr, f"overlaps {other}, {theirs}[{at}]", among)
                taken[subnet] = (key, place)
