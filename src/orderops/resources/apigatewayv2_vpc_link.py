"""VPC link: the way of an HTTP API into the subnets of a VPC."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, ClassVar

from orderops.aws.client import Aws
from orderops.aws.ownership import ADDRESS, Ownership, Tags
from orderops.engine.features import Feature
from orderops.engine.names import NameRule
from orderops.engine.resource import Observed, Outputs, Properties, Resource, State
from orderops.resources.apigatewayv2_api import FEATURE, RETRYABLE, arn_of
from orderops.resources.ec2_security_group import Ec2SecurityGroup
from orderops.resources.ec2_subnet import Ec2Subnet

# INACTIVE is a link that no request used for 60 days. The next request wakes it.
STATES = {"PENDING": State.PENDING, "DELETING": State.GOING, "FAILED": State.FAILED}


class Apigatewayv2VpcLink(Resource):
    """Has an interface in each of its subnets, which cannot be changed; found by its tags, as names are not unique."""

    subnets: tuple[Ec2Subnet, ...]
    security_groups: tuple[Ec2SecurityGroup, ...]

    kind: ClassVar[str] = "apigatewayv2-vpc-link"
    name_rule: ClassVar[NameRule | None] = NameRule(128, r"[A-Za-z0-9._-]+", "letters, digits and ._-")
    feature: ClassVar[Feature | None] = FEATURE
    retryable_errors: ClassVar[frozenset[str]] = RETRYABLE
    immutable: ClassVar[frozenset[str]] = frozenset({"SubnetIds", "SecurityGroupIds"})
    timeout: ClassVar[timedelta] = timedelta(minutes=20)
    typical_duration: ClassVar[timedelta] = timedelta(minutes=3)

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in _links(aws):
            if owner.has(raw.get("Tags", {})):
                yield _observed(aws, raw)

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.apigatewayv2.tag_resource(ResourceArn=observed.arn, Tags=dict(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {
            "Name": self.name,
            "SubnetIds": sorted(outputs[subnet].id for subnet in self.subnets),
            "SecurityGroupIds": sorted(outputs[group].id for group in self.security_groups),
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.apigatewayv2.create_vpc_link(**desired, Tags=owner.tags)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        aws.apigatewayv2.update_vpc_link(VpcLinkId=observed.id, **changed)

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.apigatewayv2.delete_vpc_link(VpcLinkId=observed.id)


def _links(aws: Aws) -> Iterator[dict[str, Any]]:
    """All links of the account. botocore has no paginator for them."""
    token: dict[str, str] = {}
    while True:
        page = aws.apigatewayv2.get_vpc_links(**token)
        yield from page.get("Items", ())
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}


def _observed(aws: Aws, raw: Mapping[str, Any]) -> Observed:
    tags, id = raw.get("Tags", {}), raw["VpcLinkId"]
    properties = {
        "Name": raw["Name"],
        "SubnetIds": sorted(raw.get("SubnetIds", ())),
        "SecurityGroupIds": sorted(raw.get("SecurityGroupIds", ())),
    }
    status = raw.get("VpcLinkStatus", "AVAILABLE")
    return Observed(
        id,
        properties,
        tags=tags,
        name=tags.get(ADDRESS, "").partition("/")[2] or raw["Name"],
        arn=arn_of(aws, f"vpclinks/{id}"),
        state=STATES.get(status, State.READY),
        status=": ".join(filter(None, (status.lower(), raw.get("VpcLinkStatusMessage")))),
    )
