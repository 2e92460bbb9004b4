"""NAT gateway: the way out for subnets that nobody may reach from outside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ADDRESS, ENVIRONMENT, Claim, Tags, from_pairs, to_pairs
from orderops.engine.resource import Live, Outputs, Properties, Resource, State
from orderops.resources.ec2_address import Ec2Address
from orderops.resources.ec2_internet_gateway import Ec2InternetGateway
from orderops.resources.ec2_subnet import Ec2Subnet

STATES = {"pending": State.PENDING, "available": State.READY, "deleting": State.GOING, "failed": State.FAILED}
IN_THESE_STATES = [{"Name": "state", "Values": sorted(STATES)}]
"""Deleted gateways stay listed for an hour, tags and all; they are not there."""


@dataclass(frozen=True, eq=False)
class Ec2NatGateway(Resource):
    """Stands in a public `subnet` with the address `elastic_ip`; it fails when `gateway` is not attached before it."""

    subnet: Ec2Subnet
    elastic_ip: Ec2Address
    gateway: Ec2InternetGateway

    kind: ClassVar[str] = "ec2-nat-gateway"
    passing: ClassVar[frozenset[str]] = frozenset(
        {
            "NatGatewayNotFound",
            "InvalidSubnetID.NotFound",
            "InvalidSubnetId.NotFound",
            "InvalidAllocationID.NotFound",
            "DependencyViolation",
        }
    )
    immutable: ClassVar[frozenset[str]] = frozenset({"SubnetId", "AllocationId", "ConnectivityType"})
    usual: ClassVar[timedelta] = timedelta(minutes=2)

    @classmethod
    def listing(cls, aws: Aws, claim: Claim) -> Iterator[Live]:
        filters = [*claim.filters, *IN_THESE_STATES]
        lives = [_live(raw) for raw in every(aws.ec2.describe_nat_gateways, "NatGateways", Filter=filters)]
        lives = [live for live in lives if _claimed(claim, live)]
        standing = {_address(live) for live in lives if live.state is not State.FAILED}
        for live in lives:
            # a failed one stays listed for an hour: it matters only while nothing stands in its place
            if live.state is not State.FAILED or _address(live) not in standing:
                yield live

    def place(self, aws: Aws, desired: Properties) -> Live | None:
        there = [
            {"Name": "subnet-id", "Values": [desired["SubnetId"]]},
            {"Name": "state", "Values": ["pending", "available"]},
        ]
        for live in map(_live, every(aws.ec2.describe_nat_gateways, "NatGateways", Filter=there)):
            if live.properties["AllocationId"] == desired["AllocationId"]:
                return live
        return None

    @classmethod
    def retag(cls, aws: Aws, live: Live, tags: Tags) -> None:
        aws.ec2.create_tags(Resources=[live.id], Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {
            "SubnetId": outputs[self.subnet].id,
            "AllocationId": outputs[self.elastic_ip].id,
            "ConnectivityType": "public",
        }

    def create(self, aws: Aws, desired: Properties, claim: Claim) -> None:
        aws.ec2.create_nat_gateway(**desired, TagSpecifications=claim.specification("natgateway"))

    def update(self, aws: Aws, live: Live, changed: Properties) -> None:
        """Nothing of a NAT gateway changes."""

    @classmethod
    def delete(cls, aws: Aws, live: Live) -> None:
        aws.ec2.delete_nat_gateway(NatGatewayId=live.id)


def _claimed(claim: Claim, live: Live) -> bool:
    """What the tag filters say, said again: the emulator leaves them out for NAT gateways."""
    tags = live.tags or {}
    return tags.get(ENVIRONMENT) == claim.environment and claim.address in ("", _address(live))


def _address(live: Live) -> str | None:
    return (live.tags or {}).get(ADDRESS)


def _live(raw: dict[str, Any]) -> Live:
    tags = from_pairs(raw.get("Tags"))
    addresses = raw.get("NatGatewayAddresses") or [{}]
    primary = next((each for each in addresses if each.get("IsPrimary")), addresses[0])
    told = {
        "SubnetId": raw.get("SubnetId"),
        "AllocationId": primary.get("AllocationId"),
        "ConnectivityType": raw.get("ConnectivityType", "public"),
        "PublicIp": primary.get("PublicIp"),
    }
    status = ": ".join(filter(None, [raw["State"], raw.get("FailureMessage")]))
    return Live(raw["NatGatewayId"], told, tags, name=tags.get("Name", ""), state=STATES[raw["State"]], status=status)
