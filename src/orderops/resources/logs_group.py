"""Log group of CloudWatch Logs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import Claim, Tags
from orderops.engine.resource import Live, Outputs, Properties, Resource


@dataclass(frozen=True, eq=False)
class LogsGroup(Resource):
    """Log lines, kept for `retention_days`; named like a path, `/orderops/dev/order-processor`."""

    retention_days: int

    kind: ClassVar[str] = "logs-group"
    arn_form: ClassVar[str] = "arn:{partition}:logs:{region}:{account}:log-group:{name}"
    passing: ClassVar[frozenset[str]] = frozenset({"ResourceAlreadyExistsException", "ResourceNotFoundException"})

    @classmethod
    def listing(cls, aws: Aws, claim: Claim) -> Iterator[Live]:
        for raw in every(aws.logs.describe_log_groups, "logGroups", logGroupNamePrefix=claim.path()):
            arn = raw["arn"].removesuffix(":*")  # tag calls, flow logs and policies want the one without
            yield Live(
                raw["logGroupName"],
                {"retentionInDays": raw.get("retentionInDays")},
                name=raw["logGroupName"],
                arn=arn,
            )

    @classmethod
    def tags(cls, aws: Aws, live: Live) -> Tags:
        return dict(aws.logs.list_tags_for_resource(resourceArn=live.arn).get("tags", {}))

    @classmethod
    def retag(cls, aws: Aws, live: Live, tags: Tags) -> None:
        aws.logs.tag_resource(resourceArn=live.arn, tags=dict(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {"retentionInDays": self.retention_days}

    def create(self, aws: Aws, desired: Properties, claim: Claim) -> None:
        aws.logs.create_log_group(logGroupName=self.name, tags=claim.tags)

    def update(self, aws: Aws, live: Live, changed: Properties) -> None:
        aws.logs.put_retention_policy(logGroupName=live.id, **changed)

    @classmethod
    def delete(cls, aws: Aws, live: Live) -> None:
        aws.logs.delete_log_group(logGroupName=live.id)
