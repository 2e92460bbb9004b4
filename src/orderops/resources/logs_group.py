"""Log group of CloudWatch Logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import Ownership, Tags
from orderops.engine.names import NameRule
from orderops.engine.resource import Observed, Outputs, Properties, Resource

EVERYWHERE = "orderops"
"""A part of the names of all groups of all environments."""


class LogsGroup(Resource):
    """Keeps log events for `retention_days`. Its name is a path, such as `/orderops/dev/order-processor`."""

    retention_days: int

    kind: ClassVar[str] = "logs-group"
    name_rule: ClassVar[NameRule | None] = NameRule(512, r"[A-Za-z0-9_/.#-]+", "letters, digits and _/.#-")
    arn_form: ClassVar[str] = "arn:{partition}:logs:{region}:{account}:log-group:{name}"
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        # A running task or flow log may create a deleted group again, without retention and tags.
        {"ResourceAlreadyExistsException", "ResourceNotFoundException"}
    )

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        # AWS demands how the name of the log group of a web ACL begins.
        for raw in groups_named(aws, owner, owner.path(), owner.path("aws-waf-logs-orderops-{}-")):
            yield observed_group(raw)

    @classmethod
    def tags(cls, aws: Aws, observed: Observed) -> Tags:
        return dict(aws.logs.list_tags_for_resource(resourceArn=observed.arn).get("tags", {}))

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.logs.tag_resource(resourceArn=observed.arn, tags=dict(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {"retentionInDays": self.retention_days}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.logs.create_log_group(logGroupName=self.name, tags=owner.tags)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        aws.logs.put_retention_policy(logGroupName=observed.id, **changed)

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.logs.delete_log_group(logGroupName=observed.id)


def groups_named(aws: Aws, owner: Ownership, *prefixes: str) -> Iterator[dict[str, Any]]:
    """The groups whose names begin with one of these; for a whole environment from one call that all kinds share."""
    named = {"logGroupNamePrefix": owner.name} if owner.name else {"logGroupNamePattern": EVERYWHERE}
    for raw in every(aws.logs.describe_log_groups, "logGroups", **named):
        if raw["logGroupName"].startswith(prefixes):
            yield raw


def observed_group(raw: Mapping[str, Any]) -> Observed:
    """A log group as DescribeLogGroups returns it."""
    # Tags, flow logs and policies need the ARN without the suffix.
    arn, name = raw["arn"].removesuffix(":*"), raw["logGroupName"]
    return Observed(name, {"retentionInDays": raw.get("retentionInDays")}, name=name, arn=arn)
