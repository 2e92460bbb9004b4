"""Flow log of a VPC: every connection that was taken or refused, as lines in a log group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import Ownership, Tags, from_pairs, to_pairs
from orderops.engine.resource import Effect, Observed, Outputs, Properties, Resource
from orderops.errors import AwsError, Meaning
from orderops.resources.ec2_vpc import Ec2Vpc
from orderops.resources.iam_role import IamRole
from orderops.resources.logs_group import LogsGroup

KEYS = (
    "ResourceId",
    "TrafficType",
    "LogDestinationType",
    "LogGroupName",
    "DeliverLogsPermissionArn",
    "MaxAggregationInterval",
)


@dataclass(frozen=True, eq=False)
class Ec2FlowLog(Resource):
    """Written to `group` by AWS, which assumes `role` for it; any change makes a new one."""

    vpc: Ec2Vpc
    group: LogsGroup
    role: IamRole

    kind: ClassVar[str] = "ec2-flow-log"
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {
            "InvalidParameter: Unable to assume given IAM role",  # a role made a moment ago
            "InvalidVpcID.NotFound",
            "InvalidVpcId.NotFound",
            "FlowLogAlreadyExists",
            "InvalidFlowLogId.NotFound",
        }
    )
    effects: ClassVar[Mapping[str, Effect]] = dict.fromkeys(KEYS, Effect.REPLACES)

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in every(aws.ec2.describe_flow_logs, "FlowLogs", Filter=owner.filters):
            yield _live(raw)

    def occupant(self, aws: Aws, desired: Properties) -> Observed | None:
        there = [
            {"Name": "resource-id", "Values": [desired["ResourceId"]]},
            {"Name": "log-group-name", "Values": [desired["LogGroupName"]]},
        ]
        return next(map(_live, every(aws.ec2.describe_flow_logs, "FlowLogs", Filter=there)), None)

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.ec2.create_tags(Resources=[observed.id], Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {
            "ResourceId": outputs[self.vpc].id,
            "TrafficType": "ALL",
            "LogDestinationType": "cloud-watch-logs",
            "LogGroupName": outputs[self.group].name,
            "DeliverLogsPermissionArn": outputs[self.role].arn,
            "MaxAggregationInterval": 600,
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        given = {key: desired[key] for key in KEYS if key != "ResourceId"}
        answer = aws.ec2.create_flow_logs(
            **given,
            ResourceType="VPC",
            ResourceIds=[desired["ResourceId"]],
            TagSpecifications=owner.specification("vpc-flow-log"),
        )
        _raise_unsuccessful("ec2.create_flow_logs", answer)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        self.delete(aws, observed)  # the next look finds none and makes the new one

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        answer = aws.ec2.delete_flow_logs(FlowLogIds=[observed.id])
        _raise_unsuccessful("ec2.delete_flow_logs", answer)


def _raise_unsuccessful(call: str, answer: Mapping[str, Any]) -> None:
    """These calls answer 200 all the same, with what went wrong in a list."""
    for each in answer.get("Unsuccessful") or ():
        error = each.get("Error", {})
        raise AwsError(call, error.get("Code", "Unknown"), error.get("Message", ""), Meaning.NO)


def _live(raw: Mapping[str, Any]) -> Observed:
    tags = from_pairs(raw.get("Tags"))
    told = {key: raw.get(key) for key in KEYS}
    if not told["LogGroupName"]:  # one made by hand with the group's ARN
        told["LogGroupName"] = raw.get("LogDestination", "").partition(":log-group:")[2].removesuffix(":*")
    told["DeliverLogsErrorMessage"] = raw.get("DeliverLogsErrorMessage")
    return Observed(raw["FlowLogId"], told, tags, name=tags.get("Name", ""), status=raw.get("FlowLogStatus", ""))
