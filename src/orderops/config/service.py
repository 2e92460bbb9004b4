"""A service of an environment: its tasks, its routing rule, its queue and its alarms."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from orderops.config import types as values
from orderops.config.domain import MOST_VALUES
from orderops.config.loader import Mistake, TomlTable, no_keys
from orderops.config.types import between, counted
from orderops.errors import UsageError

# Megabytes of memory that Fargate offers with each number of CPU units; from the ECS developer guide, "Task size".
FARGATE_MEMORY = {
    256: (512, 1024, 2048),
    512: tuple(range(1024, 4097, 1024)),
    1024: tuple(range(2048, 8193, 1024)),
    2048: tuple(range(4096, 16385, 1024)),
    4096: tuple(range(8192, 30721, 1024)),
}

OURS = "orderops sets this variable itself"
OF_IMAGE = "the image of the order processor sets this variable itself"
OF_ECS = "ECS sets this variable itself"
ROLE = "would take the place of the task's role; give the role the permissions instead"
# What the task definition gets from infra/service.py, what ECS gives to every task (ECS developer guide, "Task metadata
# endpoint" and "Task IAM role"), and what would keep the AWS SDKs from using the role of the task.
RESERVED_VARIABLES = {
    "AWS_ACCESS_KEY_ID": ROLE,
    "AWS_CONTAINER_AUTHORIZATION_TOKEN": OF_ECS,
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": OF_ECS,
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": OF_ECS,
    "AWS_DEFAULT_REGION": OF_ECS,
    "AWS_EXECUTION_ENV": OF_ECS,
    "AWS_REGION": f"{OURS}, from region",
    "AWS_SECRET_ACCESS_KEY": ROLE,
    "AWS_SESSION_TOKEN": ROLE,
    "CLIENT_ADDRESS_HEADER": f"{OURS}, where an API is in front",
    "DATABASE_MAX_LAG_SECONDS": f"{OURS}, from max_lag_seconds",
    "DATABASE_POOL_SIZE": f"{OURS}, from pool_size",
    "DATABASE_SECRET": OURS,
    "DEAD_LETTER_QUEUE_URL": OURS,
    "DEMONSTRATION": f"{OURS}, from demonstration",
    "ECS_AGENT_URI": OF_ECS,
    "ECS_CONTAINER_METADATA_URI": OF_ECS,
    "ECS_CONTAINER_METADATA_URI_V4": OF_ECS,
    "KEEP_ALIVE_SECONDS": f"{OURS}, from balancer.idle_timeout_seconds",
    "ORDEROPS_COMMIT": OF_IMAGE,
    "ORDEROPS_ENVIRONMENT": OURS,
    "ORDEROPS_RELEASE": OF_IMAGE,
    "ORDEROPS_ROLE": f"{OURS}, from role",
    "ORDEROPS_SERVICE": OURS,
    "ORDEROPS_VERSION": OURS,
    "POLL_SECONDS": f"{OURS}, from queue.poll_seconds",
    "PORT": f"{OURS}, from port",
    "QUEUE_URL": OURS,
    "TOKEN_SECRET": f"{OURS}, from token_secret",
}
# Keys that mean nothing to a worker, and why.
OF_BALANCER = "has no use in a worker: the load balancer sends it no requests"
OF_SOURCE = "has no use in a worker: it has that of the service that works_for names"
NOT_OF_A_WORKER = {
    **dict.fromkeys(
        (
            "paths",
            "hosts",
            "priority",
            "token_secret",
            "demonstration",
            "max_lag_seconds",
            "deregistration_delay_seconds",
            "strategy",
            "canary_percent",
            "canary_minutes",
        ),
        OF_BALANCER,
    ),
    **dict.fromkeys(("base", "dockerfile", "queue", "secrets"), OF_SOURCE),
    "cpu_target_percent": "has no use in a worker: it scales on messages_per_task",
}
# Checked again without its role, a worker would be a service whose paths are those of another.
WHOLE_TABLE = ((),)
# Seconds after which ECS counts failed checks of a container in any case (HealthCheck, startPeriod).
LONGEST_START = 300
# A task definition has at most 64 KiB (ECS quotas); the rest of ours takes less than 14.
VARIABLES_SIZE = 50 * 1024


class QueueConfig(TomlTable):
    """The queue of a service, with its dead-letter queue."""

    visibility_timeout: Annotated[int, between(0, 43200)] = 30
    """Seconds for which a received message is hidden from other receivers."""
    # SQS waits for 20 s at most. A task that stops has 25 s to finish its work.
    poll_seconds: Annotated[int, between(0, 20)] = 5
    """Seconds for which the order processor waits for messages in one call; a task that stops waits for the call."""
    max_receives: Annotated[int, between(1, 1000)] = 5
    """Receives without success after which a message moves to the dead-letter queue."""
    retention_days: Annotated[int, between(1, 14)] = 4
    """Days for which a message is kept in the queue."""
    dead_letter_retention_days: Annotated[int, between(1, 14)] = 14
    """Days for which a message is kept in the dead-letter queue, counted from when it was first sent."""

    def mistakes(self) -> Iterator[Mistake]:
        """Check that the dead-letter queue keeps messages at least as long as the queue."""
        # SQS counts the retention from the first send, and a message that moves keeps its age.
        if self.dead_letter_retention_days < self.retention_days:
            allowed = f"must be {self.retention_days} to 14, not less than retention_days"
            key = ("dead_letter_retention_days",)
            yield Mistake(key, self.dead_letter_retention_days, allowed, (("retention_days",),))


class AlarmsConfig(TomlTable):
    """Limits above which the alarms of a service are raised."""

    cpu_percent: values.Percent = 90
    """CPU use of the tasks, in percent of their CPU."""
    memory_percent: values.Percent = 90
    """Memory use of the tasks, in percent of their memory."""
    queue_depth: Annotated[int, between(1, 1_000_000_000)] = 1000
    """Number of messages that wait in the queue."""
    queue_age_seconds: Annotated[int, between(60, 345_600)] = 300
    """Age of the oldest message in the queue, in seconds, from which on `status` says that nobody takes them."""
    dead_letters: Annotated[int, between(0, 1_000_000_000)] = 0
    """Number of messages in the dead-letter queue."""


class ServiceConfig(TomlTable):
    """A service on Fargate, with its own queue and a routing rule on the load balancer; a worker has neither."""

    image: values.Image | None = None
    """Image to run; when left out, the image is built from `dockerfile` and pushed."""
    dockerfile: values.FilePath | None = None
    """Path of the Dockerfile; when left out, the Dockerfile included in orderops."""
    base: values.PinnedImage | None = None
    """Base image in place of the Dockerfile's, which takes it with `ARG BASE`; such as the same one in a mirror."""
    cpu: values.Cpu = 256
    """CPU units of a task; 1024 are one vCPU."""
    memory: int = 512
    """Memory of a task in megabytes; the allowed sizes depend on `cpu`."""
    min_tasks: Annotated[int, between(1, 1000)] = 1
    """Minimum number of tasks."""
    max_tasks: Annotated[int, between(1, 1000)] = 5
    """Maximum number of tasks; up to twice as many run during a deployment."""
    cpu_target_percent: values.Percent = 60
    """Average CPU use in percent that scaling aims at; a worker scales on `messages_per_task`."""
    port: values.Port = 8080
    """Port on which a task listens."""
    health_path: values.UrlPath = "/health"
    """Path of the health check; a healthy task responds with status 200."""
    health_grace_seconds: Annotated[int, between(0, 3600)] = 60
    """Seconds after the start of a task during which failed health checks are ignored."""
    deregistration_delay_seconds: Annotated[int, between(0, 3600)] = 30
    """Seconds for which requests in progress may finish after a task is deregistered from the load balancer."""
    stop_timeout_seconds: Annotated[int, between(2, 120)] = 30
    """Seconds between SIGTERM and SIGKILL when a task is stopped."""
    # The metrics of a load balancer arrive up to two minutes late, and have to be seen within the bake.
    bake_seconds: Annotated[int, between(0, 3600)] = 180
    """Seconds after the last task of a release is healthy in which exits, 5xx and a wrong `/version` turn it back."""
    stuck_seconds: Annotated[int, between(10, 7200)] = 600
    """Seconds without any task that starts, becomes healthy or ends, after which a release is stuck and turned back."""
    strategy: Literal["rolling", "blue-green", "canary"] = "rolling"
    """How a release takes over: task by task, all at once after a test beside the old tasks, or with a share first."""
    canary_percent: Annotated[int, between(1, 99)] = 10
    """Percent of the requests that a canary release gets first."""
    canary_minutes: Annotated[int, between(1, 60)] = 5
    """Minutes for which a canary release gets its share, before it gets all requests."""
    # A listener rule has at most five condition values.
    paths: Annotated[list[values.PathPattern], counted(1, 5)] = Field(["/*"])
    """Path patterns of requests that the load balancer routes to this service."""
    hosts: Annotated[list[values.DomainName], counted(0, 4)] = Field(default_factory=list)
    """Names of [domain] under which the service gets these paths; when left out, under every name."""
    priority: Annotated[int, between(1, 50000)] | None = None
    """Priority of the routing rule, lowest first; when left out, 100, 200 … in the order of the file."""
    role: Literal["both", "web", "worker"] = "both"
    """What the tasks do: accept orders (`web`), write those of the queue (`worker`), or `both`."""
    works_for: values.ServiceName | None = None
    """The service whose queue, image, secrets and variables a worker uses; required in a worker, and only there."""
    messages_per_task: Annotated[int, between(1, 100_000)] = 100
    """Waiting messages for each task of a worker that scaling aims at."""
    demonstration: bool = False
    """Whether the order processor shows pages with users and orders to everybody who reaches the load balancer."""
    token_secret: values.VariableName | None = None
    """Name of the secret with the bearer token for /orders; when left out, the order processor asks for none."""
    queue: QueueConfig = no_keys()
    """The queue of the service."""
    secrets: Annotated[list[values.VariableName], counted(0)] = Field(default_factory=list)
    """Names of environment variables that get their values from Secrets Manager."""
    variables: dict[values.VariableName, str] = Field(default_factory=dict)
    """Environment variables and their values."""
    alarms: AlarmsConfig = no_keys()
    """Limits of the alarms."""
    log_days: values.LogDays = 7
    """Days for which the logs are kept."""
    pool_size: Annotated[int, between(1, 100)] = 4
    """Database connections of a task; 2 x max_tasks x pool_size of all services must fit into the server's limit."""
    # The service remembers for so long where the primary was.
    max_lag_seconds: Annotated[int, between(0, 3600)] = 5
    """Seconds by which a read replica may be behind to answer what may be old; 0 reads from the primary only."""

    def mistakes(self) -> Iterator[Mistake]:
        """Check memory against CPU, the number of tasks, the source of the image, and names of variables."""
        allowed = FARGATE_MEMORY[self.cpu]
        if self.memory not in allowed:
            rule = f"must be one of {', '.join(map(str, allowed))} with cpu {self.cpu}"
            yield Mistake(("memory",), self.memory, rule, (("cpu",),))
        if self.min_tasks > self.max_tasks:
            rule = f"must be 1 to {self.max_tasks}, which is max_tasks"
            yield Mistake(("min_tasks",), self.min_tasks, rule, (("max_tasks",),))
        for name, value in (("dockerfile", self.dockerfile), ("base", self.base)):
            if self.image and value:
                yield Mistake((name,), value, "is used only when image is left out", (("image",),))
        yield from self._worker_mistakes() if self.role == "worker" else self._mistakes_without_worker()
        yield from self._variable_mistakes()

    def _worker_mistakes(self) -> Iterator[Mistake]:
        if self.works_for is None:
            rule = "needs works_for, the service whose queue it empties"
            yield Mistake(("role",), self.role, rule, WHOLE_TABLE)
        for key in sorted(self.model_fields_set & NOT_OF_A_WORKER.keys()):
            value = getattr(self, key)
            value = {} if isinstance(value, QueueConfig) else value
            yield Mistake((key,), value, NOT_OF_A_WORKER[key], WHOLE_TABLE)
        for key in ("dead_letters", "queue_depth"):
            if key in self.alarms.model_fields_set:
                yield Mistake(("alarms", key), getattr(self.alarms, key), OF_SOURCE, WHOLE_TABLE)
        if self.health_grace_seconds > LONGEST_START:
            rule = f"must be 0 to {LONGEST_START} in a worker: from then on ECS counts failed checks of its container"
            yield Mistake(("health_grace_seconds",), self.health_grace_seconds, rule, WHOLE_TABLE)

    def _mistakes_without_worker(self) -> Iterator[Mistake]:
        for key in ("works_for", "messages_per_task"):
            if key in self.given():
                rule = f'is for a worker; this service has role = "{self.role}"'
                yield Mistake((key,), getattr(self, key), rule, (("role",),))
        for key in ("canary_percent", "canary_minutes"):
            if key in self.given() and self.strategy != "canary":
                rule = f'is for strategy = "canary"; this service has "{self.strategy}"'
                yield Mistake((key,), getattr(self, key), rule, (("strategy",),))
        yield from self._too_many_conditions()

    def _too_many_conditions(self) -> Iterator[Mistake]:
        tested = self.strategy != "rolling"
        # One of the values of a rule is the header of a test.
        most = MOST_VALUES - tested
        if len(self.paths) + len(self.hosts) <= most:
            return
        beside = f" with strategy {self.strategy}, whose tests need a header, too" if tested else ""
        among = (("strategy",),) if tested else ()
        if self.hosts:
            rule = f"and paths may be at most {most} together{beside}"
            yield Mistake(("hosts",), self.hosts, rule, (("paths",), *among))
        else:
            yield Mistake(("paths",), self.paths, f"may be at most {most}{beside}", among)

    def _variable_mistakes(self) -> Iterator[Mistake]:
        for name, value in self.variables.items():
            if name in self.secrets:
                yield Mistake(("variables", name), value, "is also in secrets", (("secrets",),))
            elif name in RESERVED_VARIABLES:
                yield Mistake(("variables", name), value, RESERVED_VARIABLES[name])
        if self.token_secret in self.secrets:
            # As a variable, a task would keep the token that it was started with.
            rule = "is also in secrets; the service reads this secret itself"
            yield Mistake(("token_secret",), self.token_secret, rule, (("secrets",),))
        for index, name in enumerate(self.secrets):
            if name in RESERVED_VARIABLES:
                yield Mistake(("secrets", index), name, RESERVED_VARIABLES[name])
        if (size := sum(len(name) + len(value) for name, value in self.variables.items())) > VARIABLES_SIZE:
            rule = f"has {size} characters; a task definition has room for {VARIABLES_SIZE}"
            yield Mistake(("variables",), {}, rule)


def check_service_name(name: str) -> None:
    """Raise UsageError for what cannot be the name of a service."""
    try:
        TypeAdapter(values.ServiceName).validate_python(name)
    except ValidationError:
        raise UsageError(
            f"{name!r} is not the name of a service",
            "name it as in [services.NAME]: lower-case letters, digits and single hyphens",
        ) from None


def covers_all(earlier: Sequence[str], later: Sequence[str]) -> bool:
    """Whether every path that matches a later pattern also matches an earlier one."""
    return all(any(_covers(pattern, other) for pattern in earlier) for other in later)


def _covers(pattern: str, other: str) -> bool:
    # `?` stands for one character, so it does not cover a `*` in the other pattern.
    regex = "".join({"*": ".*", "?": "[^*]"}.get(char, re.escape(char)) for char in pattern)
    return re.fullmatch(regex, other) is not None
