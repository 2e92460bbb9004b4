"""Application Auto Scaling target: limits for the number of tasks of an ECS service, and the goal of its policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ENVIRONMENT, Ownership, to_pairs
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.frozen import Frozen, replace
from orderops.resources.ecs_cluster import EcsCluster
from orderops.resources.ecs_service import EcsService
from orderops.resources.iam_service_linked_role import IamServiceLinkedRole
from orderops.resources.sqs_queue import SqsQueue

DIMENSION = "ecs:service:DesiredCount"
WHERE = {"ServiceNamespace": "ecs", "ScalableDimension": DIMENSION}
METRIC = "ECSServiceAverageCPUUtilization"
# One name for every goal: a service that becomes a worker then replaces its goal in one call, and never has two.
POLICY = "cpu"
# Messages for each running task. SQS sends no metric of a queue that was unused for six hours: then it is empty. If no
# task runs, one is assumed, since a division by 0 has no result and would start none. Without the number of tasks,
# which Container Insights counts, there is no result, and the service keeps the tasks that it has.
BACKLOG = "FILL(messages, 0) / IF(tasks > 0, tasks, 1)"


class Backlog(Frozen):
    """A goal for the number of messages in a queue for each task."""

    queue: SqsQueue
    messages: int


class AutoscalingTarget(Resource):
    """From `least` to `most` tasks, aiming at an average CPU use of `cpu_percent`, or at a backlog of a queue.

    Has the name of its service.
    """

    service: EcsService
    least: int
    most: int
    cpu_percent: int | None = None
    backlog: Backlog | None = None
    linked_role: IamServiceLinkedRole | None = None

    kind: ClassVar[str] = "autoscaling-target"
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {
            # Raised by PutScalingPolicy directly after the target was registered, and by deletes.
            "ObjectNotFoundException",
            "ConcurrentUpdateException",
            "ValidationException: ECS service doesn't exist",
            # Other services do not know a new role for up to two minutes.
            "ValidationException: Unable to assume IAM role",
        }
    )
    untagged: ClassVar[bool] = True

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        # Targets have no tags, so the tags of their cluster decide.
        clusters = EcsCluster.listing(aws, Ownership(owner.environment))
        owned = {observed.name for observed in clusters if (observed.tags or {}).get(ENVIRONMENT) == owner.environment}
        call = aws.application_autoscaling.describe_scalable_targets
        for raw in every(call, "ScalableTargets", ServiceNamespace="ecs"):
            _, cluster, name = raw["ResourceId"].split("/")
            if cluster in owned and name.startswith(owner.prefix) and raw["ScalableDimension"] == DIMENSION:
                properties = {"MinCapacity": raw["MinCapacity"], "MaxCapacity": raw["MaxCapacity"]}
                tags = owner.named(cls.kind, name)
                yield Observed(
                    raw["ResourceId"], properties, tags=tags, name=name, arn=raw.get("ScalableTargetARN", "")
                )

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        call = aws.application_autoscaling.describe_scaling_policies
        policies = {
            raw["PolicyName"]: raw.get("TargetTrackingScalingPolicyConfiguration", {})
            for raw in every(call, "ScalingPolicies", ServiceNamespace="ecs")
            if raw["ResourceId"] == observed.id
        }
        goal = policies.get(POLICY, {})
        goals = {"CpuPercent": _cpu_percent(goal), "BacklogPerTask": _backlog(goal)}
        return replace(observed, properties={**observed.properties, **goals})

    def desired(self, outputs: Outputs) -> Properties:
        return {
            "MinCapacity": self.least,
            "MaxCapacity": self.most,
            "CpuPercent": None if self.cpu_percent is None else float(self.cpu_percent),
            "BacklogPerTask": self._goal() if self.backlog else None,
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        self._register(aws, desired)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        if changed.keys() & {"MinCapacity", "MaxCapacity"}:
            self._register(aws, {**observed.properties, **changed})
        if changed.keys() & {"CpuPercent", "BacklogPerTask"}:
            aws.application_autoscaling.put_scaling_policy(
                **WHERE,
                ResourceId=observed.id,
                PolicyName=POLICY,
                PolicyType="TargetTrackingScaling",
                TargetTrackingScalingPolicyConfiguration=self._goal(),
            )

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        # Also deletes the scaling policies.
        aws.application_autoscaling.deregister_scalable_target(**WHERE, ResourceId=observed.id)

    def _register(self, aws: Aws, properties: Properties) -> None:
        aws.application_autoscaling.register_scalable_target(
            **WHERE,
            ResourceId=f"service/{self.service.cluster.name}/{self.service.name}",
            MinCapacity=properties["MinCapacity"],
            MaxCapacity=properties["MaxCapacity"],
        )

    def _goal(self) -> dict[str, Any]:
        """The configuration of the policy; that of a backlog is AWS's "Example: Amazon SQS queue backlog per task"."""
        if self.backlog is None:
            predefined = {"PredefinedMetricType": METRIC}
            return {"TargetValue": float(self.cpu_percent or 0), "PredefinedMetricSpecification": predefined}
        service = {"ClusterName": self.service.cluster.name, "ServiceName": self.service.name}
        queue = {"QueueName": self.backlog.queue.name}
        return {
            "TargetValue": float(self.backlog.messages),
            # New tasks are there and counted within a minute; without these, both would be 300.
            "ScaleOutCooldown": 60,
            "ScaleInCooldown": 300,
            "CustomizedMetricSpecification": {
                "Metrics": [
                    _metric("messages", "AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", queue),
                    _metric("tasks", "ECS/ContainerInsights", "RunningTaskCount", "Average", service),
                    {"Id": "backlog", "Expression": BACKLOG, "ReturnData": True},
                ]
            },
        }


def _metric(name: str, namespace: str, metric: str, stat: str, dimensions: Mapping[str, str]) -> dict[str, Any]:
    found = {"Namespace": namespace, "MetricName": metric, "Dimensions": to_pairs(dimensions, "Name", "Value")}
    return {"Id": name, "MetricStat": {"Metric": found, "Stat": stat}, "ReturnData": False}


def _backlog(configuration: Mapping[str, Any]) -> Any:
    """The goal for a backlog, without what AWS fills in; None for another goal."""
    ours = ("TargetValue", "ScaleOutCooldown", "ScaleInCooldown", "CustomizedMetricSpecification")
    return {key: configuration.get(key) for key in ours} if "CustomizedMetricSpecification" in configuration else None


def _cpu_percent(configuration: Mapping[str, Any]) -> Any:
    """The CPU goal in percent; None for another goal."""
    metric = configuration.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
    return configuration["TargetValue"] if metric == METRIC else None
