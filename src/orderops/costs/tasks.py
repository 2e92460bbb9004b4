"""What the tasks of services cost a month, and what comes with their number."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from orderops.costs.line import Line, MonthlyTraffic, Priced, Sort, World
from orderops.costs.prices import HOURS, NoPriceError, Prices

SCALING_ALARMS = 2
"""Alarms that Application Auto Scaling makes for a goal: one to scale out, one to scale in."""
CALLS_A_MESSAGE = 3
"""Calls of SQS: sent, received, deleted."""
MILLION = 1_000_000


def service(resource: Priced) -> Iterator[Line]:
    """Tasks of Fargate at the lowest and at the highest scaling."""
    launch = resource.properties.get("LaunchType")
    if launch != "FARGATE":
        yield resource.unknown(f"tasks of launch type {launch}: only Fargate on demand is in the table")
        return
    vcpu, gb = resource.prices["fargate-vcpu"], resource.prices["fargate-gb"]
    cpu = Decimal(resource.stated("Cpu", kind="ecs-task-definition")) / 1024
    memory = Decimal(resource.stated("Memory", kind="ecs-task-definition")) / 1024
    least, most = _scaling_of(resource)
    task = cpu * vcpu.month + memory * gb.month
    yield resource.fixed(
        f"{least} to {most} tasks x ({cpu} vCPU x {vcpu.usd} + {memory} GB x {gb.usd}) x {HOURS} h",
        least * task,
        vcpu,
        most=most * task,
    )


def _scaling_of(resource: Priced) -> tuple[int, int]:
    kind = "autoscaling-target"
    if f"{kind}/{resource.name}" in resource.world:
        return resource.stated("MinCapacity", kind=kind), resource.stated("MaxCapacity", kind=kind)
    count = resource.stated("desiredCount")
    return count, count


def scaling(resource: Priced) -> Iterator[Line]:
    """The alarms that Application Auto Scaling makes for its goal."""
    price = resource.prices["alarm"]
    goal = resource.properties.get("BacklogPerTask") or {}
    metrics = goal.get("CustomizedMetricSpecification", {}).get("Metrics", ())
    count = SCALING_ALARMS * max(1, sum("MetricStat" in metric for metric in metrics))
    yield resource.fixed(f"its alarms: {count} metrics x {price.usd}", count * price.usd, price)


def schedule(resource: Priced) -> Iterator[Line]:
    """A schedule, whose task is charged while it runs."""
    vcpu, gb = resource.prices["fargate-vcpu"], resource.prices["fargate-gb"]
    yield resource.used(f"its task while it runs: {vcpu.usd} USD an hour of a vCPU, {gb.usd} USD an hour of a GB")


def queue_requests(world: World, prices: Prices, traffic: MonthlyTraffic | None) -> Line | None:
    """The calls of SQS by all services together: they ask for messages all the time, and more with messages."""
    address = "sqs-requests/all-services"
    if not any(known.startswith("ecs-service/") for known in world):
        return None
    try:
        price, (least, most) = prices["sqs"], _polls(world, prices, traffic)
    except NoPriceError as error:
        return Line(address, Sort.UNKNOWN, str(error))
    messages = traffic.requests * traffic.assumptions["messages"] if traffic else Decimal(0)
    least, most = ((polls + CALLS_A_MESSAGE * messages) / MILLION for polls in (least, most))
    charged, charged_most = (max(Decimal(0), calls - price.free) for calls in (least, most))
    what = (
        f"{least:.2f} million requests, up to {most:.2f} with all tasks, x {price.usd}; "
        f"the first {price.free} million of an account are free"
    )
    return Line(address, Sort.USAGE, what, charged * price.usd, charged_most * price.usd, price.quality)


def _polls(world: World, prices: Prices, traffic: MonthlyTraffic | None) -> tuple[Decimal, Decimal]:
    """The calls that ask for messages and get none, at the lowest and the highest scaling."""
    least = most = Decimal(0)
    for address in world:
        kind, _, name = address.partition("/")
        variables = world.get(f"ecs-task-definition/{name}", {}).get("Environment", {})
        if kind != "ecs-service" or variables.get("ORDEROPS_ROLE") == "web":
            continue
        seconds = int(variables.get("POLL_SECONDS", 0))
        if not seconds:
            raise NoPriceError(f"{name} asks for messages without waiting, so its requests cannot be counted")
        tasks = _scaling_of(Priced(address, world[address], world, prices, traffic))
        least, most = (sum_ + Decimal(n * HOURS * 3600) / seconds for sum_, n in zip((least, most), tasks, strict=True))
    return least, most
