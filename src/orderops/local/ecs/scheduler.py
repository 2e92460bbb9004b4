"""The scheduler of services: as many healthy tasks of the newest deployment as are desired, the older ones gone."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

from orderops.local.ecs.fleet import Fleet
from orderops.local.ecs.records import Deployment, EcsServiceRecord, EcsTask

LONGEST_BACKOFF = 15.0
LIVED_WELL = 10.0
LONGEST_GRACE = 5.0
KEPT_PAST = 20
Services = dict[tuple[str, str, str], EcsServiceRecord]
log = logging.getLogger(__name__)


class Scheduler:
    """All services of the account. The caller holds the emulator's lock."""

    def __init__(self, tasks: Fleet, services: Callable[[], Services] | None = None) -> None:
        own: Services = {}
        self._services = services or (lambda: own)
        self._tasks = tasks

    @property
    def services(self) -> Services:
        """By region, cluster and name."""
        return self._services()

    def tick(self) -> None:
        """Bring each service one step nearer to what is asked of it."""
        for service in list(self.services.values()):
            try:
                self._reconcile(service)
            except Exception:
                log.exception("%s", service.arn)

    def tasks_of(self, service: EcsServiceRecord) -> list[EcsTask]:
        return self._tasks.of_group(service.region, service.cluster, f"service:{service.name}")

    def deploy(self, service: EcsServiceRecord, definition: str, rolls_back: str = "", reason: str = "") -> Deployment:
        """Begin to roll out a task definition; what was the newest is on its way out."""
        for one in service.deployments:
            one.status = "ACTIVE"
        begun = Deployment(definition, rolls_back=rolls_back, reason=reason)
        service.deployments.insert(0, begun)
        service.steady = False
        return begun

    def roll_back(self, service: EcsServiceRecord, why: str) -> bool:
        """Give up the newest deployment for the last one that was completed; false when there is none."""
        failed = service.primary
        good = next((one for one in [*service.deployments, *service.past] if one.rollout == "COMPLETED"), None)
        failed.turn("FAILED", why)
        service.event(f"(deployment {failed.id}) deployment failed: {why}")
        if good is None:
            return False
        reason = f"ECS deployment circuit breaker: rolling back to deploymentId {good.id}."
        back = self.deploy(service, good.definition, failed.id, reason)
        service.event(f"rolling back to deployment {good.id}.")
        for task in self.tasks_of(service):
            if task.started_by == good.id and not task.over:
                task.started_by = back.id  # They run what is wanted; nobody gains from new ones.
        return True

    def _reconcile(self, service: EcsServiceRecord) -> None:
        tasks = self.tasks_of(service)
        if service.status != "ACTIVE":
            self._drain(service, tasks)
            return
        self._count_failures(service, tasks)
        self._judge_health(service, tasks)
        if self._breaker_is_due(service):
            why = "ECS deployment circuit breaker: tasks failed to start."
            if not service.breaker.get("rollback") or not self.roll_back(service, why):
                service.primary.turn("FAILED", why)
        failed = service.primary.rollout == "FAILED"
        if not failed or not service.desired:
            self._stop_older(service, tasks)
        if not failed:
            self._start_missing(service, tasks)
        self._conclude(service)

    def _drain(self, service: EcsServiceRecord, tasks: list[EcsTask]) -> None:
        for task in tasks:
            task.stop("ServiceSchedulerInitiated", f"Scaling activity initiated by (service {service.name})")
        if service.status == "DRAINING" and all(task.over for task in tasks):
            service.status = "INACTIVE"

    def _count_failures(self, service: EcsServiceRecord, tasks: list[EcsTask]) -> None:
        deployments = {one.id: one for one in service.deployments}
        for task in tasks:
            if task.counted or not task.over:
                continue
            task.counted = True
            deployment = deployments.get(task.started_by)
            if deployment is None or not _failed(task):
                continue
            service.steady = False
            service.event(f"has stopped 1 running tasks: (task {task.id}): {task.stopped_reason}.")
            if deployment.rollout == "IN_PROGRESS" and not task.ever_healthy:
                deployment.failed_tasks += 1
            lived = (task.stopped_at or 0) - (task.started_at or task.created_at)
            deployment.failures_in_a_row = 0 if lived > LIVED_WELL else deployment.failures_in_a_row + 1
            pause = min(2.0 ** (deployment.failures_in_a_row - 1), LONGEST_BACKOFF)
            deployment.next_start = time.time() + (pause if deployment.failures_in_a_row > 1 else 0)

    def _judge_health(self, service: EcsServiceRecord, tasks: list[EcsTask]) -> None:
        asked = float(service.settings.get("healthCheckGracePeriodSeconds") or 0)
        for task in tasks:
            if not task.wanted or task.started_at is None or time.time() - task.started_at < min(asked, LONGEST_GRACE):
                continue
            for balanced, (state, why) in zip(task.balanced, self._tasks.target_states(task), strict=False):
                if state == "unhealthy":
                    group = balanced["targetGroupArn"]
                    task.failed_checks = True
                    service.event(f"(task {task.id}) is unhealthy in (target-group {group}) due to (reason {why}).")
                    task.stop("ServiceSchedulerInitiated", f"Task failed ELB health checks in (target-group {group})")

    def _breaker_is_due(self, service: EcsServiceRecord) -> bool:
        primary = service.primary
        threshold = max(3, min(200, math.ceil(service.desired / 2)))
        failing = primary.rollout == "IN_PROGRESS" and primary.failed_tasks >= threshold
        return failing and bool(service.breaker.get("enable")) and not primary.rolls_back

    def _stop_older(self, service: EcsServiceRecord, tasks: list[EcsTask]) -> None:
        """Stop what is not wanted any more, as far as enough healthy tasks remain."""
        wanted = [task for task in tasks if task.wanted]
        mine = [task for task in wanted if task.started_by == service.primary.id]
        older = [task for task in wanted if task.started_by != service.primary.id]
        least = math.ceil(service.desired * _percent(service, "minimumHealthyPercent", 100) / 100)
        spare = sum(self._tasks.is_healthy(task) for task in wanted) - least
        for task in sorted(older, key=self._tasks.is_healthy):
            if not self._tasks.is_healthy(task):
                self._stop(service, task)
            elif spare > 0:
                spare -= 1
                self._stop(service, task)
        for task in sorted(mine, key=self._tasks.is_healthy)[: max(0, len(mine) - service.desired)]:
            self._stop(service, task)

    def _start_missing(self, service: EcsServiceRecord, tasks: list[EcsTask]) -> None:
        primary = service.primary
        wanted = [task for task in tasks if task.wanted]
        missing = service.desired - sum(task.started_by == primary.id for task in wanted)
        most = max(math.floor(service.desired * _percent(service, "maximumPercent", 200) / 100), service.desired)
        if primary.failures_in_a_row > 1:
            missing = min(missing, 1)  # One probe at a time while they fail.
        for _ in range(min(missing, most - len(wanted))) if time.time() >= primary.next_start else ():
            task = self._tasks.add(self._new_task(service))
            service.steady = False
            service.event(f"has started 1 tasks: (task {task.id}).")

    def _new_task(self, service: EcsServiceRecord) -> EcsTask:
        settings = service.settings
        tags = list(settings.get("tags") or ()) if settings.get("propagateTags") == "SERVICE" else []
        return EcsTask(
            region=service.region,
            cluster=service.cluster,
            definition=service.primary.definition,
            group=f"service:{service.name}",
            started_by=service.primary.id,
            launch_type=settings.get("launchType") or "FARGATE",
            tags=tags,
            execute_command=bool(settings.get("enableExecuteCommand")),
            balanced=[one for one in settings.get("loadBalancers") or () if one.get("targetGroupArn")],
        )

    def _stop(self, service: EcsServiceRecord, task: EcsTask) -> None:
        task.stop("ServiceSchedulerInitiated", f"Scaling activity initiated by (deployment {service.primary.id})")
        service.event(f"has begun draining connections on 1 tasks: (task {task.id}).")

    def _conclude(self, service: EcsServiceRecord) -> None:
        """Say when a deployment is completed, and when there is nothing left to do."""
        tasks, primary = self.tasks_of(service), service.primary
        healthy = [task for task in tasks if task.started_by == primary.id and self._tasks.is_healthy(task)]
        older = [task for task in tasks if task.started_by != primary.id and not task.over]
        complete = len(healthy) == service.desired and not older
        if complete and primary.rollout == "IN_PROGRESS":
            primary.turn("COMPLETED", f"ECS deployment {primary.id} completed.")
            primary.failures_in_a_row = 0
            service.past = [*service.deployments[1:], *service.past][:KEPT_PAST]
            service.deployments = [primary]
            service.event(f"(deployment {primary.id}) deployment completed.")
        if complete and primary.rollout == "COMPLETED" and not service.steady:
            service.steady = True
            service.event("has reached a steady state.")


def _failed(task: EcsTask) -> bool:
    return task.failed_checks or task.stop_code in ("EssentialContainerExited", "TaskFailedToStart")


def _percent(service: EcsServiceRecord, name: str, default: int) -> float:
    found = service.settings.get("deploymentConfiguration", {}).get(name)
    return float(default if found is None else found)
