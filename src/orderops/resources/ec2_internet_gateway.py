"""Internet gateway: the way between a VPC and the internet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import Claim, Tags, from_pairs, to_pairs
from orderops.engine.resource import Effect, Live, Outputs, Properties, Resource
from orderops.resources.ec2_dependents import named, public_interfaces
from orderops.resources.ec2_vpc import Ec2Vpc


@dataclass(frozen=True, eq=False)
class Ec2InternetGateway(Resource):
    """Attached to `vpc`, by a call of its own."""

    vpc: Ec2Vpc

    kind: ClassVar[str] = "ec2-internet-gateway"
    passing: ClassVar[frozenset[str]] = frozenset(
        {
            "InvalidInternetGatewayID.NotFound",
            "InvalidVpcID.NotFound",
            "Resource.AlreadyAssociated",
            "Gateway.NotAttached",
            "DependencyViolation",
        }
    )
    patience: ClassVar[timedelta] = timedelta(minutes=45)
    """It cannot be detached while an interface with a public address is left, such as a balancer's."""

    @classmethod
    def listing(cls, aws: Aws, claim: Claim) -> Iterator[Live]:
        for raw in every(aws.ec2.describe_internet_gateways, "InternetGateways", Filters=claim.filters):
            yield _live(raw)

    def place(self, aws: Aws, desired: Properties) -> Live | None:
        there = [{"Name": "attachment.vpc-id", "Values": [desired["VpcId"]]}]
        return next(map(_live, every(aws.ec2.describe_internet_gateways, "InternetGateways", Filters=there)), None)

    @classmethod
    def retag(cls, aws: Aws, live: Live, tags: Tags) -> None:
        aws.ec2.create_tags(Resources=[live.id], Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {"VpcId": outputs[self.vpc].id}

    def create(self, aws: Aws, desired: Properties, claim: Claim) -> None:
        aws.ec2.create_internet_gateway(TagSpecifications=claim.specification("internet-gateway"))

    def update(self, aws: Aws, live: Live, changed: Properties) -> None:
        if live.properties["VpcId"]:
            _detach(aws, live)
        else:
            aws.ec2.attach_internet_gateway(InternetGatewayId=live.id, VpcId=changed["VpcId"])

    @classmethod
    def delete(cls, aws: Aws, live: Live) -> None:
        if live.properties["VpcId"]:
            _detach(aws, live)
        else:
            aws.ec2.delete_internet_gateway(InternetGatewayId=live.id)

    @classmethod
    def held_by(cls, aws: Aws, live: Live) -> str:
        return named(public_interfaces(aws, live, live.properties["VpcId"] or ""))

    def effect(self, key: str, live: Any, desired: Any) -> Effect:
        return Effect.INTERRUPTS if live else Effect.SAFE


def _detach(aws: Aws, live: Live) -> None:
    aws.ec2.detach_internet_gateway(InternetGatewayId=live.id, VpcId=live.properties["VpcId"])


def _live(raw: dict[str, Any]) -> Live:
    tags = from_pairs(raw.get("Tags"))
    attached = [each["VpcId"] for each in raw.get("Attachments") or () if not each["State"].startswith("detach")]
    return Live(raw["InternetGatewayId"], {"VpcId": next(iter(attached), None)}, tags, name=tags.get("Name", ""))
