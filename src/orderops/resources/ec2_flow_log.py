"""Flow log of a VPC: accepted and rejected connections, written to a log group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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


class Ec2FlowLog(Resource):
    """AWS assumes `role` and writes to `group`. Every change replaces the flow log."""

    vpc: Ec2Vpc
    group: LogsGroup
    role: IamRole

    kind: ClassVar[str] = "ec2-flow-log"
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {
            # EC2 may not know a role that was created moments ago.
            "InvalidParameter: Unable to assume given IAM role",
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
            yield _observed(raw)

    def occupant(self, aws: Aws, desired: Properties) -> Observed | None:
        filters = [
            {"Name": "resource-id", "Values": [desired["ResourceId"]]},
            {"Name": "log-group-name", "Values": [desired["LogGroupName"]]},
        ]
        return next(map(_observed, every(aws.ec2.describe_flow_logs, "FlowLogs", Filter=filters)), None)

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
        response = aws.ec2.create_flow_logs(
            **given,
            ResourceType="VPC",
            ResourceIds=[desired["ResourceId"]],
            TagSpecifications=owner.specification("vpc-flow-log"),
        )
        _raise_unsuccessful("ec2.create_flow_logs", response)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        # The next read finds no flow log and creates the new one.
        self.delete(aws, observed)

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        response = aws.ec2.delete_flow_logs(FlowLogIds=[observed.id])
        _raise_unsuccessful("ec2.delete_flow_logs", response)


def _raise_unsuccessful(call: str, response: Mapping[str, Any]) -> None:
    """Raise AwsError for a failure: these operations respond with status 200 and list what failed."""
    for entry in response.get("Unsuccessful") or ():
        error = entry.get("Error", {})
        raise AwsError(call, error.get("Code", "Unknown"), error.get("Message", ""), Meaning.NO)


def _observed(raw: Mapping[str, Any]) -> Observed:
    tags = from_pairs(raw.get("Tags"))
    properties = {key: raw.get(key) for key in KEYS}
    # A flow log that was created by hand may have the ARN of the group only.
    if not properties["LogGroupName"]:
        properties["LogGroupName"] = raw.get("LogDestination", "").partition(":log-group:")[2].removesuffix(":*")
    properties["DeliverLogsErrorMessage"] = raw.get("DeliverLogsErrorMessage")
    return Observed(raw["FlowLogId"], properties, tags, name=tags.get("Name", ""), status=raw.get("FlowLogStatus", ""))
