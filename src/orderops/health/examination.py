"""Examine an environment: read every component, concurrently, and judge what they say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from orderops.aws.documents import Bucket
from orderops.health.alarms import alarms_status
from orderops.health.component import ComponentState, ComponentStatus
from orderops.health.database import database_status
from orderops.health.entrance import (
    balancer_status,
    read_entrance,
    read_readiness,
    readiness_status,
    urls_of,
)
from orderops.health.laptop import explaining, laptop_status
from orderops.health.queue import queue_status
from orderops.health.releases import read_releases
from orderops.health.service import read_services, service_status
from orderops.health.verdict import Health, judge, with_environment
from orderops.infra.readiness import AskReady, ReadyAnswer, ask_ready, asked_service
from orderops.infra.workspace import Workspace
from orderops.restore.drill_record import drills
from orderops.runs.lease import LeaseHolder
from orderops.text.outside import plain

READERS = 8
# Commands that create components, with the beginnings of the names of what they create.
CREATING = {
    "up": ("",),
    "infra apply": ("database", "queue", "balancer", "alarms"),
    "service deploy": ("service",),
}


def examine(workspace: Workspace, *, ask: AskReady = ask_ready) -> Health:
    """Read every component and ask for readiness, all concurrently, and judge the answers."""
    with ThreadPoolExecutor(READERS) as pool:
        running = pool.submit(workspace.runs.under_way)
        services = pool.submit(read_services, workspace)
        entrance = pool.submit(read_entrance, workspace)
        # Each of these waits for the read before it.
        balancer = pool.submit(lambda: balancer_status(workspace, entrance.result()))
        answer = pool.submit(lambda: read_readiness(workspace, entrance.result(), ask))
        released = pool.submit(lambda: read_releases(workspace, services.result()))
        drill = pool.submit(lambda: drills(Bucket(workspace.aws), workspace.environment.name))
        *components, alarms = pool.map(lambda read: read(), _reads(workspace, services))
        ready, proven, leases = answer.result(), drill.result(), running.result()
        seen = (*components, balancer.result(), readiness_status(workspace, ready), alarms)
    runs, unreadable = leases.holders, (*leases.unreadable, *proven.unreadable)
    explained = tuple(_under_run(_with_reason(workspace, component, ready), runs) for component in seen)
    health = judge(
        workspace.environment.name, (*laptop_status(workspace), *explained), urls_of(workspace, entrance.result())
    )
    if runs and health.next:
        health = replace(health, next=with_environment("orderops status --watch", workspace.environment.name))
    return replace(
        health, proven=proven.last, runs=runs, unreadable=unreadable, ready=ready, releases=released.result()
    )


def _reads(workspace: Workspace, services: Future[dict[str, Mapping[str, Any]]]) -> list[Callable[[], ComponentStatus]]:
    """The components between entrance and alarms, in the order of their dependencies, and the alarms."""
    bases, name_of = workspace.stack.services.values(), workspace.environment.service_name
    return [
        lambda: database_status(workspace),
        *(lambda base=base: queue_status(workspace, base) for base in bases if not base.works_for),
        *(
            lambda base=base: service_status(workspace, base, services.result().get(name_of(base.key)))
            for base in bases
        ),
        lambda: alarms_status(workspace),
    ]


def _with_reason(workspace: Workspace, component: ComponentStatus, answer: ReadyAnswer | None) -> ComponentStatus:
    """The component, down if AWS sees no fault in it and the service says that it does not answer."""
    names = {"database": "database", f"queue {asked_service(workspace.environment)}": "queue"}
    reason = answer.reasons.get(names.get(component.name, "")) if answer else ""
    if not reason or component.state is not ComponentState.OK:
        return component
    detail = f"does not answer the service: {reason}; {component.detail}"
    return ComponentStatus(component.name, ComponentState.DOWN, detail, explaining(workspace))


def _under_run(component: ComponentStatus, runs: tuple[LeaseHolder, ...]) -> ComponentStatus:
    """The component; starting if it is absent and a run that creates it is under way."""
    for run in runs if component.state is ComponentState.ABSENT else ():
        words = [words for words in CREATING if f"{run.command} ".startswith(f"{words} ")]
        if words and component.name.startswith(CREATING[words[0]]):
            detail = f"being created by {plain(run.who)}, `{plain(run.command)}`"
            return ComponentStatus(component.name, ComponentState.STARTING, detail, "orderops status --watch")
    return component
