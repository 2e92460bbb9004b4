"""A service of an environment: its tasks, its place on the balancer, its queue and its alarms."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field

from orderops.config import types as values
from orderops.config.loader import Mistake, TomlTable
from orderops.config.types import between, counted

FARGATE_MEMORY = {
    256: (512, 1024, 2048),
    512: tuple(range(1024, 4097, 1024)),
    1024: tuple(range(2048, 8193, 1024)),
    2048: tuple(range(4096, 16385, 1024)),
    4096: tuple(range(8192, 30721, 1024)),
}


class QueueConfig(TomlTable):
    """A service's queue, with a dead-letter queue behind it."""

    visibility_timeout: Annotated[int, between(0, 43200)] = 30
    """Seconds for which a received message is hidden from others."""
    max_receives: Annotated[int, between(1, 1000)] = 5
    """Times a message may be received before it goes to the dead-letter queue."""
    retention_days: Annotated[int, between(1, 14)] = 4
    """Days for which a message waits."""
    dead_letter_retention_days: Annotated[int, between(1, 14)] = 14
    """Days for which a dead letter waits."""

    def mistakes(self) -> Iterator[Mistake]:
        """A dead letter keeps its age when it moves, so it must not expire before a living one."""
        if self.dead_letter_retention_days < self.retention_days:
            allowed = f"allowed are {self.retention_days} to 14, not less than retention_days"
            key = ("dead_letter_retention_days",)
            yield Mistake(key, self.dead_letter_retention_days, allowed, (("retention_days",),))


class AlarmsConfig(TomlTable):
    """Limits above which a service's alarms go off."""

    cpu_percent: values.Percent = 90
    """Percent of the CPU that its tasks have."""
    memory_percent: values.Percent = 90
    """Percent of the memory that its tasks have."""
    queue_depth: Annotated[int, between(1, 1_000_000_000)] = 1000
    """Messages that wait in the queue."""
    dead_letters: Annotated[int, between(0, 1_000_000_000)] = 0
    """Messages in the dead-letter queue."""


class ServiceConfig(TomlTable):
    """A service on Fargate, behind the balancer and with a queue of its own."""

    image: values.Image | None = None
    """Image to run; built from `dockerfile` and pushed when left out."""
    dockerfile: values.FilePath | None = None
    """Path of the Dockerfile; the one that comes with orderops when left out."""
    cpu: values.Cpu = 256
    """CPU units of a task; 1024 are one processor."""
    memory: int = 512
    """Megabytes of memory of a task."""
    min_tasks: Annotated[int, between(1, 1000)] = 1
    """Tasks that always run."""
    max_tasks: Annotated[int, between(1, 1000)] = 5
    """Tasks that run at most; a deployment doubles them for a while."""
    cpu_target_percent: values.Percent = 60
    """Percent of CPU at which the number of tasks is held."""
    port: values.Port = 8080
    """Port on which a task listens."""
    health_path: values.UrlPath = "/health"
    """Path that answers 200 while a task is alive."""
    health_grace_seconds: Annotated[int, between(0, 3600)] = 60
    """Seconds after the start of a task in which failed checks do not count."""
    deregistration_delay_seconds: Annotated[int, between(0, 3600)] = 30
    """Seconds that requests under way are given when a task leaves the balancer."""
    stop_timeout_seconds: Annotated[int, between(2, 120)] = 30
    """Seconds from SIGTERM to SIGKILL."""
    paths: Annotated[list[values.PathPattern], counted(1, 5)] = Field(["/*"])
    """Path patterns that the balancer sends here."""
    priority: Annotated[int, between(1, 50000)] | None = None
    """Place of its rule on the balancer, lowest first; 100, 200 … in the file's order when left out."""
    queue: QueueConfig = QueueConfig()
    """Its queue."""
    secrets: Annotated[list[values.VariableName], counted(0)] = Field(default_factory=list)
    """Environment variables that are filled from Secrets Manager."""
    variables: dict[values.VariableName, str] = Field(default_factory=dict)
    """Environment variables with their values."""
    alarms: AlarmsConfig = AlarmsConfig()
    """Limits of its alarms."""
    log_days: values.LogDays = 7
    """Days for which its logs are kept."""
    pool_size: Annotated[int, between(1, 100)] = 4
    """Database connections of a task; max_tasks x 2 x pool_size must fit below the server's limit."""

    def mistakes(self) -> Iterator[Mistake]:
        """Memory that goes with the CPU, tasks in order, one source of the image, one of each variable."""
        allowed = FARGATE_MEMORY[self.cpu]
        if self.memory not in allowed:
            told = f"allowed with cpu {self.cpu} are {', '.join(map(str, allowed))}"
            yield Mistake(("memory",), self.memory, told, (("cpu",),))
        if self.min_tasks > self.max_tasks:
            told = f"allowed are 1 to {self.max_tasks}, which is max_tasks"
            yield Mistake(("min_tasks",), self.min_tasks, told, (("max_tasks",),))
        if self.image and self.dockerfile:
            yield Mistake(("dockerfile",), self.dockerfile, "is built only when image is left out", (("image",),))
        for name in sorted(self.variables.keys() & set(self.secrets)):
            yield Mistake(("variables", name), self.variables[name], "is also in secrets", (("secrets",),))


def takes_all(earlier: Sequence[str], later: Sequence[str]) -> bool:
    """Whether every path that the later patterns stand for is taken by an earlier one."""
    return all(any(_covers(one, other) for one in earlier) for other in later)


def _covers(pattern: str, other: str) -> bool:
    wild = "".join({"*": ".*", "?": "[^*]"}.get(sign, re.escape(sign)) for sign in pattern)
    return re.fullmatch(wild, other) is not None
