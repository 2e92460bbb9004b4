"""Elastic IP address."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import Ownership, Tags, from_pairs, to_pairs
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.resources.ec2_dependents import address_holder


class Ec2Address(Resource):
    """A static public address: other systems see `PublicIp` as the source of requests."""

    kind: ClassVar[str] = "ec2-address"
    needs_unused_to_delete: ClassVar[bool] = True
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {
            "InvalidAllocationID.NotFound",
            # Raised while a NAT gateway that is being deleted still uses the address.
            "InvalidIPAddress.InUse",
            "AuthFailure: permission to access the specified resource",
        }
    )
    immutable: ClassVar[frozenset[str]] = frozenset({"Domain"})

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in every(aws.ec2.describe_addresses, "Addresses", Filters=owner.filters):
            tags = from_pairs(raw.get("Tags"))
            properties = {"Domain": raw["Domain"], "PublicIp": raw["PublicIp"]}
            yield Observed(raw["AllocationId"], properties, tags, name=tags.get("Name", ""))

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.ec2.create_tags(Resources=[observed.id], Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {"Domain": "vpc"}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.ec2.allocate_address(**desired, TagSpecifications=owner.specification("elastic-ip"))

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        """Do nothing: an address has no settings."""

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.ec2.release_address(AllocationId=observed.id)

    @classmethod
    def blockers(cls, aws: Aws, observed: Observed) -> str:
        return address_holder(aws, observed)
