"""VPC, with DNS on: endpoints and databases are found by name in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import Claim, Tags, from_pairs, to_pairs
from orderops.engine.resource import Live, Outputs, Properties, Resource, State
from orderops.resources.ec2_dependents import first, foreign_interfaces, foreign_parts

DNS = {"EnableDnsSupport": "enableDnsSupport", "EnableDnsHostnames": "enableDnsHostnames"}
"""In this order: host names cannot be switched on without DNS support."""


@dataclass(frozen=True, eq=False)
class Ec2Vpc(Resource):
    """A network of its own with the addresses of `cidr`."""

    cidr: str

    kind: ClassVar[str] = "ec2-vpc"
    passing: ClassVar[frozenset[str]] = frozenset({"InvalidVpcID.NotFound", "DependencyViolation"})
    immutable: ClassVar[frozenset[str]] = frozenset({"CidrBlock"})
    way_round: ClassVar[str] = (
        "set it back; other addresses need another environment: copy the file under a new name, orderops up --env NAME"
    )

    @classmethod
    def listing(cls, aws: Aws, claim: Claim) -> Iterator[Live]:
        for raw in every(aws.ec2.describe_vpcs, "Vpcs", Filters=claim.filters):
            yield _live(raw)

    def place(self, aws: Aws, desired: Properties) -> Live | None:
        alike = [
            {"Name": "tag:Name", "Values": [self.name]},
            {"Name": "cidr", "Values": [desired["CidrBlock"]]},
        ]
        return next(map(_live, every(aws.ec2.describe_vpcs, "Vpcs", Filters=alike)), None)

    def detail(self, aws: Aws, live: Live) -> Live:
        told = {
            key: bool(aws.ec2.describe_vpc_attribute(VpcId=live.id, Attribute=attribute)[key]["Value"])
            for key, attribute in DNS.items()
        }
        return replace(live, properties={**live.properties, **told})

    @classmethod
    def retag(cls, aws: Aws, live: Live, tags: Tags) -> None:
        aws.ec2.create_tags(Resources=[live.id], Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {"CidrBlock": self.cidr, **dict.fromkeys(DNS, True)}

    def create(self, aws: Aws, desired: Properties, claim: Claim) -> None:
        aws.ec2.create_vpc(CidrBlock=desired["CidrBlock"], TagSpecifications=claim.specification("vpc"))

    def update(self, aws: Aws, live: Live, changed: Properties) -> None:
        for key in DNS:
            if key in changed:  # AWS takes one attribute a call
                aws.ec2.modify_vpc_attribute(VpcId=live.id, **{key: {"Value": changed[key]}})

    @classmethod
    def delete(cls, aws: Aws, live: Live) -> None:
        aws.ec2.delete_vpc(VpcId=live.id)

    @classmethod
    def held_by(cls, aws: Aws, live: Live) -> str:
        return first(foreign_interfaces(aws, live, "vpc-id"), foreign_parts(aws, live))


def _live(raw: dict[str, Any]) -> Live:
    tags = from_pairs(raw.get("Tags"))
    state = State.READY if raw["State"] == "available" else State.PENDING
    return Live(
        raw["VpcId"], {"CidrBlock": raw["CidrBlock"]}, tags, name=tags.get("Name", ""), state=state, status=raw["State"]
    )
