"""A tunnel to a database that this machine does not reach: SSM's port forwarding through a running task of a service.

AWS only answers where the session is; the way there is the session-manager-plugin, a program of AWS's own, which
listens on a port of this machine for as long as the tunnel is open.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from time import monotonic, sleep
from typing import IO, Any

from orderops.aws.client import Aws, every
from orderops.database.connection import Login, Tunnel
from orderops.errors import AwsError, OrderopsError
from orderops.infra.workspace import Workspace

DOCUMENT = "AWS-StartPortForwardingSessionToRemoteHost"
PLUGIN = "session-manager-plugin"
HERE = "127.0.0.1"
RESPONSE = "AWS_SSM_START_SESSION_RESPONSE"
READS_ENVIRONMENT = (1, 2, 497)
"""Since this version the plugin takes the session's token from a variable; before, the list of processes shows it."""
NOT_CONNECTED = "TargetNotConnected"
CONNECTS = 60.0
"""Seconds in which the agent beside a task just started is there."""
PAUSE = 2.0
LISTENS = 30.0
"""Seconds in which the plugin listens."""
SILENT = 5.0
WAITS = "Waiting for connections"
"""How the plugin says that it listens."""
LONGEST = 100_000
ENDS = 5.0
OTHER_WAY = 'or without one, as a task: access = "task" in [database]'


def tunnel_of(workspace: Workspace) -> Tunnel:
    """What opens a tunnel to a database of an environment, through a task of its first service."""
    service = workspace.environment.service_name(next(iter(workspace.environment.services)))
    cluster, name = workspace.stack.cluster.name, workspace.environment.name
    aws = workspace.aws.guarded(lambda: None)  # a session changes nothing that an environment is made of

    @contextmanager
    def opened(to: Login) -> Iterator[Login]:
        plugin = _plugin()
        target = target_of(aws, environment=name, cluster=cluster, service=service)
        with port_forwarding(aws, plugin, target, to) as through:
            yield through

    return opened


def target_of(aws: Aws, *, environment: str, cluster: str, service: str) -> str:
    """The container through which a tunnel may lead; raises OrderopsError where no task lets anybody in."""
    tasks = _running(aws, cluster, service)
    if not tasks:
        raise OrderopsError(
            f"no task of {service} runs, so there is nothing to lead a tunnel through",
            f"orderops status --env {environment}; {OTHER_WAY}",
        )
    open_ = [raw for raw in tasks if raw.get("enableExecuteCommand") and any(map(_runtime, raw["containers"]))]
    if not open_:
        raise OrderopsError(
            f"none of the {len(tasks)} tasks of {service} lets a session in: they were started without ExecuteCommand",
            f"it counts for new tasks only, so release anew: orderops up --env {environment}; {OTHER_WAY}",
        )
    newest = max(open_, key=lambda raw: str(raw.get("startedAt", "")))
    runtime = next(filter(None, map(_runtime, newest["containers"])))
    return f"ecs:{cluster}_{newest['taskArn'].rpartition('/')[2]}_{runtime}"


@contextmanager
def port_forwarding(aws: Aws, plugin: str, target: str, to: Login) -> Iterator[Login]:
    """A login that leads through the target, until the end; then session and program are ended, however it comes."""
    port = _free_port()
    parameters = {"host": [to.host], "portNumber": [str(to.port)], "localPortNumber": [str(port)]}
    asked = {"Target": target, "DocumentName": DOCUMENT, "Parameters": parameters}
    session = _session(aws, asked)
    try:
        with tempfile.TemporaryFile() as said, _program(aws, plugin, session, asked, said) as program:
            _await_listening(program, port, said)
            yield replace(to, by=(HERE, port))
    finally:
        with suppress(AwsError):  # it ends by itself some minutes after the program
            aws.ssm.terminate_session(SessionId=session["SessionId"])


def _plugin() -> str:
    found = shutil.which(PLUGIN)
    if found is None:
        raise OrderopsError(
            f"a tunnel needs the {PLUGIN}, which is not on the PATH of this machine",
            "install it: https://docs.aws.amazon.com/systems-manager/latest/userguide/"
            f"session-manager-working-with-install-plugin.html; {OTHER_WAY}",
        )
    return found


def _running(aws: Aws, cluster: str, service: str) -> list[Mapping[str, Any]]:
    try:
        arns = list(every(aws.ecs.list_tasks, "taskArns", cluster=cluster, serviceName=service))
    except AwsError as error:
        if error.code not in ("ClusterNotFoundException", "ServiceNotFoundException"):
            raise
        return []
    tasks = aws.ecs.describe_tasks(cluster=cluster, tasks=arns[:100])["tasks"] if arns else ()
    return [raw for raw in tasks if raw["lastStatus"] == "RUNNING"]


def _runtime(container: Mapping[str, Any]) -> str:
    return str(container.get("runtimeId") or "") if container.get("lastStatus") == "RUNNING" else ""


def _session(aws: Aws, asked: Mapping[str, Any]) -> dict[str, Any]:
    """A session, once the agent beside the task is there."""
    until = monotonic() + CONNECTS
    while True:
        try:
            answer = aws.ssm.start_session(**asked)
            return {key: answer[key] for key in ("SessionId", "TokenValue", "StreamUrl")}
        except AwsError as error:
            if error.code != NOT_CONNECTED:
                raise
            if monotonic() > until:
                raise OrderopsError(
                    f"the agent beside {asked['Target']} did not connect within {CONNECTS:.0f} s",
                    "may its role open ssmmessages channels, and does its subnet reach them? "
                    f"It ends after 20 min without use and does not come back: a new task has a new one; {OTHER_WAY}",
                ) from None
        sleep(PAUSE)


@contextmanager
def _program(
    aws: Aws, plugin: str, session: Mapping[str, Any], asked: Mapping[str, Any], said: IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    told = json.dumps(session)
    hidden = _version(plugin) >= READS_ENVIRONMENT
    words = [RESPONSE if hidden else told, aws.region, "StartSession", os.environ.get("AWS_PROFILE", "")]
    # in a group of its own: Ctrl+C is for us, who end it once nothing leads through it any more
    program = subprocess.Popen(
        [plugin, *words, json.dumps(asked), aws.endpoint("ssm")],
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=subprocess.STDOUT,
        env={**os.environ, **({RESPONSE: told} if hidden else {})},
        start_new_session=True,
    )
    try:
        yield program
    finally:
        program.terminate()
        try:
            program.wait(ENDS)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()


def _version(plugin: str) -> tuple[int, ...]:
    with suppress(OSError, ValueError, subprocess.SubprocessError):
        told = subprocess.run([plugin, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
        return tuple(int(part) for part in told.strip().split(".")[:3])
    return (0,)


def _await_listening(program: subprocess.Popen[bytes], port: int, said: IO[bytes]) -> None:
    """Wait until the plugin says that it listens; raises OrderopsError with its words where it gives up.

    A connection only to see whether it does would reach the database, and an old agent knows one at a time: it is
    tried where the plugin says nothing of it for a while.
    """
    began = monotonic()
    until = began + LISTENS
    while True:
        if WAITS in _said(said):
            return
        if monotonic() - began > SILENT:
            with suppress(OSError), socket.create_connection((HERE, port), timeout=1):
                return
        if program.poll() is not None:
            raise OrderopsError(
                f"the {PLUGIN} ended with {program.returncode}: {_last_words(said)}",
                f"is it the newest? {PLUGIN} --version; {OTHER_WAY}",
            )
        if monotonic() > until:
            raise OrderopsError(
                f"the {PLUGIN} does not listen on port {port} after {LISTENS:.0f} s: {_last_words(said)}",
                f"does this machine reach SSM's message gateway? {OTHER_WAY}",
            )
        sleep(0.1)


def _said(said: IO[bytes]) -> str:
    """What the plugin wrote so far; it writes on at its end, wherever this reads."""
    return os.pread(said.fileno(), LONGEST, 0).decode(errors="replace")


def _last_words(said: IO[bytes]) -> str:
    lines = [line.strip() for line in _said(said).splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        return int(probe.getsockname()[1])
