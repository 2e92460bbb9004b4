"""ECS task definition for Fargate with one container; every change registers a new revision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, ClassVar

from orderops.aws.client import Aws, every, if_found
from orderops.aws.ownership import Ownership, Tags, from_pairs, to_pairs
from orderops.engine.names import NameRule
from orderops.engine.resource import Effect, Observed, Output, Outputs, Properties, Resource
from orderops.frozen import Frozen, field
from orderops.resources.iam_role import IamRole
from orderops.resources.logs_group import LogsGroup

LINUX = {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"}
REVISIONS_A_DELETE = 10
REVISIONS_A_STEP = 50
# A task that hangs is replaced after three failed checks.
CHECK_SECONDS = 10
PROPERTIES = (
    "Cpu",
    "Memory",
    "ExecutionRoleArn",
    "TaskRoleArn",
    "Container",
    "Image",
    "Port",
    "StopTimeout",
    "HealthCheck",
    "Environment",
    "Secrets",
    "Logs",
)


class ContainerCheck(Frozen):
    """A command that ECS runs in the container: exit code 0 means healthy. `grace` is in seconds."""

    command: tuple[str, ...]
    grace: int = 0


class EcsTaskDefinition(Resource):
    """The newest active revision of a family. `cpu` in 1/1024 of a core, `memory` in MiB, `stop_timeout` in seconds."""

    container: str
    image: str
    port: int
    """0 if nothing connects to its tasks."""
    log_group: LogsGroup
    execution_role: IamRole
    task_role: IamRole
    cpu: int = 256
    memory: int = 512
    stop_timeout: int = 30
    health_check: ContainerCheck | None = None
    environment: Mapping[str, str | Output] = field(default_factory=dict)
    secrets: Mapping[str, Output] = field(default_factory=dict)
    scheduled: bool = False
    """Whether a schedule starts its tasks, so that a change replaces none that runs."""

    kind: ClassVar[str] = "ecs-task-definition"
    name_rule: ClassVar[NameRule | None] = NameRule(255, r"[A-Za-z0-9_-]+", "letters, digits, _ and -")
    replaced_on_update: ClassVar[bool] = True
    # ECS does not know a role that was created seconds ago.
    retryable_errors: ClassVar[frozenset[str]] = frozenset({"ClientException: Role is not valid"})
    effects: ClassVar[Mapping[str, Effect]] = dict.fromkeys(PROPERTIES, Effect.RESTARTS)

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        families = every(aws.ecs.list_task_definition_families, "families", familyPrefix=owner.prefix, status="ACTIVE")
        for family in families:
            # Returns the newest active revision. A family without one causes a ClientException.
            response = if_found(
                aws.ecs.describe_task_definition, "ClientException", taskDefinition=family, include=["TAGS"]
            )
            if response and response["taskDefinition"]["status"] == "ACTIVE":
                yield _observed(response["taskDefinition"], from_pairs(response.get("tags"), "key", "value"))

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.ecs.tag_resource(resourceArn=observed.arn, tags=to_pairs(tags, "key", "value"))

    def desired(self, outputs: Outputs) -> Properties:
        texts = {
            key: value.read(outputs) if isinstance(value, Output) else value for key, value in self.environment.items()
        }
        return {
            "Cpu": str(self.cpu),
            "Memory": str(self.memory),
            "ExecutionRoleArn": outputs[self.execution_role].arn,
            "TaskRoleArn": outputs[self.task_role].arn,
            "Container": self.container,
            "Image": self.image,
            "Port": self.port or None,
            "StopTimeout": self.stop_timeout,
            "HealthCheck": _checking(self.health_check),
            "Environment": texts,
            "Secrets": {key: secret.read(outputs) for key, secret in self.secrets.items()},
            "Logs": outputs[self.log_group].name,
        }

    def effect(self, key: str, observed: Any, desired: Any) -> Effect:
        return Effect.SAFE if self.scheduled else super().effect(key, observed, desired)

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        _register(aws, self.name, desired, owner.tags)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        _register(aws.once, self.name, {**observed.properties, **changed}, observed.tags or {})

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        call = aws.ecs.list_task_definitions
        arns = list(islice(every(call, "taskDefinitionArns", familyPrefix=observed.name), REVISIONS_A_STEP))
        for arn in arns:
            aws.ecs.deregister_task_definition(taskDefinition=arn)
        for start in range(0, len(arns), REVISIONS_A_DELETE):
            aws.ecs.delete_task_definitions(taskDefinitions=arns[start : start + REVISIONS_A_DELETE])


def _observed(raw: Mapping[str, Any], tags: Tags) -> Observed:
    containers = raw["containerDefinitions"]
    first = containers[0]
    ports = [mapping["containerPort"] for mapping in first.get("portMappings", ())]
    options = first.get("logConfiguration", {}).get("options", {})
    return Observed(
        raw["family"],
        {
            "Cpu": raw.get("cpu"),
            "Memory": raw.get("memory"),
            "ExecutionRoleArn": raw.get("executionRoleArn"),
            "TaskRoleArn": raw.get("taskRoleArn"),
            "Container": " ".join(container["name"] for container in containers),
            "Image": first["image"],
            "Port": ports[0] if len(ports) == 1 else ports or None,
            "StopTimeout": first.get("stopTimeout", 30),
            # moto returns what was not registered as None.
            "HealthCheck": first.get("healthCheck") or None,
            "Environment": {variable["name"]: variable["value"] for variable in first.get("environment", ())},
            "Secrets": {secret["name"]: secret["valueFrom"] for secret in first.get("secrets", ())},
            "Logs": options.get("awslogs-group"),
            "Revision": raw["revision"],
        },
        tags=tags,
        name=raw["family"],
        arn=raw["taskDefinitionArn"],
    )


def _checking(check: ContainerCheck | None) -> dict[str, Any] | None:
    """A health check in ECS's words. Every member is given: ECS returns its defaults for those left out."""
    if check is None:
        return None
    times = {"interval": CHECK_SECONDS, "timeout": 5, "retries": 3, "startPeriod": check.grace}
    return {"command": ["CMD", *check.command], **times}


def _register(aws: Aws, family: str, properties: Properties, tags: Tags) -> None:
    logs = {
        "awslogs-group": properties["Logs"],
        "awslogs-region": aws.region,
        "awslogs-stream-prefix": "task",
    }
    container = {
        "name": properties["Container"],
        "image": properties["Image"],
        "essential": True,
        "portMappings": [{"containerPort": properties["Port"], "protocol": "tcp"}] if properties["Port"] else [],
        "environment": to_pairs(properties["Environment"], "name", "value"),
        "secrets": to_pairs(properties["Secrets"], "name", "valueFrom"),
        "stopTimeout": properties["StopTimeout"],
        # An init process, since ECS Exec leaves zombie processes.
        "linuxParameters": {"initProcessEnabled": True},
        "logConfiguration": {"logDriver": "awslogs", "options": logs},
        **({"healthCheck": properties["HealthCheck"]} if properties["HealthCheck"] else {}),
    }
    aws.ecs.register_task_definition(
        family=family,
        cpu=properties["Cpu"],
        memory=properties["Memory"],
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        runtimePlatform=LINUX,
        executionRoleArn=properties["ExecutionRoleArn"],
        taskRoleArn=properties["TaskRoleArn"],
        containerDefinitions=[container],
        tags=to_pairs(tags, "key", "value"),
    )
