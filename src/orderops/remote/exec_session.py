"""A command in a running task, by ECS Exec: SSM starts the session, and AWS's session-manager-plugin carries it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from time import monotonic, sleep
from typing import Any

from orderops.aws.client import Aws
from orderops.errors import AwsError, OrderopsError
from orderops.remote.tunnel import (
    READS_ENVIRONMENT,
    RESPONSE,
    TunnelTiming,
    installed_plugin,
    plugin_version,
    running_tasks,
    runtime_of,
)

NOT_CONNECTED = "TargetNotConnectedException"
USUAL = TunnelTiming()


def run_in_task(
    aws: Aws, cluster: str, service: str, command: str, *, task: str = "", timing: TunnelTiming = USUAL
) -> int:
    """Run a command in the newest task of a service, or in the one whose id begins so, with this terminal.

    Returns the exit code of the plugin; SSM does not pass on that of the command. Raises OrderopsError if no task
    accepts sessions.
    """
    plugin = installed_plugin("a command in a task needs")
    chosen = _chosen(aws, cluster, service, task)
    answer = _started(aws, cluster, chosen, command, timing)
    session = {name[0].upper() + name[1:]: answer["session"][name] for name in ("sessionId", "streamUrl", "tokenValue")}
    runtime = next(filter(None, map(runtime_of, chosen["containers"])), "")
    target = f"ecs:{cluster}_{_id(chosen)}_{runtime}"
    document = json.dumps(session)
    hidden = plugin_version(plugin) >= READS_ENVIRONMENT
    arguments = [RESPONSE if hidden else document, aws.region, "StartSession", os.environ.get("AWS_PROFILE", "")]
    # With this process's terminal: what is typed, Ctrl+C too, belongs to the command.
    return subprocess.run(
        [plugin, *arguments, json.dumps({"Target": target}), aws.endpoint("ssm")],
        env={**os.environ, **({RESPONSE: document} if hidden else {})},
        check=False,
    ).returncode


def _chosen(aws: Aws, cluster: str, service: str, task: str) -> Mapping[str, Any]:
    tasks = [raw for raw in running_tasks(aws, cluster, service) if _id(raw).startswith(task)]
    accepting = [raw for raw in tasks if raw.get("enableExecuteCommand")]
    if not tasks:
        which = f"whose id begins with {task} " if task else ""
        raise OrderopsError(f"no task of {service} {which}is running", "orderops status")
    if not accepting:
        raise OrderopsError(
            f"none of the {len(tasks)} tasks of {service} accepts commands: they were started without ExecuteCommand",
            "the setting applies to new tasks only: orderops service restart",
        )
    return max(accepting, key=lambda raw: str(raw.get("startedAt", "")))


def _started(aws: Aws, cluster: str, task: Mapping[str, Any], command: str, timing: TunnelTiming) -> Mapping[str, Any]:
    """Start the session; waits for the agent in a new task to connect."""
    deadline = monotonic() + timing.connect
    container = task["containers"][0]["name"]
    while True:
        try:
            answer: Mapping[str, Any] = aws.ecs.execute_command(
                cluster=cluster, task=task["taskArn"], container=container, command=command, interactive=True
            )
            return answer
        except AwsError as error:
            if error.code != NOT_CONNECTED:
                raise
            if monotonic() > deadline:
                raise OrderopsError(
                    f"the SSM agent of task {_id(task)} did not connect within {timing.connect:.0f} s",
                    "check that its role may open ssmmessages channels; an unused agent ends after 20 min, and a new "
                    "task has a new one: orderops service restart",
                ) from None
        sleep(timing.pause)


def _id(task: Mapping[str, Any]) -> str:
    return str(task["taskArn"]).rpartition("/")[2]
