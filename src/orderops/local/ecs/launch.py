"""Start a task's processes from its task definition: module, environment, secrets and log."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.ecs.processes import Processes
from orderops.local.ecs.records import ContainerProcess, EcsTask, Json
from orderops.local.emulator.partition import global_backends
from orderops.local.inside import VARIABLE as INSIDE
from orderops.local.keys import AccessKey, task_key
from orderops.local.ports import free_port

SCHEME = "process://"
# Fargate's principal, from "Amazon ECS task execution IAM role" in the ECS developer guide.
TASKS_PRINCIPAL = "ecs-tasks.amazonaws.com"
# Only what Python needs, and where a job logs: AWS_* and the operator's settings must not leak into a task.
INHERITED = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "USER", "TZ", "SYSTEMROOT"),
    "ORDEROPS_LOG_DIRECTORY",
)
# Seconds, the default of ECS on Fargate.
STOP_TIMEOUT = 30


@dataclass(frozen=True)
class EmulatorAccess:
    """How tasks reach the emulator: its URL, and the key from which each gets its own."""

    url: str
    key: AccessKey


class CannotStart(Exception):
    """Reason why a task did not start, in ECS's words."""


def definition(arn: str, region: str) -> Any:
    """Return moto's record of a task definition."""
    return get_backend("ecs")[DEFAULT_ACCOUNT_ID][region].describe_task_definition(arn)


def unusable_role(task_definition: Any) -> str:
    """Return the first role of a definition that ECS cannot assume for a task; empty when it can assume all."""
    # moto leaves out what was not registered.
    for arn in (getattr(task_definition, name, None) for name in ("execution_role_arn", "task_role_arn")):
        if arn and f"::{DEFAULT_ACCOUNT_ID}:role/" in arn and not trusts(arn, TASKS_PRINCIPAL):
            return str(arn)
    return ""


def trusts(arn: str, principal: str) -> bool:
    """Tell whether a role exists that a service of AWS may assume."""
    roles = (role for backend in global_backends("iam") for role in backend.roles.values())
    role = next((role for role in roles if role.arn == arn), None)
    return role is not None and f'"{principal}"' in json.dumps(_parsed(role.assume_role_policy_document))


def _parsed(document: Any) -> Any:
    return json.loads(document) if isinstance(document, str) else document


def prepare(task: EcsTask, task_definition: Any, tasks_folder: Path) -> None:
    """Create the records of the task's containers without starting them."""
    task.cpu, task.memory = str(task_definition.cpu or ""), str(task_definition.memory or "")
    for container in task_definition.container_definitions:
        ports = [mapping.get("containerPort") for mapping in container.get("portMappings") or ()]
        process = ContainerProcess(
            name=container["name"],
            image=container.get("image", ""),
            essential=bool(container.get("essential", True)),
            stop_timeout=float(container.get("stopTimeout") or STOP_TIMEOUT),
            container_port=ports[0] if ports else None,
            log=str(tasks_folder / task.id / f"{container['name']}.log"),
            check=container.get("healthCheck") or None,
        )
        options = _log_options(container)
        if options:
            process.log_group = options.get("awslogs-group", "")
            process.log_stream = f"{options.get('awslogs-stream-prefix', 'ecs')}/{process.name}/{task.id}"
        task.processes.append(process)


def check(task: EcsTask, task_definition: Any) -> None:
    """Check the task's secrets and log groups without starting it. Raises CannotStart."""
    containers = {container["name"]: container for container in task_definition.container_definitions}
    for process in task.processes:
        _secrets(containers[process.name].get("secrets") or (), task.region)
        _check_log_group(task, process, containers[process.name])


def launch(
    task: EcsTask, task_definition: Any, processes: Processes, access: EmulatorAccess, taken_ports: set[int]
) -> None:
    """Start the task's processes. Raises CannotStart."""
    containers = {container["name"]: container for container in task_definition.container_definitions}
    key = task_key(access.key)
    task.key_id, emulator = key.id, _emulator_variables(access, key)
    for process in task.processes:
        container = containers[process.name]
        if not process.image.startswith(SCHEME):
            raise CannotStart(
                "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref "
                f"{process.image}: not found: this machine runs {SCHEME}MODULE and no images"
            )
        _check_log_group(task, process, container)
        # Tasks share one host, unlike in awsvpc mode: each needs a port of its own.
        process.port = free_port(excluded=taken_ports)
        taken_ports.add(process.port)
        environment = _environment(task, process, container, emulator)
        processes.start(process, _arguments(task, process, container), environment)


def check_command(task: EcsTask, process: ContainerProcess) -> tuple[list[str], dict[str, str]]:
    """Return the command of a container's health check, and the container's environment without its secrets."""
    container = next(
        container
        for container in definition(task.definition, task.region).container_definitions
        if container["name"] == process.name
    )
    kind, *command = (process.check or {})["command"]
    arguments = ["/bin/sh", "-c", *command] if kind == "CMD-SHELL" else command
    environment = {
        **{name: os.environ[name] for name in INHERITED if name in os.environ},
        **_pairs(container.get("environment") or ()),
        "PORT": str(process.port),
    }
    return [sys.executable, *arguments[1:]] if arguments[:1] == ["python"] else arguments, environment


def _arguments(task: EcsTask, process: ContainerProcess, container: Json) -> list[str]:
    """Return the module with its arguments; a command that starts with `python` replaces both, as in an image."""
    command = _override(task, process.name).get("command") or container.get("command") or []
    if command[:1] == ["python"]:
        return [sys.executable, *command[1:]]
    if entry_point := container.get("entryPoint"):
        return [*entry_point, *command]
    # Behind the @ is which sources were meant; a process runs those that are installed now.
    module, _, _ = process.image.removeprefix(SCHEME).partition("@")
    return [sys.executable, "-m", module, *command]


def task_role(task: EcsTask) -> str:
    """Return the ARN of the role that a task's credentials are of; empty without one."""
    return str(getattr(definition(task.definition, task.region), "task_role_arn", None) or "")


def _emulator_variables(access: EmulatorAccess, key: AccessKey) -> dict[str, str]:
    """Return the variables that AWS's clients read: address, and the temporary credentials of the task's role."""
    return {
        "AWS_ENDPOINT_URL": access.url,
        "AWS_ACCESS_KEY_ID": key.id,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_SESSION_TOKEN": key.token,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        INSIDE: "1",
    }


def _environment(task: EcsTask, process: ContainerProcess, container: Json, emulator: dict[str, str]) -> dict[str, str]:
    return {
        **{name: os.environ[name] for name in INHERITED if name in os.environ},
        # Without it, output arrives in the log only when the buffer is full or the process ends.
        "PYTHONUNBUFFERED": "1",
        "AWS_REGION": task.region,
        "AWS_DEFAULT_REGION": task.region,
        **_pairs(container.get("environment") or ()),
        **_secrets(container.get("secrets") or (), task.region),
        **_pairs(_override(task, process.name).get("environment") or ()),
        # Last, so that a task definition written for AWS cannot bypass the emulator or take a used port.
        **emulator,
        "HOST": "127.0.0.1",
        "PORT": str(process.port),
    }


def _pairs(pairs: Iterable[Json]) -> dict[str, str]:
    return {pair["name"]: str(pair["value"]) for pair in pairs}


def _override(task: EcsTask, name: str) -> Json:
    for override in task.overrides.get("containerOverrides") or ():
        if override.get("name") == name:
            return dict(override)
    return {}


def _secrets(secrets: Iterable[Json], region: str) -> dict[str, str]:
    return {secret["name"]: _secret(secret["valueFrom"], region) for secret in secrets}


def _secret(value_from: str, region: str) -> str:
    """Return a secret's value, or one key of it: `ARN` or `ARN:KEY:STAGE:VERSION`, each part possibly empty."""
    parts = value_from.split(":")
    if parts[:3] == ["arn", "aws", "secretsmanager"] and len(parts) >= 7:
        arn, rest = ":".join(parts[:7]), [*parts[7:], "", "", ""]
        return _secret_value(arn, key=rest[0], stage=rest[1], version=rest[2], region=parts[3])
    name = "/" + value_from.partition(":parameter/")[2] if ":parameter/" in value_from else value_from
    parameter = get_backend("ssm")[DEFAULT_ACCOUNT_ID][region].get_parameter(name)
    if parameter is None:
        raise CannotStart(
            f"ResourceInitializationError: unable to pull secrets or registry auth: invalid parameters: {value_from}"
        )
    return str(parameter.value)


def _secret_value(arn: str, *, key: str, stage: str, version: str, region: str) -> str:
    prefix = "ResourceInitializationError: unable to pull secrets or registry auth"
    backend = get_backend("secretsmanager")[DEFAULT_ACCOUNT_ID][region]
    try:
        value = backend.get_secret_value(arn, version or None, stage or "AWSCURRENT")["SecretString"]
    except Exception as error:
        raise CannotStart(f"{prefix}: {arn}: {type(error).__name__}") from None
    if not key:
        return str(value)
    values = json.loads(value)
    if key not in values:
        raise CannotStart(f"{prefix}: retrieved secret from Secrets Manager did not contain json key {key}")
    return str(values[key])


def _log_options(container: Json) -> dict[str, str]:
    configuration = container.get("logConfiguration") or {}
    return dict(configuration.get("options") or {}) if configuration.get("logDriver") == "awslogs" else {}


def _check_log_group(task: EcsTask, process: ContainerProcess, container: Json) -> None:
    if not process.log_group:
        return
    backend = get_backend("logs")[DEFAULT_ACCOUNT_ID][task.region]
    if process.log_group not in backend.groups:
        if _log_options(container).get("awslogs-create-group") != "true":
            raise CannotStart(
                "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: "
                f"failed to create Cloudwatch log stream: The specified log group does not exist: {process.log_group}"
            )
        backend.create_log_group(process.log_group, {})
    backend.ensure_log_stream(process.log_group, process.log_stream)
