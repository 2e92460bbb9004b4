"""Service scheduler: starts and stops tasks until the newest deployment has its desired count of healthy ones."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

from orderops.local.ecs import traffic_shift
from orderops.local.ecs.fleet import Fleet
from orderops.local.ecs.launch import definition, unusable_role
from orderops.local.ecs.records import Deployment, EcsServiceRecord, EcsTask

# Seconds. ECS waits up to 15 minutes between starts of a failing task, too long for a laptop.
MAX_BACKOFF = 15.0
# Seconds after which the end of a task counts as a new failure and not as a crash loop.
STABLE_AFTER = 10.0
# Seconds. A local process starts faster than the grace periods that AWS needs.
MAX_GRACE = 15.0
# ListServiceDeployments covers 90 days; the newest are enough for a rollback.
PAST_DEPLOYMENTS_KEPT = 20
# Failures in a row. AWS names no number.
IMPAIRED_AFTER = 3
# Both texts are from "Amazon ECS service event messages" in the ECS developer guide.
IMPAIRED = (
    "is unable to consistently start tasks successfully. For more information, see the Troubleshooting section of the "
    "Amazon ECS Developer Guide."
)
ASSUME_ERROR = (
    "ECS was unable to assume the role '{}' that was provided for this task. Please verify that the role being passed "
    "has the proper trust relationship and permissions and that your IAM user has permissions to pass this role."
)
BREAKER = "ECS deployment circuit breaker: "
Services = dict[tuple[str, str, str], EcsServiceRecord]
log = logging.getLogger(__name__)


class Scheduler:
    """Scheduler of all services of the account. Call only while holding the emulator's lock."""

    def __init__(self, tasks: Fleet, services: Callable[[], Services] | None = None) -> None:
        own: Services = {}
        self._services = services or (lambda: own)
        self._tasks = tasks

    @property
    def services(self) -> Services:
        """Services by region, cluster and name."""
        return self._services()

    def tick(self) -> None:
        """Take one step for each service."""
        for service in list(self.services.values()):
            try:
                self._reconcile(service)
            # One broken service must not stop the scheduling of the others.
            except Exception:
                log.exception("%s", service.arn)

    def tasks_of(self, service: EcsServiceRecord) -> list[EcsTask]:
        return self._tasks.of_group(service.region, service.cluster, f"service:{service.name}")

    def deploy(self, service: EcsServiceRecord, definition: str, rolls_back: str = "", reason: str = "") -> Deployment:
        """Start to roll out a task definition; the deployment so far becomes an older one."""
        if service.deployments and service.primary.shift and service.primary.rollout == "IN_PROGRESS":
            self._supersede(service, service.primary)
        for deployment in service.deployments:
            deployment.status = "ACTIVE"
        new = Deployment(definition, rolls_back=rolls_back, reason=reason)
        if traffic_shift.has_traffic_shift(service) and rolls_back:
            new.group = traffic_shift.live_group(service)
        elif traffic_shift.has_traffic_shift(service):
            traffic_shift.begin(service, new)
        service.deployments.insert(0, new)
        service.steady = False
        return new

    def roll_back(self, service: EcsServiceRecord, reason: str) -> bool:
        """Fail the newest deployment and return to the last completed one; False when none exists."""
        failed = service.primary
        traffic_shift.send_back(service, failed)
        target = next(
            (deployment for deployment in [*service.deployments, *service.past] if deployment.rollout == "COMPLETED"),
            None,
        )
        failed.finish("FAILED", reason)
        service.add_event(f"(deployment {failed.id}) deployment failed: {reason.removeprefix(BREAKER)}")
        if target is None:
            return False
        rollback_reason = f"{BREAKER}rolling back to deploymentId {target.id}."
        rollback = self.deploy(service, target.definition, failed.id, rollback_reason)
        service.add_event(f"rolling back to deployment {target.id}.")
        for task in self.tasks_of(service):
            if task.started_by == target.id and not task.stopped:
                # They already run the target definition: restarting them would only interrupt clients.
                task.started_by = rollback.id
        return True

    def _reconcile(self, service: EcsServiceRecord) -> None:
        tasks = self.tasks_of(service)
        if service.status != "ACTIVE":
            self._drain(service, tasks)
            return
        self._count_failures(service, tasks)
        self._stop_unhealthy(service, tasks)
        self._shift_traffic(service, tasks)
        if self._breaker_triggered(service):
            reason = f"{BREAKER}tasks failed to start."
            if not service.breaker.get("rollback") or not self.roll_back(service, reason):
                service.primary.finish("FAILED", reason)
        failed = service.primary.rollout == "FAILED"
        if (not failed or not service.desired) and traffic_shift.may_stop_older(service.primary):
            self._stop_older(service, tasks)
        if not failed:
            self._start_missing(service, service.primary, tasks)
        self._finish_deployment(service)

    def _shift_traffic(self, service: EcsServiceRecord, tasks: list[EcsTask]) -> None:
        """Take the next stages of a deployment with a target group of its own."""
        deployment = service.primary
        if deployment.shift is None or deployment.rollout != "IN_PROGRESS":
            return
        if reason := traffic_shift.step(service, deployment, tasks, self._tasks.is_healthy):
            if not self.roll_back(service, reason):
                deployment.finish("FAILED", reason)
        elif not traffic_shift.may_stop_older(deployment):
            # Both run until the end: the tasks before are what it would return to.
            for older in service.deployments[1:]:
                if older.rollout == "COMPLETED":
                    self._start_missing(service, older, tasks)

    def _supersede(self, service: EcsServiceRecord, deployment: Deployment) -> None:
        """End a deployment that another one takes the place of, and take the traffic from its tasks."""
        traffic_shift.send_back(service, deployment)
        for task in self.tasks_of(service):
            if task.started_by == deployment.id:
                task.stop("ServiceSchedulerInitiated", f"Scaling activity initiated by (deployment {deployment.id})")

    def _drain(self, service: EcsServiceRecord, tasks: list[EcsTask]) -> None:
        for task in tasks:
            task.stop("ServiceSchedulerInitiated", f"Scaling activity initiated by (service {service.name})")
        if service.status == "DRAINING" and all(task.stopped for task in tasks):
            service.status = "INACTIVE"

    def _count_failures(self, service: EcsServiceRecord, tasks: list[EcsTask]) -> None:
        deployments = {deployment.id: deployment for deployment in service.deployments}
        for task in tasks:
            if task.failure_counted or not task.stopped:
                continue
            task.failure_counted = True
            deployment = deployments.get(task.started_by)
            if deployment is None or not _failed(task):
                continue
            service.steady = False
            service.add_event(f"has stopped 1 running tasks: (task {task.id}).")
            if deployment.rollout == "IN_PROGRESS" and not task.ever_healthy:
                deployment.failed_tasks += 1
            lifetime = (task.stopped_at or 0) - (task.started_at or task.created_at)
            if lifetime > STABLE_AFTER:
                deployment.failures_in_a_row, deployment.next_start = 0, time.time()
            else:
                _back_off(service, deployment)

    def _stop_unhealthy(self, service: EcsServiceRecord, tasks: list[EcsTask]) -> None:
        grace = float(service.settings.get("healthCheckGracePeriodSeconds") or 0)
        for task in tasks:
            if not task.should_run or task.started_at is None or time.time() - task.started_at < min(grace, MAX_GRACE):
                continue
            if task.health == "UNHEALTHY":
                task.failed_checks = True
                # From "Amazon ECS service event messages" in the ECS developer guide.
                service.add_event(f"(task {task.id}) failed container health checks.")
                task.stop("ServiceSchedulerInitiated", "Task failed container health checks")
                continue
            for load_balancer, (state, reason) in zip(
                task.load_balancers, self._tasks.target_states(task), strict=False
            ):
                if state == "unhealthy":
                    group = load_balancer["targetGroupArn"]
                    task.failed_checks = True
                    service.add_event(
                        f"(task {task.id}) is unhealthy in (target-group {group}) due to (reason {reason})."
                    )
                    task.stop("ServiceSchedulerInitiated", f"Task failed ELB health checks in (target-group {group})")

    def _breaker_triggered(self, service: EcsServiceRecord) -> bool:
        primary = service.primary
        # Only rolling deployments have it ("DeploymentCircuitBreaker" in the ECS API reference).
        failing = primary.shift is None and primary.rollout == "IN_PROGRESS"
        failing = failing and primary.failed_tasks >= service.failure_threshold
        return failing and bool(service.breaker.get("enable")) and not primary.rolls_back

    def _stop_older(self, service: EcsServiceRecord, tasks: list[EcsTask]) -> None:
        """Stop older tasks as long as the minimum of healthy tasks remains."""
        running = [task for task in tasks if task.should_run]
        current = [task for task in running if task.started_by == service.primary.id]
        older = [task for task in running if task.started_by != service.primary.id]
        minimum = math.ceil(service.desired * _percent(service, "minimumHealthyPercent", 100) / 100)
        spare = sum(self._tasks.is_healthy(task) for task in running) - minimum
        # Unhealthy tasks first: they serve no client, and stopping them costs no capacity.
        for task in sorted(older, key=self._tasks.is_healthy):
            if not self._tasks.is_healthy(task):
                self._stop(service, task)
            elif spare > 0:
                spare -= 1
                self._stop(service, task)
        for task in sorted(current, key=self._tasks.is_healthy)[: max(0, len(current) - service.desired)]:
            self._stop(service, task)

    def _start_missing(self, service: EcsServiceRecord, deployment: Deployment, tasks: list[EcsTask]) -> None:
        running = [task for task in tasks if task.should_run]
        missing = service.desired - sum(task.started_by == deployment.id for task in running)
        if deployment.failures_in_a_row > 1:
            # Like ECS, try one task at a time while tasks keep failing.
            missing = min(missing, 1)
        number = missing
        # The percentages govern rolling deployments only.
        if service.primary.shift is None:
            most = max(math.floor(service.desired * _percent(service, "maximumPercent", 200) / 100), service.desired)
            number = min(missing, most - len(running))
        if number <= 0 or time.time() < deployment.next_start:
            return
        if role := unusable_role(definition(deployment.definition, service.region)):
            # ECS starts no task then, so that only the event says why.
            service.add_event(f"failed to launch a task with (error {ASSUME_ERROR.format(role)}).")
            deployment.failed_tasks += deployment.rollout == "IN_PROGRESS"
            _back_off(service, deployment)
            return
        for _ in range(number):
            task = self._tasks.add(self._new_task(service, deployment))
            service.steady = False
            service.add_event(f"has started 1 tasks: (task {task.id}).")

    def _new_task(self, service: EcsServiceRecord, deployment: Deployment) -> EcsTask:
        settings = service.settings
        tags = list(settings.get("tags") or ()) if settings.get("propagateTags") == "SERVICE" else []
        return EcsTask(
            region=service.region,
            cluster=service.cluster,
            definition=deployment.definition,
            group=f"service:{service.name}",
            started_by=deployment.id,
            launch_type=settings.get("launchType") or "FARGATE",
            tags=tags,
            execute_command=bool(settings.get("enableExecuteCommand")),
            load_balancers=[
                {**load_balancer, "targetGroupArn": deployment.group or load_balancer["targetGroupArn"]}
                for load_balancer in settings.get("loadBalancers") or ()
                if load_balancer.get("targetGroupArn")
            ],
        )

    def _stop(self, service: EcsServiceRecord, task: EcsTask) -> None:
        task.stop("ServiceSchedulerInitiated", f"Scaling activity initiated by (deployment {service.primary.id})")
        service.add_event(f"has begun draining connections on 1 tasks: (task {task.id}).")

    def _finish_deployment(self, service: EcsServiceRecord) -> None:
        """Complete the deployment and record the steady state once nothing is left to do."""
        tasks, primary = self.tasks_of(service), service.primary
        healthy = [task for task in tasks if task.started_by == primary.id and self._tasks.is_healthy(task)]
        older = [task for task in tasks if task.started_by != primary.id and not task.stopped]
        complete = len(healthy) == service.desired and not older and traffic_shift.may_stop_older(primary)
        if complete and primary.rollout == "IN_PROGRESS":
            primary.finish("COMPLETED", f"ECS deployment {primary.id} completed.")
            primary.failures_in_a_row = 0
            service.past = [*service.deployments[1:], *service.past][:PAST_DEPLOYMENTS_KEPT]
            service.deployments = [primary]
            service.add_event(f"(deployment {primary.id}) deployment completed.")
        if complete and primary.rollout == "COMPLETED" and not service.steady:
            service.steady = True
            service.add_event("has reached a steady state.")


def _back_off(service: EcsServiceRecord, deployment: Deployment) -> None:
    """Count a failure in a row, and delay the next start of a task."""
    deployment.failures_in_a_row += 1
    pause = min(2.0 ** (deployment.failures_in_a_row - 1), MAX_BACKOFF)
    deployment.next_start = time.time() + (pause if deployment.failures_in_a_row > 1 else 0)
    if deployment.failures_in_a_row == IMPAIRED_AFTER:
        service.add_event(IMPAIRED)


def _failed(task: EcsTask) -> bool:
    return task.failed_checks or task.stop_code in ("EssentialContainerExited", "TaskFailedToStart")


def _percent(service: EcsServiceRecord, name: str, default: int) -> float:
    percent = service.settings.get("deploymentConfiguration", {}).get(name)
    return float(default if percent is None else percent)
