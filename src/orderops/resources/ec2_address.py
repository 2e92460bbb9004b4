"""Elastic IP address."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import Claim, Tags, from_pairs, to_pairs
from orderops.engine.resource import Live, Outputs, Properties, Resource
from orderops.resources.ec2_dependents import address_holder


@dataclass(frozen=True, eq=False)
class Ec2Address(Resource):
    """A public address that stays: `PublicIp` is what others see of us."""

    kind: ClassVar[str] = "ec2-address"
    passing: ClassVar[frozenset[str]] = frozenset(
        {
            "InvalidAllocationID.NotFound",
            # what AWS says while a NAT gateway that is going still holds it
            "InvalidIPAddress.InUse",
            "AuthFailure: permission to access the specified resource",
        }
    )
    immutable: ClassVar[frozenset[str]] = frozenset({"Domain"})

    @classmethod
    def listing(cls, aws: Aws, claim: Claim) -> Iterator[Live]:
        for raw in every(aws.ec2.describe_addresses, "Addresses", Filters=claim.filters):
            tags = from_pairs(raw.get("Tags"))
            told = {"Domain": raw["Domain"], "PublicIp": raw["PublicIp"]}
            yield Live(raw["AllocationId"], told, tags, name=tags.get("Name", ""))

    @classmethod
    def retag(cls, aws: Aws, live: Live, tags: Tags) -> None:
        aws.ec2.create_tags(Resources=[live.id], Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {"Domain": "vpc"}

    def create(self, aws: Aws, desired: Properties, claim: Claim) -> None:
        aws.ec2.allocate_address(**desired, TagSpecifications=claim.specification("elastic-ip"))

    def update(self, aws: Aws, live: Live, changed: Properties) -> None:
        """Nothing of an address changes."""

    @classmethod
    def delete(cls, aws: Aws, live: Live) -> None:
        aws.ec2.release_address(AllocationId=live.id)

    @classmethod
    def held_by(cls, aws: Aws, live: Live) -> str:
        return address_holder(aws, live)
