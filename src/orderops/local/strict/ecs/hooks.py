"""ECS: task definitions that Fargate can run, and services that take time to deploy.

Where the data plane runs tasks as processes, it handles services. Without a data plane, tasks are simulated here.
"""

from __future__ import annotations

from collections.abc import Callable

from moto.backends import get_backend

from orderops.local.ecs.api import EcsCalls
from orderops.local.ecs.scheduler import Scheduler
from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator, Instead
from orderops.local.strict.delays import Delays
from orderops.local.strict.ecs.simulated_tasks import SimulatedTasks, records
from orderops.local.strict.ecs.targets import register_health

GB = 1024
# Memory in MB for each size in CPU units, from "Task size" in the Fargate developer guide.
MEMORY = {
    256: (512, GB, 2 * GB),
    512: range(GB, 4 * GB + 1, GB),
    1024: range(2 * GB, 8 * GB + 1, GB),
    2048: range(4 * GB, 16 * GB + 1, GB),
    4096: range(8 * GB, 30 * GB + 1, GB),
    8192: range(16 * GB, 60 * GB + 1, 4 * GB),
    16384: range(32 * GB, 120 * GB + 1, 8 * GB),
}
# "HealthCheck" in the ECS API reference.
HEALTH_CHECK_RANGES = {"interval": (5, 300), "timeout": (2, 60), "retries": (1, 10), "startPeriod": (0, 300)}
# A read after a long pause has to catch up on several steps; the bound ends a loop that never settles.
MAX_STEPS = 10


def register(emulator: Emulator, delays: Delays) -> None:
    """Reject what AWS rejects, and simulate services unless the data plane handles them."""
    emulator.on_before("ecs", "RegisterTaskDefinition", _check_fargate)
    emulator.on_before("ecs", "RegisterTaskDefinition", _check_health_checks)
    if ("ecs", "CreateService") not in emulator.instead:
        _simulate_tasks(emulator, delays)


def _check_fargate(request: Request) -> None:
    parameters = request.json
    if "FARGATE" not in (parameters.get("requiresCompatibilities") or ()):
        return
    if parameters.get("networkMode") != "awsvpc":
        raise ApiError("ClientException", "Fargate only supports network mode 'awsvpc'.")
    for name in ("cpu", "memory"):
        if not parameters.get(name):
            raise ApiError("ClientException", f"Fargate requires that '{name}' be defined at the task level.")
    cpu, memory = str(parameters["cpu"]), str(parameters["memory"])
    if not (cpu.isdigit() and memory.isdigit()):
        # AWS also accepts "1 vCPU" and "2 GB".
        return
    if int(memory) not in MEMORY.get(int(cpu), ()):
        raise ApiError(
            "ClientException",
            f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory. "
            "See the Amazon ECS documentation for the valid values.",
        )


def _check_health_checks(request: Request) -> None:
    for container in request.json.get("containerDefinitions") or ():
        check = container.get("healthCheck")
        if check is None:
            continue
        command = check["command"]
        if len(command) < 2 or command[0] not in ("CMD", "CMD-SHELL"):
            raise ApiError("ClientException", "The health check command must start with CMD or CMD-SHELL.")
        for name, (low, high) in HEALTH_CHECK_RANGES.items():
            if not low <= check.get(name, low) <= high:
                raise ApiError("ClientException", f"The health check {name} must be between {low} and {high}.")


def _simulate_tasks(emulator: Emulator, delays: Delays) -> None:
    tasks = SimulatedTasks(delays.task)
    scheduler = Scheduler(tasks, lambda: records().services)

    def advance(_call: Request | None = None) -> None:
        """Take all steps whose time has come."""
        for _ in range(MAX_STEPS):
            if not tasks.tick() | _step_services(scheduler):
                break
        _count_tasks(scheduler, tasks)

    for action in ("DescribeClusters", "DeleteCluster"):
        emulator.on_before("ecs", action, advance)
    previous_keys = set(emulator.instead)
    EcsCalls(emulator, scheduler, tasks)
    for key in emulator.instead.keys() - previous_keys:
        emulator.instead[key] = _advancing_first(advance, emulator.instead[key])
    register_health(emulator, tasks, advance)


def _advancing_first(advance: Callable[[Request], None], response: Instead) -> Instead:
    def advance_and_answer(request: Request) -> Response | None:
        advance(request)
        return response(request)

    return advance_and_answer


def _step_services(scheduler: Scheduler) -> bool:
    """Take one step of every service; return True when one changed."""

    def snapshot() -> list[object]:
        return [
            (service.status, len(service.deployments), service.primary.rollout, len(service.events))
            for service in services
        ]

    services = list(scheduler.services.values())
    before = snapshot()
    scheduler.tick()
    return before != snapshot()


def _count_tasks(scheduler: Scheduler, tasks: SimulatedTasks) -> None:
    """Update the counters that DescribeClusters returns; moto does not know the tasks."""
    for _, region, backend in get_backend("ecs").iter_backends():
        for name, cluster in backend.clusters.items():
            tasks_here = [record for record in tasks.all.values() if (record.region, record.cluster) == (region, name)]
            services = [record for record in scheduler.services.values() if record.key[:2] == (region, name)]
            cluster.running_tasks_count = sum(record.last_status == "RUNNING" for record in tasks_here)
            cluster.pending_tasks_count = sum(
                record.last_status in ("PROVISIONING", "PENDING") for record in tasks_here
            )
            cluster.active_services_count = sum(record.status == "ACTIVE" for record in services)
