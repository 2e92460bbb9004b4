"""The health of tasks on paper, as the target groups of a balancer tell it."""

from __future__ import annotations

from collections.abc import Callable

from orderops.local.ecs.records import EcsTask
from orderops.local.emulator.protocol import Request, Response, element, xml_answer
from orderops.local.emulator.server import Emulator
from orderops.local.strict.ecs.simulated_tasks import PaperTasks

KEY = ("elasticloadbalancing", "DescribeTargetHealth")
REASONS = {
    "initial": "Elb.InitialHealthChecking",
    "draining": "Target.DeregistrationInProgress",
    "unused": "Target.NotInUse",
}


def tell_health(emulator: Emulator, tasks: PaperTasks, look: Callable[[Request], None]) -> None:
    """Answer for the groups that such tasks belong to; about the others, whoever answered before does."""
    others = emulator.instead.get(KEY)

    def health(call: Request) -> Response | None:
        look(call)
        group = call.form.get("TargetGroupArn", "")
        found = [(task, one) for task in tasks.all.values() for one in task.balanced if one["targetGroupArn"] == group]
        if not found:
            return others(call) if others else None
        asked = {one.get("Id") for one in call.members("Targets")}
        members = [
            _member(address, port, *tasks.target_state(task, group))
            for task, one in found
            if task.last_status in ("RUNNING", "DEACTIVATING")
            for address, port in _places(task, one["containerName"])
            if not asked or address in asked
        ]
        return xml_answer(call, f"<TargetHealthDescriptions>{''.join(members)}</TargetHealthDescriptions>")

    emulator.instead[KEY] = health


def _places(task: EcsTask, container: str) -> list[tuple[str, int]]:
    return [(run.address, run.port) for run in task.runs if run.name == container]


def _member(address: str, port: int, state: str, description: str) -> str:
    health = element("State", state)
    if state in REASONS:
        health += element("Reason", REASONS[state]) + element("Description", description)
    return (
        f"<member><Target>{element('Id', address)}{element('Port', port)}</Target>"
        f"{element('HealthCheckPort', port)}<TargetHealth>{health}</TargetHealth></member>"
    )
