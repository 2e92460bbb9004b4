"""ECS service on Fargate, behind a balancer: rolling deployments with circuit breaker, or with a second group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import Ownership, Tags, from_pairs, to_pairs
from orderops.engine.names import NameRule
from orderops.engine.resource import Effect, Observed, Outputs, Properties, Resource, State
from orderops.errors import AwsError, OrderopsError
from orderops.frozen import replace
from orderops.resources.ec2_security_group import Ec2SecurityGroup
from orderops.resources.ec2_subnet import Ec2Subnet
from orderops.resources.ecs_cluster import EcsCluster
from orderops.resources.ecs_failure import trouble, why_deployment_failed
from orderops.resources.ecs_strategy import (
    ROLLING,
    SecondGroup,
    balanced,
    given_balancer,
    in_order,
    observed_balancer,
    observed_configuration,
    production_rule,
)
from orderops.resources.ecs_task_definition import EcsTaskDefinition
from orderops.resources.elbv2_rule import Elbv2Rule, live_group_taken_away, live_target_group

SERVICES_A_CALL = 10
STATES = {"DRAINING": State.GOING}
DEPLOYMENT = {
    "minimumHealthyPercent": 100,
    "maximumPercent": 200,
    # The last two are AWS's defaults. UpdateService keeps what a request leaves out, so a change by hand would stay.
    "deploymentCircuitBreaker": {
        "enable": True,
        "rollback": True,
        "resetOnHealthyTask": True,
        "thresholdConfiguration": {"type": "BOUNDED_PERCENT", "value": 50},
    },
}
# What AWS assumes where a service was made without these.
BREAKER_DEFAULTS = {
    "enable": False,
    "rollback": False,
    "resetOnHealthyTask": True,
    "thresholdConfiguration": {"type": "BOUNDED_PERCENT", "value": 50},
}
NETWORK = ("Subnets", "SecurityGroups")
# AWS always returns these properties, the emulator never does.
ALWAYS_RETURNED = {
    "deploymentConfiguration": {**DEPLOYMENT, **ROLLING},
    "enableExecuteCommand": True,
}


class EcsService(Resource):
    """Has at least `tasks` tasks; from there on, autoscaling sets their number. `grace` is in seconds.

    Without a rule, no load balancer checks the tasks, and ECS goes by the health check of their container.
    """

    cluster: EcsCluster
    task_definition: EcsTaskDefinition
    subnets: tuple[Ec2Subnet, ...]
    security_groups: tuple[Ec2SecurityGroup, ...]
    rule: Elbv2Rule | None
    tasks: int = 1
    grace: int = 60
    second: SecondGroup | None = None
    """How a second target group takes over at each release; None for rolling releases."""
    also: Elbv2Rule | None = None
    """The rule of another load balancer, while requests come by two."""

    kind: ClassVar[str] = "ecs-service"
    name_rule: ClassVar[NameRule | None] = NameRule(255, r"[A-Za-z0-9_-]+", "letters, digits, _ and -")
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {
            # May be raised directly after CreateCluster.
            "ClusterNotFoundException",
            "ServiceNotFoundException",
            "ServiceNotActiveException",
            # A role that ECS is to change the balancer with may be known to it a minute later.
            "InvalidParameterException: Unable to assume the role",
            # Raised until a listener or rule uses the target group.
            "InvalidParameterException: does not have an associated load balancer",
            "InvalidParameterException: Unable to assume the service linked role",
            # ECS does not know a new role for up to two minutes.
            "InvalidParameterException: verify that the ECS service role being passed has the proper permissions",
            "InvalidParameterException: Creation of service was not idempotent",
            "InvalidParameterException: cannot be stopped while deployments are active",
            # Also raised for a role that is only seconds old (terraform-aws-modules/terraform-aws-ecs issue 414).
            "AccessDeniedException: iam:PassRole",
        }
    )
    immutable: ClassVar[frozenset[str]] = frozenset({"LaunchType"})
    result_properties: ClassVar[frozenset[str]] = frozenset({"Rollout"})
    # A deployment that cannot succeed does not delay the deletion of the service.
    removable: ClassVar[frozenset[State]] = frozenset({State.READY, State.PENDING, State.FAILED})
    effects: ClassVar[Mapping[str, Effect]] = dict.fromkeys(
        ("TaskDefinition", "LoadBalancers", "Rollout", *NETWORK), Effect.RESTARTS
    )
    timeout: ClassVar[timedelta] = timedelta(minutes=20)
    typical_duration: ClassVar[timedelta] = timedelta(minutes=2)

    @property
    def patience(self) -> timedelta:
        return self.timeout + (self.second.duration if self.second else timedelta())

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for cluster in EcsCluster.listing(aws, Ownership(owner.environment)):
            names = [owner.name] if owner.address else _names(aws, cluster)
            for start in range(0, len(names), SERVICES_A_CALL):
                chunk = names[start : start + SERVICES_A_CALL]
                for raw in _described(aws, cluster, chunk):
                    if raw["status"] != "INACTIVE":
                        yield _observed(raw)

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        missing = {key: value for key, value in observed.properties.items() if value is None and key in ALWAYS_RETURNED}
        defaults: dict[str, Any] = {key: ALWAYS_RETURNED[key] for key in missing}
        if observed.properties.get("healthCheckGracePeriodSeconds") is None:
            defaults["healthCheckGracePeriodSeconds"] = self.grace
        # More tasks are autoscaling's decision, or an operator's in an incident. Fewer stay fewer: autoscaling leaves
        # a number below its minimum alone until an alarm scales out, and a service without tasks raises none (ECS
        # developer guide, "Automatically scale your Amazon ECS service").
        if observed.properties["desiredCount"] >= self.tasks:
            defaults["desiredCount"] = self.tasks
        if self.rule:
            balancers = observed.properties["LoadBalancers"]
            ordered = (in_order(balancer, self.rule.target_group) for balancer in balancers)
            defaults["LoadBalancers"] = sorted(ordered, key=str)
            if self.second is None and (rule := production_rule(balancers)):
                # Read only where a strategy is to be taken away.
                defaults["LiveTargetGroupArn"] = live_target_group(aws, rule)
        return replace(observed, properties={**observed.properties, **defaults})

    def refusal(self, observed: Observed, key: str, desired: Any, environment: str) -> OrderopsError | None:
        live = observed.properties.get("LiveTargetGroupArn")
        if key != "LoadBalancers" or not live or any(one.get("targetGroupArn") == live for one in desired):
            return None
        return live_group_taken_away(self.name, environment)

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.ecs.tag_resource(resourceArn=observed.arn, tags=to_pairs(tags, "key", "value"))

    def desired(self, outputs: Outputs) -> Properties:
        definition = self.task_definition
        rules = [rule for rule in (self.rule, self.also) if rule]
        return {
            "LaunchType": "FARGATE",
            "desiredCount": self.tasks,
            "TaskDefinition": outputs[definition].arn,
            "Subnets": sorted(outputs[subnet].id for subnet in self.subnets),
            "SecurityGroups": sorted(outputs[group].id for group in self.security_groups),
            # A service keeps its load balancers in no order.
            "LoadBalancers": sorted(
                (balanced(rule, self.second, definition.container, definition.port, outputs) for rule in rules), key=str
            ),
            "deploymentConfiguration": {**DEPLOYMENT, **(self.second.configuration() if self.second else ROLLING)},
            # Of no meaning without a load balancer: the check of a container has a grace of its own.
            **({"healthCheckGracePeriodSeconds": self.grace} if rules else {}),
            "enableExecuteCommand": True,
            "propagateTags": "SERVICE",
            "Rollout": "COMPLETED",
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        given = _given(desired, desired)
        # An empty list clears the hooks of an existing service; a new one has none.
        configuration = {key: value for key, value in given["deploymentConfiguration"].items() if value != []}
        aws.ecs.create_service(
            cluster=self.cluster.name,
            serviceName=self.name,
            launchType=desired["LaunchType"],
            **{**given, "deploymentConfiguration": configuration},
            tags=to_pairs(owner.tags, "key", "value"),
        )

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        given = _given({**observed.properties, **changed}, changed)
        if set(changed) == {"Rollout"}:
            given["forceNewDeployment"] = True
        aws.ecs.update_service(cluster=self.cluster.name, service=observed.name, **given)

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.ecs.delete_service(cluster=observed.properties["Cluster"], service=observed.name, force=True)

    @classmethod
    def rollback_reason(cls, aws: Aws, observed: Observed) -> str:
        why = why_deployment_failed(aws, observed.properties["Cluster"], observed.name)
        return why or str(observed.properties.get("RolloutReason", ""))


def _names(aws: Aws, cluster: Observed) -> list[str]:
    try:
        return [arn.rpartition("/")[2] for arn in every(aws.ecs.list_services, "serviceArns", cluster=cluster.name)]
    except AwsError as error:
        if error.code != "ClusterNotFoundException":
            raise
        return []


def _described(aws: Aws, cluster: Observed, names: list[str]) -> list[dict[str, Any]]:
    try:
        # DescribeServices returns tags only if they are requested.
        answer = aws.ecs.describe_services(cluster=cluster.name, services=names, include=["TAGS"])
    except AwsError as error:
        if error.code not in ("ClusterNotFoundException", "ServiceNotFoundException"):
            raise
        return []
    return list(answer["services"])


def _observed(raw: Mapping[str, Any]) -> Observed:
    network = raw.get("networkConfiguration", {}).get("awsvpcConfiguration", {})
    primary: Mapping[str, Any] = next(
        (deployment for deployment in raw.get("deployments", ()) if deployment["status"] == "PRIMARY"), {}
    )
    rollout = primary.get("rolloutState", "COMPLETED")
    progress, short = _progress(raw, primary), raw["runningCount"] < raw["desiredCount"]
    return Observed(
        raw["serviceArn"],
        {
            "LaunchType": raw.get("launchType"),
            "desiredCount": raw["desiredCount"],
            "TaskDefinition": raw["taskDefinition"],
            "Subnets": sorted(network.get("subnets", ())),
            "SecurityGroups": sorted(network.get("securityGroups", ())),
            "LoadBalancers": [observed_balancer(balancer) for balancer in raw.get("loadBalancers", ())],
            "deploymentConfiguration": _deployment(raw.get("deploymentConfiguration")),
            "healthCheckGracePeriodSeconds": raw.get("healthCheckGracePeriodSeconds"),
            "enableExecuteCommand": raw.get("enableExecuteCommand"),
            "propagateTags": raw.get("propagateTags", "NONE"),
            "Rollout": "FAILED" if rollout == "FAILED" else "COMPLETED",
            "RolloutReason": primary.get("rolloutStateReason", ""),
            "Cluster": raw["clusterArn"].rpartition("/")[2],
            "DeployedAt": primary.get("createdAt"),
        },
        tags=from_pairs(raw.get("tags"), "key", "value"),
        name=raw["serviceName"],
        arn=raw["serviceArn"],
        state=STATES.get(raw["status"], State.PENDING if rollout == "IN_PROGRESS" else State.READY),
        status=raw["status"].lower() if raw["status"] in STATES else progress,
        # A changed number of tasks makes no deployment, so `rolloutState` says nothing of it.
        settling=progress if short else "",
    )


def _progress(raw: Mapping[str, Any], primary: Mapping[str, Any]) -> str:
    """How many tasks run, and the newest event that tells of a problem."""
    running = f"{raw['runningCount']} of {raw['desiredCount']} wanted tasks run"
    failed = f", {primary['failedTasks']} failed" if primary.get("failedTasks") else ""
    return "; ".join([f"{running}{failed}", *trouble(raw, primary.get("createdAt"))[:1]])


def _deployment(raw: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The declared properties; AWS returns more."""
    if not raw or "deploymentCircuitBreaker" not in raw:
        return None
    breaker = {key: raw["deploymentCircuitBreaker"].get(key, value) for key, value in BREAKER_DEFAULTS.items()}
    return {
        "minimumHealthyPercent": raw.get("minimumHealthyPercent", 100),
        "maximumPercent": raw.get("maximumPercent", 200),
        "deploymentCircuitBreaker": breaker,
        **observed_configuration(raw),
    }


def _given(desired: Properties, changed: Properties) -> dict[str, Any]:
    """The parameters of UpdateService for the changed properties."""
    # Load balancers are sent only if they changed: sending them again would start a deployment. The number of tasks is
    # sent only if it is too low: sending it at other times would undo what autoscaling decided meanwhile.
    names = {"TaskDefinition": "taskDefinition", "LoadBalancers": "loadBalancers", "desiredCount": "desiredCount"}
    same = ("deploymentConfiguration", "healthCheckGracePeriodSeconds", "enableExecuteCommand", "propagateTags")
    given = {names.get(key, key): desired[key] for key in (*names, *same) if key in changed}
    if "loadBalancers" in given:
        given["loadBalancers"] = [given_balancer(balancer) for balancer in given["loadBalancers"]]
    if changed.keys() & set(NETWORK):
        awsvpc = {
            "subnets": desired["Subnets"],
            "securityGroups": desired["SecurityGroups"],
            "assignPublicIp": "DISABLED",
        }
        given["networkConfiguration"] = {"awsvpcConfiguration": awsvpc}
    return given
