"""Where a deployment with a second target group stands, and the answer to the pause at which it waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from orderops.aws.client import Aws, if_found
from orderops.engine.resource import Observed
from orderops.engine.scheduler import OnWait
from orderops.frozen import Frozen
from orderops.resources.ecs_service import EcsService
from orderops.resources.ecs_strategy import SHIFTED, TESTED

SCALING = frozenset({"", "RECONCILE_SERVICE", "PRE_SCALE_UP", "SCALE_UP", "POST_SCALE_UP"})
"""The stages in which tasks are started, and nothing else happens."""
SHIFTING = "PRODUCTION_TRAFFIC_SHIFT"
ABSENT = ("ServiceNotFoundException", "ClusterNotFoundException")
UNDER_WAY = ("PENDING", "IN_PROGRESS")
OVER = ("ConflictException", "ServiceDeploymentNotFoundException", "InvalidParameterException")
"""What ECS answers for a pause or a deployment that is over."""


class DeploymentStage(Frozen):
    """The stage of a deployment under way."""

    deployment: str
    """Its ARN."""
    stage: str
    """The lifecycle stage; "" where the strategy has none."""
    pause: str = ""
    """Id of the pause that waits for an answer."""
    ends: datetime | None = None
    """When ECS goes on without an answer."""
    then: str = ""
    """What it does then: ROLLBACK or CONTINUE."""

    @property
    def is_tested(self) -> bool:
        """Whether it waits while only requests of the test rule reach it."""
        return self.stage == TESTED and bool(self.pause)

    @property
    def is_baked(self) -> bool:
        """Whether it waits while all requests reach it."""
        return self.stage == SHIFTED and bool(self.pause)

    @property
    def takes_requests(self) -> bool:
        """Whether clients may reach it."""
        return self.stage in (SHIFTING, SHIFTED)

    @property
    def unanswered(self) -> str:
        """What ECS does without an answer, as a sentence without a full stop; "" if it waits for none."""
        if not self.pause or self.ends is None:
            return ""
        does = "returns to the release before" if self.then == "ROLLBACK" else "completes the release"
        return f"without an answer, ECS {does} at {self.ends:%H:%M} UTC"


def has_stages(service: Mapping[str, Any]) -> bool:
    """Whether deployments of a service, as DescribeServices returns it, go through stages."""
    return str((service.get("deploymentConfiguration") or {}).get("strategy") or "ROLLING") != "ROLLING"


def stage_of(aws: Aws, cluster: str, service: str, since: datetime | None = None) -> DeploymentStage | None:
    """The deployment of a service that is under way, of any strategy; None if there is none, or none since then."""
    answer = if_found(aws.ecs.list_service_deployments, *ABSENT, cluster=cluster, service=service)
    listed = answer["serviceDeployments"] if answer else []
    newest = max(listed, key=lambda one: one["createdAt"], default=None)
    if newest is None or newest["status"] not in UNDER_WAY or (since and newest["createdAt"] < since):
        return None
    arn = str(newest["serviceDeploymentArn"])
    described = aws.ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"]
    if not described or described[0]["status"] not in UNDER_WAY:
        return None
    hooks = described[0].get("lifecycleHookDetails") or ()
    waiting: dict[str, Any] = next((hook for hook in hooks if hook.get("status") == "AWAITING_ACTION"), {})
    return DeploymentStage(
        arn,
        described[0].get("lifecycleStage") or "",
        waiting.get("hookId", ""),
        waiting.get("expiresAt"),
        waiting.get("timeoutAction", ""),
    )


def answer_pause(aws: Aws, stage: DeploymentStage, action: Literal["CONTINUE", "ROLLBACK"]) -> bool:
    """Answer the pause at which a deployment waits; False if it does not wait any more."""
    answer = if_found(
        aws.ecs.continue_service_deployment,
        *OVER,
        serviceDeploymentArn=stage.deployment,
        hookId=stage.pause,
        action=action,
    )
    return answer is not None


def why_ended(aws: Aws, stage: DeploymentStage) -> str:
    """What ECS says of the end of a deployment."""
    described = aws.ecs.describe_service_deployments(serviceDeploymentArns=[stage.deployment])["serviceDeployments"]
    raw = described[0] if described else {}
    return str((raw.get("rollback") or {}).get("reason") or raw.get("statusReason") or "").rstrip(".")


def stop_deployment(aws: Aws, stage: DeploymentStage) -> bool:
    """Have ECS return to the release before; False if the deployment is over, or on its way back."""
    stop = aws.ecs.stop_service_deployment
    return if_found(stop, *OVER, serviceDeploymentArn=stage.deployment, stopType="ROLLBACK") is not None


def passing_pauses(aws: Aws, services: Sequence[Observed], on_wait: OnWait) -> OnWait:
    """Let deployments of services pass their pauses while they are waited for: a change that is no new release."""
    staged = {
        f"{EcsService.kind}/{service.name}": (str(service.properties["Cluster"]), service.name)
        for service in services
        if has_stages(service.properties)
    }

    def waits(address: str, waits_for: str) -> None:
        on_wait(address, waits_for)
        stage = stage_of(aws, *staged[address]) if address in staged and waits_for else None
        if stage and stage.pause:
            answer_pause(aws, stage, "CONTINUE")

    return waits
