"""Application Auto Scaling target: limits for the number of tasks of an ECS service, and its CPU goal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ENVIRONMENT, Ownership
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.resources.ecs_cluster import EcsCluster
from orderops.resources.ecs_service import EcsService
from orderops.resources.iam_service_linked_role import IamServiceLinkedRole

DIMENSION = "ecs:service:DesiredCount"
WHERE = {"ServiceNamespace": "ecs", "ScalableDimension": DIMENSION}
METRIC = "ECSServiceAverageCPUUtilization"
POLICY = "cpu"


@dataclass(frozen=True, eq=False)
class AutoscalingTarget(Resource):
    """From `least` to `most` tasks, aiming at an average CPU use of `cpu_percent`. Has the name of its service."""

    service: EcsService
    least: int
    most: int
    cpu_percent: int
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
        policies = [
            raw for raw in every(call, "ScalingPolicies", ServiceNamespace="ecs") if raw["ResourceId"] == observed.id
        ]
        return replace(observed, properties={**observed.properties, "CpuPercent": _cpu_percent(policies)})

    def desired(self, outputs: Outputs) -> Properties:
        return {"MinCapacity": self.least, "MaxCapacity": self.most, "CpuPercent": float(self.cpu_percent)}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        self._register(aws, desired)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        if changed.keys() & {"MinCapacity", "MaxCapacity"}:
            self._register(aws, {**observed.properties, **changed})
        if "CpuPercent" in changed:
            aws.application_autoscaling.put_scaling_policy(
                **WHERE,
                ResourceId=observed.id,
                PolicyName=POLICY,
                PolicyType="TargetTrackingScaling",
                TargetTrackingScalingPolicyConfiguration={
                    "TargetValue": changed["CpuPercent"],
                    "PredefinedMetricSpecification": {"PredefinedMetricType": METRIC},
                },
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


def _cpu_percent(policies: list[dict[str, Any]]) -> Any:
    """The CPU goal in percent; None unless the policy is the one that orderops creates."""
    configurations = {raw["PolicyName"]: raw.get("TargetTrackingScalingPolicyConfiguration", {}) for raw in policies}
    metric = configurations.get(POLICY, {}).get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
    return configurations[POLICY]["TargetValue"] if metric == METRIC else None
