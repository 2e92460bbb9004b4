"""ECS: task definitions that Fargate can run, and services that become what was asked of them, in their time.

Where the data plane runs tasks as processes, it answers about services; where there is none, they live on paper here.
"""

from __future__ import annotations

from collections.abc import Callable

from moto.backends import get_backend

from orderops.local.ecs.api import EcsCalls
from orderops.local.ecs.scheduler import Scheduler
from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator, Instead
from orderops.local.strict.delays import Delays
from orderops.local.strict.ecs.simulated_tasks import PaperTasks, kept
from orderops.local.strict.ecs.targets import tell_health

GB = 1024
MEMORY = {
    256: (512, GB, 2 * GB),
    512: range(GB, 4 * GB + 1, GB),
    1024: range(2 * GB, 8 * GB + 1, GB),
    2048: range(4 * GB, 16 * GB + 1, GB),
    4096: range(8 * GB, 30 * GB + 1, GB),
    8192: range(16 * GB, 60 * GB + 1, 4 * GB),
    16384: range(32 * GB, 120 * GB + 1, 8 * GB),
}
STEPS_A_LOOK = 10


def take_part(emulator: Emulator, pace: Delays) -> None:
    """Refuse what AWS refuses, and keep services on paper where no data plane does better."""
    emulator.on_before("ecs", "RegisterTaskDefinition", _fits_fargate)
    if ("ecs", "CreateService") not in emulator.instead:
        _on_paper(emulator, pace)


def _fits_fargate(call: Request) -> None:
    asked = call.json
    if "FARGATE" not in (asked.get("requiresCompatibilities") or ()):
        return
    if asked.get("networkMode") != "awsvpc":
        raise ApiError("ClientException", "Fargate only supports network mode 'awsvpc'.")
    for name in ("cpu", "memory"):
        if not asked.get(name):
            raise ApiError("ClientException", f"Fargate requires that '{name}' be defined at the task level.")
    cpu, memory = str(asked["cpu"]), str(asked["memory"])
    if not (cpu.isdigit() and memory.isdigit()):
        return  # "1 vCPU", "2 GB": AWS takes such words too
    if int(memory) not in MEMORY.get(int(cpu), ()):
        raise ApiError(
            "ClientException",
            f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory. "
            "See the Amazon ECS documentation for the valid values.",
        )


def _on_paper(emulator: Emulator, pace: Delays) -> None:
    tasks = PaperTasks(pace.task)
    scheduler = Scheduler(tasks, lambda: kept().services)

    def look(_call: Request | None = None) -> None:
        """Let everything become what it has become meanwhile."""
        for _ in range(STEPS_A_LOOK):
            if not tasks.tick() | _moves(scheduler):
                break
        _count(scheduler, tasks)

    for action in ("DescribeClusters", "DeleteCluster"):
        emulator.on_before("ecs", action, look)
    others = set(emulator.instead)
    EcsCalls(emulator, scheduler, tasks)
    for key in emulator.instead.keys() - others:
        emulator.instead[key] = _looking_first(look, emulator.instead[key])
    tell_health(emulator, tasks, look)


def _looking_first(look: Callable[[Request], None], answer: Instead) -> Instead:
    def looked(call: Request) -> Response | None:
        look(call)
        return answer(call)

    return looked


def _moves(scheduler: Scheduler) -> bool:
    """One step of every service; true when there was one to take."""

    def seen() -> list[object]:
        return [(one.status, len(one.deployments), one.primary.rollout, len(one.events)) for one in services]

    services = list(scheduler.services.values())
    before = seen()
    scheduler.tick()
    return before != seen()


def _count(scheduler: Scheduler, tasks: PaperTasks) -> None:
    """What DescribeClusters tells of a cluster is the sum of what is in it."""
    for _, region, backend in get_backend("ecs").iter_backends():
        for name, cluster in backend.clusters.items():
            mine = [one for one in tasks.all.values() if (one.region, one.cluster) == (region, name)]
            services = [one for one in scheduler.services.values() if one.key[:2] == (region, name)]
            cluster.running_tasks_count = sum(one.last_status == "RUNNING" for one in mine)
            cluster.pending_tasks_count = sum(one.last_status in ("PROVISIONING", "PENDING") for one in mine)
            cluster.active_services_count = sum(one.status == "ACTIVE" for one in services)
