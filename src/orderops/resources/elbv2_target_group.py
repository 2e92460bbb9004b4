"""Target group: the targets of a load balancer, and their health check."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ENVIRONMENT, Ownership, Tags, to_pairs
from orderops.engine.names import NameRule
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.frozen import replace
from orderops.resources.ec2_dependents import named
from orderops.resources.ec2_vpc import Ec2Vpc
from orderops.resources.elbv2_load_balancer import tags_of

DELAY = "deregistration_delay.timeout_seconds"
FIXED = ("Protocol", "TargetType", "VpcId")
CHECKS = (
    "HealthCheckProtocol",
    "HealthCheckPort",
    "HealthCheckPath",
    "HealthCheckIntervalSeconds",
    "HealthCheckTimeoutSeconds",
    "HealthyThresholdCount",
    "UnhealthyThresholdCount",
    "Matcher",
)


class Elbv2TargetGroup(Resource):
    """Targets by IP address, as Fargate requires; `deregistration_delay` and `interval` are in seconds.

    `port` is for targets that are registered without one. ECS registers every task with its container port, so tasks
    with another port join the same group while the old ones leave it, and the port of the group need not change.
    """

    vpc: Ec2Vpc
    port: int
    health_path: str = "/health"
    deregistration_delay: int = 30
    interval: int = 15

    kind: ClassVar[str] = "elbv2-target-group"
    name_rule: ClassVar[NameRule | None] = NameRule(
        32, r"[A-Za-z0-9](-*[A-Za-z0-9])*", "letters, digits and inner hyphens"
    )
    needs_unused_to_delete: ClassVar[bool] = True
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        # A deleted listener or rule may use the group for up to two minutes more (ResourceInUse).
        {"TargetGroupNotFound", "DuplicateTargetGroupName", "ResourceInUse"}
    )
    immutable: ClassVar[frozenset[str]] = frozenset(FIXED)
    replacement_hint: ClassVar[str] = "declare the service under another name alongside this one, then remove this one"

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in every(aws.elbv2.describe_target_groups, "TargetGroups"):
            if raw["TargetGroupName"].startswith(owner.prefix):
                properties = {key: raw.get(key) for key in (*FIXED, *CHECKS)}
                suffix = "targetgroup/" + raw["TargetGroupArn"].partition(":targetgroup/")[2]
                extra = {"ArnSuffix": suffix, "LoadBalancerArns": raw.get("LoadBalancerArns", [])}
                yield Observed(
                    raw["TargetGroupArn"],
                    {**properties, **extra},
                    name=raw["TargetGroupName"],
                    arn=raw["TargetGroupArn"],
                )

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        pairs = aws.elbv2.describe_target_group_attributes(TargetGroupArn=observed.arn)["Attributes"]
        attributes = {pair["Key"]: pair["Value"] for pair in pairs}
        return replace(observed, properties={**observed.properties, DELAY: attributes.get(DELAY, "300")})

    @classmethod
    def tags(cls, aws: Aws, observed: Observed) -> Tags:
        return tags_of(aws, observed.arn)

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.elbv2.add_tags(ResourceArns=[observed.arn], Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {
            "Protocol": "HTTP",
            "TargetType": "ip",
            "VpcId": outputs[self.vpc].id,
            "HealthCheckProtocol": "HTTP",
            "HealthCheckPort": "traffic-port",
            "HealthCheckPath": self.health_path,
            "HealthCheckIntervalSeconds": self.interval,
            "HealthCheckTimeoutSeconds": 5,
            "HealthyThresholdCount": 2,
            "UnhealthyThresholdCount": 3,
            "Matcher": {"HttpCode": "200"},
            DELAY: str(self.deregistration_delay),
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        given = {key: desired[key] for key in (*FIXED, *CHECKS)}
        aws.elbv2.create_target_group(Name=self.name, Port=self.port, **given, Tags=owner.pairs)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        checks = {key: value for key, value in changed.items() if key in CHECKS}
        if checks:
            aws.elbv2.modify_target_group(TargetGroupArn=observed.arn, **checks)
        if DELAY in changed:
            pairs = to_pairs({DELAY: changed[DELAY]})
            aws.elbv2.modify_target_group_attributes(TargetGroupArn=observed.arn, Attributes=pairs)

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.elbv2.delete_target_group(TargetGroupArn=observed.arn)

    @classmethod
    def blockers(cls, aws: Aws, observed: Observed) -> str:
        prefix = f"orderops-{(observed.tags or {}).get(ENVIRONMENT, '')}-"
        arns = [arn for arn in observed.properties["LoadBalancerArns"] if not arn.split("/")[-2].startswith(prefix)]
        return named(user for arn in arns for user in _users(aws, arn, observed.arn))


def is_named(arn: str, group: Elbv2TargetGroup) -> bool:
    """Whether this is the ARN of a declared target group."""
    return arn.split("/")[-2] == group.name


def _users(aws: Aws, balancer: str, target_group: str) -> Iterator[str]:
    """The listeners that route to a target group, by default or by a rule."""
    for listener in every(aws.elbv2.describe_listeners, "Listeners", LoadBalancerArn=balancer):
        rules = every(aws.elbv2.describe_rules, "Rules", ListenerArn=listener["ListenerArn"])
        actions = [*listener["DefaultActions"], *(action for rule in rules for action in rule["Actions"])]
        if any(target_group in str(action) for action in actions):
            yield f"the listener {balancer.split('/')[-2]}:{listener['Port']}"
