"""The health board: what is measured, and what it means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from orderops.aws.client import Aws, every, if_found
from orderops.aws.documents import Bucket
from orderops.errors import AwsError
from orderops.infra.service import ServiceBase
from orderops.infra.workspace import Workspace
from orderops.resources.ecs_service import stopped_tasks
from orderops.resources.sqs_queue import GONE
from orderops.restore.drill_record import Drill
from orderops.restore.drill_record import last_drill as last_drill
from orderops.restore.instances import PROMOTED_BY, load_instances

READERS = 8


class ComponentState(StrEnum):
    """How a component is."""

    OK = "ok"
    STARTING = "starting"
    DEGRADED = "degraded"
    DOWN = "down"
    ABSENT = "absent"


class HealthVerdict(StrEnum):
    """How the whole is."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    DOWN = "down"
    ABSENT = "absent"


@dataclass(frozen=True)
class ComponentStatus:
    """One part of the system; `mend` is what to type when it is not well."""

    name: str
    state: ComponentState
    detail: str
    next_command: str = ""


@dataclass(frozen=True)
class Health:
    """One verdict with one root cause and one next command."""

    environment: str
    verdict: HealthVerdict
    cause: str
    next: str
    urls: Mapping[str, str]
    components: tuple[ComponentStatus, ...]
    proven: Drill | None = None
    """The last restore that was proven by a drill."""

    def to_dict(self) -> dict[str, Any]:
        """For machines; keys stay as they are."""
        parts = [{"name": each.name, "state": str(each.state), "detail": each.detail} for each in self.components]
        return {
            "environment": self.environment,
            "verdict": str(self.verdict),
            "cause": self.cause,
            "next": self.next,
            "urls": dict(self.urls),
            "components": parts,
            "proven_restore": self.proven.to_dict() if self.proven else None,
        }


def examine(workspace: Workspace) -> Health:
    """Measure every component beside the others, and say what is wrong first."""
    looks: list[Callable[[], ComponentStatus]] = [
        lambda: _database(workspace),
        *(lambda base=base: _queue(workspace, base) for base in workspace.stack.services.values()),
        *(lambda base=base: _service(workspace, base) for base in workspace.stack.services.values()),
        lambda: _alarms(workspace),
    ]
    with ThreadPoolExecutor(READERS) as pool:
        balancer = pool.submit(_balancer, workspace)
        drill = pool.submit(lambda: last_drill(Bucket(workspace.aws), workspace.environment.name))
        components = tuple(pool.map(lambda look: look(), looks))
        entrance, urls = balancer.result()
        proven = drill.result()
    judged = judge(workspace.environment.name, (*components[:-1], entrance, components[-1]), urls)
    return replace(judged, proven=proven)


def judge(environment: str, components: tuple[ComponentStatus, ...], urls: Mapping[str, str]) -> Health:
    """The verdict on components given in the order of their dependence: the first that is not well is the cause."""
    vital = [each for each in components if each.name != "alarms"]
    if all(each.state is ComponentState.ABSENT for each in vital):
        return Health(
            environment,
            HealthVerdict.ABSENT,
            "nothing of it is there",
            _for("orderops up", environment),
            {},
            components,
        )
    unwell = [each for each in components if each.state is not ComponentState.OK]
    if not unwell:
        return Health(environment, HealthVerdict.HEALTHY, "", "", urls, components)
    lost = [each for each in unwell if each.state in (ComponentState.DOWN, ComponentState.ABSENT)]
    first = (lost or unwell)[0]
    verdict = HealthVerdict.DOWN if lost else HealthVerdict.DEGRADED
    cause = f"{first.name} is {first.state}: {first.detail}"
    return Health(environment, verdict, cause, _for(first.next_command or "orderops up", environment), urls, components)


def _for(command: str, environment: str) -> str:
    """The command with its environment, which is named even where it is the default: ORDEROPS_ENV may say another."""
    return command if command.startswith("orderops local ") else f"{command} --env {environment}"


def _database(workspace: Workspace) -> ComponentStatus:
    copies = load_instances(workspace.aws, workspace.stack)
    if copies.primary is None:
        return ComponentStatus("database", ComponentState.ABSENT, "no instance")
    told, name = copies.primary.observed.properties, copies.primary.name
    promoted = f", {name}" if name != workspace.stack.database.name else ""
    where = f"{told['Engine']} {told['EngineVersion']}, {told['DBInstanceClass']}{promoted}"
    status = told["DBInstanceStatus"]
    if not copies.primary.settled:
        command = f"orderops restore {copies.primary.tag(PROMOTED_BY) or 'promote'}"
        return ComponentStatus(
            "database", ComponentState.DEGRADED, f"a switch was cut: not everything followed{promoted}", command
        )
    if status in ("available", "storage-optimization", "backing-up", "configuring-log-exports"):
        return ComponentStatus("database", ComponentState.OK, where)
    if status in ("creating", "starting", "rebooting", "modifying", "upgrading", "maintenance", "renaming"):
        state = ComponentState.STARTING if status == "creating" else ComponentState.DEGRADED
        return ComponentStatus("database", state, f"{status}; {where}", "orderops status --watch")
    known_there = workspace.environment.emulated and not status.startswith("stop")
    mend = "orderops local status" if known_there else "orderops up"
    return ComponentStatus("database", ComponentState.DOWN, f"{status}; {where}", mend)


def _queue(workspace: Workspace, base: ServiceBase) -> ComponentStatus:
    name = f"queue {base.key}"
    waiting = _depth(workspace.aws, base.queue.name)
    dead = _depth(workspace.aws, base.dead_letters.name)
    if waiting is None or dead is None:
        return ComponentStatus(name, ComponentState.ABSENT, "no queue" if waiting is None else "no dead-letter queue")
    limits = base.declared.alarms
    detail = f"{waiting} waiting, {dead} dead letters"
    if dead > limits.dead_letters or waiting > limits.queue_depth:
        return ComponentStatus(name, ComponentState.DEGRADED, detail, "orderops infra outputs")
    return ComponentStatus(name, ComponentState.OK, detail)


def _depth(aws: Aws, name: str) -> int | None:
    found = if_found(aws.sqs.get_queue_url, *GONE, QueueName=name)
    if not found:
        return None
    key = "ApproximateNumberOfMessages"
    told = if_found(aws.sqs.get_queue_attributes, *GONE, QueueUrl=found["QueueUrl"], AttributeNames=[key])
    return int(told["Attributes"][key]) if told else None


def _service(workspace: Workspace, base: ServiceBase) -> ComponentStatus:
    name, cluster = workspace.environment.service_name(base.key), workspace.stack.cluster.name
    label = f"service {base.key}"
    told = if_found(workspace.aws.ecs.describe_services, "ClusterNotFoundException", cluster=cluster, services=[name])
    found = [raw for raw in (told or {}).get("services", ()) if raw["status"] == "ACTIVE"]
    if not found:
        return ComponentStatus(label, ComponentState.ABSENT, "not released")
    raw = found[0]
    running, wanted = raw["runningCount"], raw["desiredCount"]
    rollout: dict[str, Any] = next((each for each in raw["deployments"] if each["status"] == "PRIMARY"), {})
    revision = raw["taskDefinition"].rpartition(":")[2]
    detail = f"{running} of {wanted} tasks, revision {revision}"
    if rollout.get("rolloutState") == "FAILED" or running < wanted:
        stopped = stopped_tasks(workspace.aws, cluster, name)
        detail += f"; last stop: {stopped[0]}" if stopped else ""
    if rollout.get("rolloutState") == "FAILED":
        return ComponentStatus(
            label, ComponentState.DOWN if not running else ComponentState.DEGRADED, f"release failed; {detail}"
        )
    if running >= wanted:
        return ComponentStatus(label, ComponentState.OK, detail)
    if rollout.get("rolloutState") == "IN_PROGRESS" and not running:
        return ComponentStatus(label, ComponentState.STARTING, detail, "orderops status --watch")
    return ComponentStatus(
        label, ComponentState.DEGRADED if running else ComponentState.DOWN, detail, "orderops status --watch"
    )


def _balancer(workspace: Workspace) -> tuple[ComponentStatus, dict[str, str]]:
    name = workspace.stack.balancer.name
    told = if_found(workspace.aws.elbv2.describe_load_balancers, "LoadBalancerNotFound", Names=[name])
    if not told:
        return ComponentStatus("balancer", ComponentState.ABSENT, "no load balancer"), {}
    raw = told["LoadBalancers"][0]
    port = workspace.environment.balancer.port
    url = f"http://{raw['DNSName']}" + ("" if port == 80 else f":{port}")
    state = raw.get("State", {}).get("Code", "active")
    urls = {"url": url, "users": f"{url}/users"}
    if state not in ("active", "active_impaired"):
        starting = ComponentState.STARTING if state == "provisioning" else ComponentState.DOWN
        detail = ": ".join(filter(None, (state, raw["State"].get("Reason"))))
        return ComponentStatus("balancer", starting, detail, "orderops up"), urls
    return _targets(workspace, url), urls


def _targets(workspace: Workspace, url: str) -> ComponentStatus:
    counts = [_healthy(workspace.aws, base.target_group.name) for base in workspace.stack.services.values()]
    healthy, known = sum(each[0] for each in counts), sum(each[1] for each in counts)
    reasons = [each[2] for each in counts if each[2]]
    detail = f"{healthy} of {known} targets healthy" + (f"; {reasons[0]}" if reasons else "")
    if any(not each[0] for each in counts):
        return ComponentStatus("balancer", ComponentState.DOWN, detail, "orderops status --watch")
    return ComponentStatus(
        "balancer",
        ComponentState.OK if healthy == known else ComponentState.DEGRADED,
        detail,
        "orderops status --watch",
    )


def _healthy(aws: Aws, name: str) -> tuple[int, int, str]:
    """Healthy targets, all that are not leaving, and why the first is not healthy."""
    found = if_found(aws.elbv2.describe_target_groups, "TargetGroupNotFound", Names=[name])
    if not found:
        return 0, 0, f"no target group {name}"
    arn = found["TargetGroups"][0]["TargetGroupArn"]
    told = if_found(aws.elbv2.describe_target_health, "TargetGroupNotFound", TargetGroupArn=arn)
    health = [each["TargetHealth"] for each in (told or {}).get("TargetHealthDescriptions", ())]
    staying = [each for each in health if each["State"] != "draining"]
    unwell = [each.get("Description") or each["State"] for each in staying if each["State"] != "healthy"]
    return len(staying) - len(unwell), len(staying), unwell[0] if unwell else ""


def _alarms(workspace: Workspace) -> ComponentStatus:
    prefix = f"{workspace.environment.prefix}-"
    try:
        found = every(workspace.aws.cloudwatch.describe_alarms, "MetricAlarms", AlarmNamePrefix=prefix)
        alarms = [(raw["AlarmName"].removeprefix(prefix), raw["StateValue"]) for raw in found]
    except AwsError as error:
        return ComponentStatus("alarms", ComponentState.DEGRADED, f"cannot be read: {error.code}", "orderops doctor")
    raised = [name for name, state in alarms if state == "ALARM"]
    if raised:
        return ComponentStatus(
            "alarms", ComponentState.DEGRADED, f"{len(raised)} raised: {', '.join(raised)}", "orderops status --watch"
        )
    if not alarms:
        return ComponentStatus("alarms", ComponentState.ABSENT, "no alarm")
    return ComponentStatus("alarms", ComponentState.OK, f"{len(alarms)} quiet")
