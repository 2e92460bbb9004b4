"""Health: one verdict about a running environment, with one cause and one next command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from orderops import local
from orderops.aws.client import Aws, every, if_found
from orderops.aws.documents import BrokenDocument, Bucket
from orderops.engine.resource import PendingChange
from orderops.errors import AwsError
from orderops.infra.readiness import AskReady, ReadyAnswer, ReadyState, ask_ready, asked_service, on_this_machine
from orderops.infra.service import ServiceBase
from orderops.infra.workspace import Workspace
from orderops.resources.ecs_failure import stopped_tasks, trouble
from orderops.resources.sqs_queue import GONE
from orderops.restore.drill_record import Drill, drills
from orderops.restore.instances import PROMOTED_BY, load_instances
from orderops.runs.lease import LeaseHolder
from orderops.text.lists import joined
from orderops.text.outside import plain

READERS = 8
# Commands that create components, with the beginnings of the names of what they create.
CREATING = {
    "up": ("",),
    "infra apply": ("database", "queue", "balancer", "alarms"),
    "service deploy": ("service",),
}


class ComponentState(StrEnum):
    """The state of one component."""

    OK = "ok"
    STARTING = "starting"
    DEGRADED = "degraded"
    DOWN = "down"
    ABSENT = "absent"
    UNKNOWN = "unknown"
    """Cannot be seen from here, which makes nothing unhealthy."""


class HealthVerdict(StrEnum):
    """The verdict on the whole environment."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    DOWN = "down"
    ABSENT = "absent"


@dataclass(frozen=True)
class ComponentStatus:
    """One part of the system; `next_command` is what to type if it is not OK."""

    name: str
    state: ComponentState
    detail: str
    next_command: str = ""
    pending: tuple[PendingChange, ...] = ()
    """What AWS holds back; no fault, but it may interrupt."""


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
    """The last restore drill."""
    runs: tuple[LeaseHolder, ...] = ()
    """The runs that change the environment now."""
    unreadable: tuple[BrokenDocument, ...] = ()
    """Leases that cannot be read, and drills newer than the one shown."""
    ready: ReadyAnswer | None = None
    """What the service answers through the load balancer."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        parts = [{"name": part.name, "state": str(part.state), "detail": part.detail} for part in self.components]
        pending = [{"name": part.name, **change.to_dict()} for part in self.components for change in part.pending]
        return {
            "environment": self.environment,
            "verdict": str(self.verdict),
            "cause": self.cause,
            "next": self.next,
            "urls": dict(self.urls),
            "components": parts,
            "readiness": self.ready.to_dict() if self.ready else None,
            "runs": [asdict(run) for run in self.runs],
            "pending": pending,
            "proven_restore": self.proven.to_dict() if self.proven else None,
            "unreadable": [document.to_dict() for document in self.unreadable],
        }


def examine(workspace: Workspace, *, ask: AskReady = ask_ready) -> Health:
    """Read every component and ask for readiness, all concurrently, and judge the answers."""
    bases = workspace.stack.services.values()
    reads: list[Callable[[], ComponentStatus]] = [
        lambda: _database(workspace),
        *(lambda base=base: _queue(workspace, base) for base in bases if not base.works_for),
        *(lambda base=base: _service(workspace, base) for base in bases),
        lambda: _alarms(workspace),
    ]
    with ThreadPoolExecutor(READERS) as pool:
        running = pool.submit(workspace.runs.under_way)
        entrance = pool.submit(_entrance, workspace)
        # Each of these waits for the read before it.
        balancer = pool.submit(lambda: _balancer(workspace, entrance.result()))
        answer = pool.submit(lambda: _ready(workspace, entrance.result(), ask))
        drill = pool.submit(lambda: drills(Bucket(workspace.aws), workspace.environment.name))
        *components, alarms = pool.map(lambda read: read(), reads)
        ready, proven, leases = answer.result(), drill.result(), running.result()
        seen = (*components, balancer.result(), _readiness(workspace, ready), alarms)
    runs, unreadable = leases.holders, (*leases.unreadable, *proven.unreadable)
    explained = tuple(_under_run(_with_reason(workspace, component, ready), runs) for component in seen)
    health = judge(workspace.environment.name, (*_laptop(workspace), *explained), _urls(workspace, entrance.result()))
    if runs and health.next:
        health = replace(health, next=_for("orderops status --watch", workspace.environment.name))
    return replace(health, proven=proven.last, runs=runs, unreadable=unreadable, ready=ready)


def _laptop(workspace: Workspace) -> tuple[ComponentStatus, ...]:
    """The laptop environment where its state is not saved; empty everywhere else."""
    if not workspace.environment.emulated:
        return ()
    problems = local.saving_problems(local.status()["state"])
    state, command = ComponentState.DEGRADED, "orderops local status"
    return tuple(ComponentStatus("laptop", state, problem, command) for problem in problems[:1])


def judge(environment: str, components: tuple[ComponentStatus, ...], urls: Mapping[str, str]) -> Health:
    """The verdict on components in the order of their dependencies: the first that is not OK is the cause."""
    vital = [component for component in components if component.name not in ("alarms", "laptop")]
    if all(component.state is ComponentState.ABSENT for component in vital):
        return Health(
            environment,
            HealthVerdict.ABSENT,
            "it does not exist",
            _for("orderops up", environment),
            {},
            components,
        )
    well = (ComponentState.OK, ComponentState.UNKNOWN)
    impaired = [component for component in components if component.state not in well]
    if not impaired:
        return Health(environment, HealthVerdict.HEALTHY, "", "", urls, components)
    down = [component for component in impaired if component.state in (ComponentState.DOWN, ComponentState.ABSENT)]
    first = (down or impaired)[0]
    verdict = HealthVerdict.DOWN if down else HealthVerdict.DEGRADED
    cause = f"{first.name} is {first.state}: {first.detail}"
    return Health(environment, verdict, cause, _for(first.next_command or "orderops up", environment), urls, components)


def _for(command: str, environment: str) -> str:
    """The command with its environment; named even if it is the default, since ORDEROPS_ENV may say another."""
    whole = not command.startswith("orderops ") or command.startswith("orderops local ")
    return command if whole else f"{command} --env {environment}"


def _database(workspace: Workspace) -> ComponentStatus:
    primary = load_instances(workspace.aws, workspace.stack).primary
    if primary is None:
        return ComponentStatus("database", ComponentState.ABSENT, "no instance")
    properties, name = primary.observed.properties, primary.name
    promoted = f", {name}" if name != workspace.stack.database.name else ""
    where = f"{properties['Engine']} {properties['EngineVersion']}, {properties['DBInstanceClass']}{promoted}"
    status = properties["DBInstanceStatus"]
    if not primary.settled:
        command = f"orderops restore {primary.tag(PROMOTED_BY) or 'promote'}"
        return ComponentStatus(
            "database",
            ComponentState.DEGRADED,
            f"a promotion was interrupted: not every service uses it yet{promoted}",
            command,
        )
    if status in ("available", "storage-optimization", "backing-up", "configuring-log-exports"):
        return ComponentStatus("database", ComponentState.OK, where, pending=primary.observed.pending)
    if status in ("creating", "starting", "rebooting", "modifying", "upgrading", "maintenance", "renaming"):
        state = ComponentState.STARTING if status == "creating" else ComponentState.DEGRADED
        return ComponentStatus("database", state, f"{status}; {where}", "orderops status --watch")
    # On the laptop a failed server's own message is shown by `local status`; a stopped one is started by `up`.
    explained = workspace.environment.emulated and not status.startswith("stop")
    command = "orderops local status" if explained else "orderops up"
    return ComponentStatus("database", ComponentState.DOWN, f"{status}; {where}", command)


def _queue(workspace: Workspace, base: ServiceBase) -> ComponentStatus:
    name = f"queue {base.key}"
    waiting = _depth(workspace.aws, base.queue.name)
    dead = _depth(workspace.aws, base.dead_letters.name)
    if waiting is None or dead is None:
        return ComponentStatus(name, ComponentState.ABSENT, "no queue" if waiting is None else "no dead-letter queue")
    limits = base.declared.alarms
    detail = f"{waiting} waiting, {dead} dead letters"
    if dead > limits.dead_letters:
        command = "orderops queue dlq list" + (
            f" --service {base.key}" if len(workspace.environment.entries) > 1 else ""
        )
        return ComponentStatus(name, ComponentState.DEGRADED, detail, command)
    if waiting > limits.queue_depth:
        return ComponentStatus(name, ComponentState.DEGRADED, detail, "orderops status --watch")
    return ComponentStatus(name, ComponentState.OK, detail)


def _depth(aws: Aws, name: str) -> int | None:
    """How many messages wait in a queue; None if it does not exist."""
    found = if_found(aws.sqs.get_queue_url, *GONE, QueueName=name)
    if not found:
        return None
    key, url = "ApproximateNumberOfMessages", found["QueueUrl"]
    response = if_found(aws.sqs.get_queue_attributes, *GONE, QueueUrl=url, AttributeNames=[key])
    return int(response["Attributes"][key]) if response else None


def _service(workspace: Workspace, base: ServiceBase) -> ComponentStatus:
    name, cluster = workspace.environment.service_name(base.key), workspace.stack.cluster.name
    label = f"service {base.key}"
    response = if_found(
        workspace.aws.ecs.describe_services, "ClusterNotFoundException", cluster=cluster, services=[name]
    )
    active = [raw for raw in (response or {}).get("services", ()) if raw["status"] == "ACTIVE"]
    if not active:
        return ComponentStatus(label, ComponentState.ABSENT, "not released")
    raw = active[0]
    rollout = _rollout(raw)
    detail = (
        f"{raw['runningCount']} of {raw['desiredCount']} tasks, revision {raw['taskDefinition'].rpartition(':')[2]}"
    )
    if rollout == "FAILED" or raw["runningCount"] < raw["desiredCount"]:
        stopped = stopped_tasks(workspace.aws, cluster, name)
        events = trouble(raw, raw["deployments"][0].get("createdAt")) if raw["deployments"] else []
        reasons = [f"last stop: {plain(stopped[0])}"] if stopped else events[:1]
        detail = "; ".join([detail, *reasons])
    if raw["desiredCount"] > base.declared.max_tasks:
        detail += f"; set to more than max_tasks, which is {base.declared.max_tasks}"
    return _service_status(label, raw, rollout, detail, base.declared.min_tasks)


def _rollout(raw: Mapping[str, Any]) -> str:
    """The state of the service's current deployment."""
    primary = [deployment for deployment in raw["deployments"] if deployment["status"] == "PRIMARY"]
    return str(primary[0].get("rolloutState", "")) if primary else ""


def _service_status(label: str, raw: Mapping[str, Any], rollout: str, detail: str, min_tasks: int) -> ComponentStatus:
    running = raw["runningCount"]
    impaired = ComponentState.DEGRADED if running else ComponentState.DOWN
    if rollout == "FAILED":
        return ComponentStatus(label, impaired, f"release failed; {detail}")
    if raw["desiredCount"] < min_tasks:
        # Nothing but `up` corrects it: autoscaling does not.
        return ComponentStatus(label, impaired, f"{detail}; set to fewer than min_tasks, which is {min_tasks}")
    if running >= raw["desiredCount"]:
        return ComponentStatus(label, ComponentState.OK, detail)
    if rollout == "IN_PROGRESS" and not running:
        impaired = ComponentState.STARTING
    return ComponentStatus(label, impaired, detail, "orderops status --watch")


def _entrance(workspace: Workspace) -> Mapping[str, Any] | None:
    """The load balancer as AWS describes it; None if there is none."""
    names = [workspace.stack.balancer.name]
    response = if_found(workspace.aws.elbv2.describe_load_balancers, "LoadBalancerNotFound", Names=names)
    return response["LoadBalancers"][0] if response else None


def _url(workspace: Workspace, entrance: Mapping[str, Any]) -> str:
    port = workspace.environment.balancer.port
    return f"http://{entrance['DNSName']}" + ("" if port == 80 else f":{port}")


def _urls(workspace: Workspace, entrance: Mapping[str, Any] | None) -> dict[str, str]:
    if entrance is None:
        return {}
    url = _url(workspace, entrance)
    return {"url": url, **({"users": f"{url}/users"} if workspace.environment.demonstration else {})}


def _balancer(workspace: Workspace, entrance: Mapping[str, Any] | None) -> ComponentStatus:
    if entrance is None:
        return ComponentStatus("balancer", ComponentState.ABSENT, "no load balancer")
    state = entrance.get("State", {}).get("Code", "active")
    if state not in ("active", "active_impaired"):
        starting = ComponentState.STARTING if state == "provisioning" else ComponentState.DOWN
        detail = ": ".join(filter(None, (state, entrance["State"].get("Reason"))))
        return ComponentStatus("balancer", starting, detail, "orderops up")
    return _targets(workspace)


def _targets(workspace: Workspace) -> ComponentStatus:
    groups = [base.routing.target_group for base in workspace.stack.services.values() if base.routing]
    counts = [_healthy(workspace.aws, group.name) for group in groups]
    healthy, known = sum(count for count, _, _ in counts), sum(count for _, count, _ in counts)
    reasons = [reason for _, _, reason in counts if reason]
    detail = f"{healthy} of {known} targets healthy" + (f"; {reasons[0]}" if reasons else "")
    if any(not count for count, _, _ in counts):
        return ComponentStatus("balancer", ComponentState.DOWN, detail, "orderops status --watch")
    return ComponentStatus(
        "balancer",
        ComponentState.OK if healthy == known else ComponentState.DEGRADED,
        detail,
        "orderops status --watch",
    )


def _healthy(aws: Aws, name: str) -> tuple[int, int, str]:
    """Number of healthy targets, number of targets that are not draining, and why the first is not healthy."""
    found = if_found(aws.elbv2.describe_target_groups, "TargetGroupNotFound", Names=[name])
    if not found:
        return 0, 0, f"no target group {name}"
    arn = found["TargetGroups"][0]["TargetGroupArn"]
    response = if_found(aws.elbv2.describe_target_health, "TargetGroupNotFound", TargetGroupArn=arn)
    targets = [target["TargetHealth"] for target in (response or {}).get("TargetHealthDescriptions", ())]
    staying = [target for target in targets if target["State"] != "draining"]
    reasons = [target.get("Description") or target["State"] for target in staying if target["State"] != "healthy"]
    return len(staying) - len(reasons), len(staying), reasons[0] if reasons else ""


def _ready(workspace: Workspace, entrance: Mapping[str, Any] | None, ask: AskReady) -> ReadyAnswer | None:
    if entrance is None:
        return None
    if asked_service(workspace.environment) is None:
        return ReadyAnswer(ReadyState.NOT_ASKED, "the load balancer routes /ready to no service")
    return ask(_url(workspace, entrance))


def _readiness(workspace: Workspace, answer: ReadyAnswer | None) -> ComponentStatus:
    label = "readiness"
    if answer is None:
        return ComponentStatus(label, ComponentState.ABSENT, "no load balancer")
    detail = answer.detail
    match answer.state:
        case ReadyState.READY:
            return ComponentStatus(label, ComponentState.OK, detail)
        case ReadyState.NOT_READY | ReadyState.FAILING:
            return ComponentStatus(label, ComponentState.DOWN, detail, _explaining(workspace))
        case ReadyState.UNREACHABLE if on_this_machine(answer.url):
            return ComponentStatus(label, ComponentState.DOWN, detail, "orderops local status")
        case ReadyState.UNREACHABLE:
            admitted = workspace.environment.balancer.allowed_cidrs
            only = "" if "0.0.0.0/0" in admitted else f"; it admits only {joined(admitted)}"
            return ComponentStatus(label, ComponentState.UNKNOWN, f"not reachable from this machine: {detail}{only}")
    return ComponentStatus(label, ComponentState.UNKNOWN, detail)


def _with_reason(workspace: Workspace, component: ComponentStatus, answer: ReadyAnswer | None) -> ComponentStatus:
    """The component, down if AWS sees no fault in it and the service says that it does not answer."""
    names = {"database": "database", f"queue {asked_service(workspace.environment)}": "queue"}
    reason = answer.reasons.get(names.get(component.name, "")) if answer else ""
    if not reason or component.state is not ComponentState.OK:
        return component
    detail = f"does not answer the service: {reason}; {component.detail}"
    return ComponentStatus(component.name, ComponentState.DOWN, detail, _explaining(workspace))


def _explaining(workspace: Workspace) -> str:
    """The command that shows why something that AWS calls well does not answer."""
    # On AWS, the usual reasons are a rule of a security group or a password that was changed by hand.
    return "orderops local logs" if workspace.environment.emulated else "orderops infra plan"


def _under_run(component: ComponentStatus, runs: tuple[LeaseHolder, ...]) -> ComponentStatus:
    """The component; starting if it is absent and a run that creates it is under way."""
    for run in runs if component.state is ComponentState.ABSENT else ():
        words = [words for words in CREATING if f"{run.command} ".startswith(f"{words} ")]
        if words and component.name.startswith(CREATING[words[0]]):
            detail = f"being created by {plain(run.who)}, `{plain(run.command)}`"
            return ComponentStatus(component.name, ComponentState.STARTING, detail, "orderops status --watch")
    return component


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
