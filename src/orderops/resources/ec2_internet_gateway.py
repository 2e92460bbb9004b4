"""Internet gateway: connects a VPC to the internet."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import Ownership, Tags, from_pairs, to_pairs
from orderops.engine.resource import Effect, Observed, Outputs, Properties, Resource
from orderops.resources.ec2_dependents import named, public_interfaces
from orderops.resources.ec2_vpc import Ec2Vpc


class Ec2InternetGateway(Resource):
    """Attached to `vpc` by a second call, after it was created."""

    vpc: Ec2Vpc

    kind: ClassVar[str] = "ec2-internet-gateway"
    needs_unused_to_delete: ClassVar[bool] = True
    # Detaching fails with DependencyViolation until the last public address in the VPC is released.
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {
            "InvalidInternetGatewayID.NotFound",
            "InvalidVpcID.NotFound",
            "Resource.AlreadyAssociated",
            "Gateway.NotAttached",
            "DependencyViolation",
        }
    )
    timeout: ClassVar[timedelta] = timedelta(minutes=45)
    """Detaching is refused while an interface has a public address, such as that of a load balancer."""

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in every(aws.ec2.describe_internet_gateways, "InternetGateways", Filters=owner.filters):
            yield _observed(raw)

    def occupant(self, aws: Aws, desired: Properties) -> Observed | None:
        filters = [{"Name": "attachment.vpc-id", "Values": [desired["VpcId"]]}]
        return next(
            map(_observed, every(aws.ec2.describe_internet_gateways, "InternetGateways", Filters=filters)), None
        )

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.ec2.create_tags(Resources=[observed.id], Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {"VpcId": outputs[self.vpc].id}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.ec2.create_internet_gateway(TagSpecifications=owner.specification("internet-gateway"))

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        if observed.properties["VpcId"]:
            _detach(aws, observed)
        else:
            aws.ec2.attach_internet_gateway(InternetGatewayId=observed.id, VpcId=changed["VpcId"])

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        if observed.properties["VpcId"]:
            _detach(aws, observed)
        else:
            aws.ec2.delete_internet_gateway(InternetGatewayId=observed.id)

    @classmethod
    def blockers(cls, aws: Aws, observed: Observed) -> str:
        return named(public_interfaces(aws, observed, observed.properties["VpcId"] or ""))

    def effect(self, key: str, observed: Any, desired: Any) -> Effect:
        return Effect.INTERRUPTS if observed else Effect.SAFE


def _detach(aws: Aws, observed: Observed) -> None:
    aws.ec2.detach_internet_gateway(InternetGatewayId=observed.id, VpcId=observed.properties["VpcId"])


def _observed(raw: dict[str, Any]) -> Observed:
    tags = from_pairs(raw.get("Tags"))
    attached = [
        attachment["VpcId"]
        for attachment in raw.get("Attachments") or ()
        if not attachment["State"].startswith("detach")
    ]
    return Observed(raw["InternetGatewayId"], {"VpcId": next(iter(attached), None)}, tags, name=tags.get("Name", ""))
