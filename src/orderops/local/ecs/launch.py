"""From a task definition to what a process needs: which module, which environment, which secrets, which log."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.ecs.processes import Processes
from orderops.local.ecs.records import ContainerProcess, EcsTask, Json
from orderops.local.ports import free_port

SCHEME = "process://"
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "USER", "TZ", "SYSTEMROOT")
STOP_TIMEOUT = 30


class CannotStart(Exception):
    """Why a task never ran, in the words of ECS."""


def definition(arn: str, region: str) -> Any:
    """moto's record of a task definition."""
    return get_backend("ecs")[DEFAULT_ACCOUNT_ID][region].describe_task_definition(arn)


def prepare(task: EcsTask, found: Any, tasks_folder: Path) -> None:
    """Say what the task's containers are; nothing is started."""
    task.cpu, task.memory = str(found.cpu or ""), str(found.memory or "")
    for container in found.container_definitions:
        ports = [mapping.get("containerPort") for mapping in container.get("portMappings") or ()]
        run = ContainerProcess(
            name=container["name"],
            image=container.get("image", ""),
            essential=bool(container.get("essential", True)),
            stop_timeout=float(container.get("stopTimeout") or STOP_TIMEOUT),
            container_port=ports[0] if ports else None,
            log=str(tasks_folder / task.id / f"{container['name']}.log"),
        )
        options = _log_options(container)
        if options:
            run.log_group = options.get("awslogs-group", "")
            run.log_stream = f"{options.get('awslogs-stream-prefix', 'ecs')}/{run.name}/{task.id}"
        task.runs.append(run)


def check(task: EcsTask, found: Any) -> None:
    """Say why the task could not start, as far as the account tells; nothing is started."""
    containers = {container["name"]: container for container in found.container_definitions}
    for run in task.runs:
        _secrets(containers[run.name].get("secrets") or (), task.region)
        _check_log_group(task, run, containers[run.name])


def launch(task: EcsTask, found: Any, processes: Processes, url: str, taken: set[int]) -> None:
    """Start the task's processes, or say why not."""
    containers = {container["name"]: container for container in found.container_definitions}
    for run in task.runs:
        container = containers[run.name]
        if not run.image.startswith(SCHEME):
            raise CannotStart(
                f"CannotPullContainerError: the laptop runs modules and not images: {run.image} is not {SCHEME}MODULE"
            )
        _check_log_group(task, run, container)
        run.port = free_port(but=taken)
        taken.add(run.port)
        environment = _environment(task, run, container, url)
        processes.start(run, _arguments(task, run, container), environment)


def _arguments(task: EcsTask, run: ContainerProcess, container: Json) -> list[str]:
    """A module with its words; a command that begins with `python` takes the place of all, as it does in an image."""
    command = _override(task, run.name).get("command") or container.get("command") or []
    if command[:1] == ["python"]:
        return [sys.executable, *command[1:]]
    if entry := container.get("entryPoint"):
        return [*entry, *command]
    return [sys.executable, "-m", run.image.removeprefix(SCHEME), *command]


def _environment(task: EcsTask, run: ContainerProcess, container: Json, url: str) -> dict[str, str]:
    return {
        **{name: os.environ[name] for name in INHERITED if name in os.environ},
        "PYTHONUNBUFFERED": "1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": task.region,
        "AWS_DEFAULT_REGION": task.region,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        **_pairs(container.get("environment") or ()),
        **_secrets(container.get("secrets") or (), task.region),
        **_pairs(_override(task, run.name).get("environment") or ()),
        "AWS_ENDPOINT_URL": url,
        "HOST": "127.0.0.1",
        "PORT": str(run.port),
    }


def _pairs(given: Iterable[Json]) -> dict[str, str]:
    return {pair["name"]: str(pair["value"]) for pair in given}


def _override(task: EcsTask, name: str) -> Json:
    for override in task.overrides.get("containerOverrides") or ():
        if override.get("name") == name:
            return dict(override)
    return {}


def _secrets(given: Iterable[Json], region: str) -> dict[str, str]:
    return {secret["name"]: _secret(secret["valueFrom"], region) for secret in given}


def _secret(value_from: str, region: str) -> str:
    """A secret's value, or one key of it: `ARN` or `ARN:KEY:STAGE:VERSION`, where each of the three may be empty."""
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
    trouble = "ResourceInitializationError: unable to pull secrets or registry auth"
    backend = get_backend("secretsmanager")[DEFAULT_ACCOUNT_ID][region]
    try:
        value = backend.get_secret_value(arn, version or None, stage or "AWSCURRENT")["SecretString"]
    except Exception as error:
        raise CannotStart(f"{trouble}: {arn}: {type(error).__name__}") from None
    if not key:
        return str(value)
    found = json.loads(value)
    if key not in found:
        raise CannotStart(f"{trouble}: retrieved secret from Secrets Manager did not contain json key {key}")
    return str(found[key])


def _log_options(container: Json) -> dict[str, str]:
    told = container.get("logConfiguration") or {}
    return dict(told.get("options") or {}) if told.get("logDriver") == "awslogs" else {}


def _check_log_group(task: EcsTask, run: ContainerProcess, container: Json) -> None:
    if not run.log_group:
        return
    backend = get_backend("logs")[DEFAULT_ACCOUNT_ID][task.region]
    if run.log_group not in backend.groups:
        if _log_options(container).get("awslogs-create-group") != "true":
            raise CannotStart(
                "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: "
                f"failed to create Cloudwatch log stream: The specified log group does not exist: {run.log_group}"
            )
        backend.create_log_group(run.log_group, {})
    backend.ensure_log_stream(run.log_group, run.log_stream)
