"""NAT gateway: internet access for private subnets."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ADDRESS, ENVIRONMENT, Ownership, Tags, from_pairs, to_pairs
from orderops.engine.resource import Observed, Outputs, Properties, Resource, State
from orderops.resources.ec2_address import Ec2Address
from orderops.resources.ec2_internet_gateway import Ec2InternetGateway
from orderops.resources.ec2_subnet import Ec2Subnet

STATES = {"pending": State.PENDING, "available": State.READY, "deleting": State.GOING, "failed": State.FAILED}
# Without `deleted`: AWS lists a deleted gateway for about an hour more, with its tags.
IN_THESE_STATES = [{"Name": "state", "Values": sorted(STATES)}]


class Ec2NatGateway(Resource):
    """In a public `subnet`, with the address `elastic_ip`. Creating it fails unless `gateway` is attached."""

    subnet: Ec2Subnet
    elastic_ip: Ec2Address
    gateway: Ec2InternetGateway

    kind: ClassVar[str] = "ec2-nat-gateway"
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {
            # Reads of EC2 lag behind writes; the Terraform provider retries these for five minutes.
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
        found = [_observed(raw) for raw in every(aws.ec2.describe_nat_gateways, "NatGateways", Filter=filters)]
        found = [observed for observed in found if _claimed(owner, observed)]
        standing = {_address(observed) for observed in found if observed.state is not State.FAILED}
        for observed in found:
            # A failed gateway is listed for an hour. It matters only as long as no other has replaced it.
            if observed.state is not State.FAILED or _address(observed) not in standing:
                yield observed

    def occupant(self, aws: Aws, desired: Properties) -> Observed | None:
        filters = [
            {"Name": "subnet-id", "Values": [desired["SubnetId"]]},
            {"Name": "state", "Values": ["pending", "available"]},
        ]
        for observed in map(_observed, every(aws.ec2.describe_nat_gateways, "NatGateways", Filter=filters)):
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
        """Do nothing: a NAT gateway has no settings that can change."""

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        # The elastic IP stays: DeleteNatGateway does not release it.
        aws.ec2.delete_nat_gateway(NatGatewayId=observed.id)


def _claimed(owner: Ownership, observed: Observed) -> bool:
    """Apply the tag filters again: the emulator ignores them for NAT gateways."""
    tags = observed.tags or {}
    return tags.get(ENVIRONMENT) == owner.environment and owner.address in ("", _address(observed))


def _address(observed: Observed) -> str | None:
    return (observed.tags or {}).get(ADDRESS)


def _observed(raw: dict[str, Any]) -> Observed:
    tags = from_pairs(raw.get("Tags"))
    addresses = raw.get("NatGatewayAddresses") or [{}]
    primary = next((address for address in addresses if address.get("IsPrimary")), addresses[0])
    properties = {
        "SubnetId": raw.get("SubnetId"),
        "AllocationId": primary.get("AllocationId"),
        "ConnectivityType": raw.get("ConnectivityType", "public"),
        "PublicIp": primary.get("PublicIp"),
    }
    status = ": ".join(filter(None, [raw["State"], raw.get("FailureMessage")]))
    return Observed(
        raw["NatGatewayId"], properties, tags, name=tags.get("Name", ""), state=STATES[raw["State"]], status=status
    )
