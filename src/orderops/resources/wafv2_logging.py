"""Log of a web ACL: which of its requests AWS WAF writes to a log group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.features import Feature
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.resources.logs_group import LogsGroup
from orderops.resources.wafv2_listing import FEATURE, RETRYABLE, acls_of, listed
from orderops.resources.wafv2_web_acl import Wafv2WebAcl

LOGGED = ("BLOCK", "COUNT", "EXCLUDED_AS_COUNT")


class Wafv2Logging(Resource):
    """Writes blocked and counted requests to a log group. Named as the web ACL is.

    AWS demands that the name of the group begins with aws-waf-logs-, and lets itself write to it by a resource policy
    of CloudWatch Logs, which stays.
    """

    acl: Wafv2WebAcl
    group: LogsGroup
    redacted_headers: tuple[str, ...] = ()

    kind: ClassVar[str] = "wafv2-logging"
    untagged: ClassVar[bool] = True
    feature: ClassVar[Feature | None] = FEATURE
    retryable_errors: ClassVar[frozenset[str]] = RETRYABLE | {
        # Another change of the policies of CloudWatch Logs is under way.
        "WAFServiceLinkedRoleErrorException",
        "WAFLogDestinationPermissionIssueException",
    }

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        if not acls_of(aws, owner.environment):
            return
        for raw in listed(aws.wafv2.list_logging_configurations, "LoggingConfigurations"):
            # The end of its ARN is webacl/NAME/ID.
            arn, name = raw["ResourceArn"], raw["ResourceArn"].split("/")[-2]
            # What Firewall Manager has set is not ours to change.
            if name.startswith(owner.prefix) and not raw.get("ManagedByFirewallManager"):
                yield Observed(arn, _properties_of(raw), tags=owner.named(cls.kind, name), name=name, arn=arn)

    def desired(self, outputs: Outputs) -> Properties:
        return {
            "LogDestinationConfigs": [outputs[self.group].arn],
            "RedactedHeaders": sorted(self.redacted_headers),
            "LoggingFilter": {
                "DefaultBehavior": "DROP",
                "Filters": [
                    {
                        "Behavior": "KEEP",
                        "Requirement": "MEETS_ANY",
                        "Conditions": [{"ActionCondition": {"Action": action}} for action in LOGGED],
                    }
                ],
            },
            # The ACL may be another one of the same name.
            "ResourceArn": outputs[self.acl].arn,
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        _put(aws, desired)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        _put(aws, {**observed.properties, **changed})

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.wafv2.delete_logging_configuration(ResourceArn=observed.id)


def _put(aws: Aws, properties: Properties) -> None:
    headers = [{"SingleHeader": {"Name": name}} for name in properties["RedactedHeaders"]]
    sent = {key: properties[key] for key in ("ResourceArn", "LogDestinationConfigs", "LoggingFilter")}
    aws.wafv2.put_logging_configuration(LoggingConfiguration={**sent, "RedactedFields": headers})


def _properties_of(raw: Mapping[str, Any]) -> dict[str, Any]:
    fields = raw.get("RedactedFields") or ()
    return {
        "ResourceArn": raw["ResourceArn"],
        # CloudWatch Logs writes the ARN of a group with a suffix in some answers.
        "LogDestinationConfigs": [arn.removesuffix(":*") for arn in raw["LogDestinationConfigs"]],
        # Fields of another kind, set by hand, are shown as they are, so that they differ.
        "RedactedHeaders": sorted(
            one["SingleHeader"]["Name"].lower() if "SingleHeader" in one else next(iter(one), "") for one in fields
        ),
        "LoggingFilter": raw.get("LoggingFilter"),
    }
