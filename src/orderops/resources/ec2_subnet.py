"""Subnet of a VPC, in one availability zone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import Ownership, Tags, from_pairs, to_pairs
from orderops.engine.resource import Observed, Outputs, Properties, Resource, State
from orderops.resources.ec2_dependents import foreign_interfaces, named
from orderops.resources.ec2_vpc import Ec2Vpc

PLACE = ("VpcId", "CidrBlock", "AvailabilityZone")


class Ec2Subnet(Resource):
    """A part of the addresses of `vpc`, in `zone`. Instances in a `public` subnet get a public address."""

    vpc: Ec2Vpc
    cidr: str
    zone: str
    public: bool = False

    kind: ClassVar[str] = "ec2-subnet"
    needs_unused_to_delete: ClassVar[bool] = True
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        # DependencyViolation ends when the network interfaces and NAT gateways in the subnet are deleted.
        {"InvalidVpcID.NotFound", "InvalidSubnetID.NotFound", "InvalidSubnetId.NotFound", "DependencyViolation"}
    )
    immutable: ClassVar[frozenset[str]] = frozenset(PLACE)
    replacement_hint: ClassVar[str] = Ec2Vpc.replacement_hint
    # AWS may take over half an hour to delete the interfaces of a deleted load balancer.
    timeout: ClassVar[timedelta] = timedelta(minutes=45)

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in every(aws.ec2.describe_subnets, "Subnets", Filters=owner.filters):
            yield _observed(raw)

    def occupant(self, aws: Aws, desired: Properties) -> Observed | None:
        filters = [
            {"Name": "vpc-id", "Values": [desired["VpcId"]]},
            {"Name": "cidr-block", "Values": [desired["CidrBlock"]]},
        ]
        return next(map(_observed, every(aws.ec2.describe_subnets, "Subnets", Filters=filters)), None)

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.ec2.create_tags(Resources=[observed.id], Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {
            "VpcId": outputs[self.vpc].id,
            "CidrBlock": self.cidr,
            "AvailabilityZone": self.zone,
            "MapPublicIpOnLaunch": self.public,
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        given = {key: desired[key] for key in PLACE}
        aws.ec2.create_subnet(**given, TagSpecifications=owner.specification("subnet"))

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        public = {"Value": changed["MapPublicIpOnLaunch"]}
        aws.ec2.modify_subnet_attribute(SubnetId=observed.id, MapPublicIpOnLaunch=public)

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.ec2.delete_subnet(SubnetId=observed.id)

    @classmethod
    def blockers(cls, aws: Aws, observed: Observed) -> str:
        return named(foreign_interfaces(aws, observed, "subnet-id"))


def _observed(raw: dict[str, Any]) -> Observed:
    tags = from_pairs(raw.get("Tags"))
    properties = {key: raw[key] for key in (*PLACE, "MapPublicIpOnLaunch", "OwnerId")}
    return Observed(
        raw["SubnetId"], properties, tags, name=tags.get("Name", ""), state=_state(raw["State"]), status=raw["State"]
    )


def _state(word: str) -> State:
    if word.startswith("failed"):
        return State.FAILED
    return State.READY if word == "available" else State.PENDING
