"""Health of simulated tasks in DescribeTargetHealth."""

from __future__ import annotations

from collections.abc import Callable

from orderops.local.ecs.records import EcsTask
from orderops.local.emulator.protocol import Request, Response, element, xml_answer
from orderops.local.emulator.server import Emulator
from orderops.local.strict.ecs.simulated_tasks import SimulatedTasks

KEY = ("elasticloadbalancing", "DescribeTargetHealth")
REASONS = {
    "initial": "Elb.InitialHealthChecking",
    "draining": "Target.DeregistrationInProgress",
    "unused": "Target.NotInUse",
}


def register_health(emulator: Emulator, tasks: SimulatedTasks, advance: Callable[[Request], None]) -> None:
    """Answer for target groups with simulated tasks; the previous handler answers for the others."""
    previous = emulator.instead.get(KEY)

    def health(request: Request) -> Response | None:
        advance(request)
        group = request.form.get("TargetGroupArn", "")
        registrations = [
            (task, load_balancer)
            for task in tasks.all.values()
            for load_balancer in task.load_balancers
            if load_balancer["targetGroupArn"] == group
        ]
        if not registrations:
            return previous(request) if previous else None
        addresses = {load_balancer.get("Id") for load_balancer in request.members("Targets")}
        members = [
            _member(address, port, *tasks.target_state(task, group))
            for task, load_balancer in registrations
            if task.last_status in ("RUNNING", "DEACTIVATING")
            for address, port in _addresses(task, load_balancer["containerName"])
            if not addresses or address in addresses
        ]
        return xml_answer(request, f"<TargetHealthDescriptions>{''.join(members)}</TargetHealthDescriptions>")

    emulator.instead[KEY] = health


def _addresses(task: EcsTask, container: str) -> list[tuple[str, int]]:
    return [(process.address, process.port) for process in task.processes if process.name == container]


def _member(address: str, port: int, state: str, description: str) -> str:
    health = element("State", state)
    if state in REASONS:
        health += element("Reason", REASONS[state]) + element("Description", description)
    return (
        f"<member><Target>{element('Id', address)}{element('Port', port)}</Target>"
        f"{element('HealthCheckPort', port)}<TargetHealth>{health}</TargetHealth></member>"
    )
