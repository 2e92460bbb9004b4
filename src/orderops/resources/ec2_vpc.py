"""VPC with DNS enabled, so that endpoints and databases are found by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import Ownership, Tags, from_pairs, to_pairs
from orderops.engine.features import notes
from orderops.engine.resource import Observed, Outputs, Properties, Resource, State
from orderops.frozen import replace
from orderops.resources.ec2_dependents import first, foreign_interfaces, foreign_parts

# In this order: host names need DNS support.
DNS = {"EnableDnsSupport": "enableDnsSupport", "EnableDnsHostnames": "enableDnsHostnames"}


class Ec2Vpc(Resource):
    """A network with the addresses of `cidr`, whose tags note the features of the environment: `engine.features`."""

    cidr: str
    features: frozenset[str] = frozenset()
    complete: bool = False
    """Whether to note that the environment never had other features."""

    kind: ClassVar[str] = "ec2-vpc"
    notes_features: ClassVar[bool] = True
    needs_unused_to_delete: ClassVar[bool] = True
    # Reads lag behind: a VPC may be unknown for minutes after CreateVpc.
    retryable_errors: ClassVar[frozenset[str]] = frozenset({"InvalidVpcID.NotFound", "DependencyViolation"})
    immutable: ClassVar[frozenset[str]] = frozenset({"CidrBlock"})
    replacement_hint: ClassVar[str] = (
        "set it back; other addresses need another environment: copy the file under a new name, orderops up --env NAME"
    )

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in every(aws.ec2.describe_vpcs, "Vpcs", Filters=owner.filters):
            yield _observed(raw)

    @property
    def own_tags(self) -> Tags:
        return notes(self.features, complete=self.complete)

    def occupant(self, aws: Aws, desired: Properties) -> Observed | None:
        alike = [
            {"Name": "tag:Name", "Values": [self.name]},
            {"Name": "cidr", "Values": [desired["CidrBlock"]]},
        ]
        return next(map(_observed, every(aws.ec2.describe_vpcs, "Vpcs", Filters=alike)), None)

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        attributes = {
            key: bool(aws.ec2.describe_vpc_attribute(VpcId=observed.id, Attribute=attribute)[key]["Value"])
            for key, attribute in DNS.items()
        }
        return replace(observed, properties={**observed.properties, **attributes})

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.ec2.create_tags(Resources=[observed.id], Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {"CidrBlock": self.cidr, **dict.fromkeys(DNS, True)}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.ec2.create_vpc(CidrBlock=desired["CidrBlock"], TagSpecifications=owner.specification("vpc"))

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        for key in DNS:
            # ModifyVpcAttribute takes one attribute in each call.
            if key in changed:
                aws.ec2.modify_vpc_attribute(VpcId=observed.id, **{key: {"Value": changed[key]}})

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.ec2.delete_vpc(VpcId=observed.id)

    @classmethod
    def blockers(cls, aws: Aws, observed: Observed) -> str:
        return first(foreign_interfaces(aws, observed, "vpc-id"), foreign_parts(aws, observed))


def _observed(raw: dict[str, Any]) -> Observed:
    tags = from_pairs(raw.get("Tags"))
    state = State.READY if raw["State"] == "available" else State.PENDING
    return Observed(
        raw["VpcId"], {"CidrBlock": raw["CidrBlock"]}, tags, name=tags.get("Name", ""), state=state, status=raw["State"]
    )
