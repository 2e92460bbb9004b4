"""NAT gateway: the way out for subnets that nobody may reach from outside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ADDRESS, ENVIRONMENT, Ownership, Tags, from_pairs, to_pairs
from orderops.engine.resource import Observed, Outputs, Properties, Resource, State
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
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {
            "NatGatewayNotFound",
            "InvalidSubnetID.NotFound",
            "InvalidSubnetId.NotFound",
            "InvalidAllocationID.NotFound",
            "DependencyViolation",
        }
    )
    immutable: ClassVar[frozenset[str]] = frozenset({"SubnetId", "AllocationId", "ConnectivityType"})
    typical_duration: ClassVar[timedelta] = timedelta(minutes=2)

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        filters = [*owner.filters, *IN_THESE_STATES]
        found = [_live(raw) for raw in every(aws.ec2.describe_nat_gateways, "NatGateways", Filter=filters)]
        found = [observed for observed in found if _claimed(owner, observed)]
        standing = {_address(observed) for observed in found if observed.state is not State.FAILED}
        for observed in found:
            # a failed one stays listed for an hour: it matters only while nothing stands in its place
            if observed.state is not State.FAILED or _address(observed) not in standing:
                yield observed

    def occupant(self, aws: Aws, desired: Properties) -> Observed | None:
        there = [
            {"Name": "subnet-id", "Values": [desired["SubnetId"]]},
            {"Name": "state", "Values": ["pending", "available"]},
        ]
        for observed in map(_live, every(aws.ec2.describe_nat_gateways, "NatGateways", Filter=there)):
            if observed.properties["AllocationId"] == desired["AllocationId"]:
                return observed
        return None

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.ec2.create_tags(Resources=[observed.id], Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {
            "SubnetId": outputs[self.subnet].id,
            "AllocationId": outputs[self.elastic_ip].id,
            "ConnectivityType": "public",
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.ec2.create_nat_gateway(**desired, TagSpecifications=owner.specification("natgateway"))

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        """Nothing of a NAT gateway changes."""

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.ec2.delete_nat_gateway(NatGatewayId=observed.id)


def _claimed(owner: Ownership, observed: Observed) -> bool:
    """What the tag filters say, said again: the emulator leaves them out for NAT gateways."""
    tags = observed.tags or {}
    return tags.get(ENVIRONMENT) == owner.environment and owner.address in ("", _address(observed))


def _address(observed: Observed) -> str | None:
    return (observed.tags or {}).get(ADDRESS)


def _live(raw: dict[str, Any]) -> Observed:
    tags = from_pairs(raw.get("Tags"))
    addresses = raw.get("NatGatewayAddresses") or [{}]
    primary = next((address for address in addresses if address.get("IsPrimary")), addresses[0])
    told = {
        "SubnetId": raw.get("SubnetId"),
        "AllocationId": primary.get("AllocationId"),
        "ConnectivityType": raw.get("ConnectivityType", "public"),
        "PublicIp": primary.get("PublicIp"),
    }
    status = ": ".join(filter(None, [raw["State"], raw.get("FailureMessage")]))
    return Observed(
        raw["NatGatewayId"], told, tags, name=tags.get("Name", ""), state=STATES[raw["State"]], status=status
    )
