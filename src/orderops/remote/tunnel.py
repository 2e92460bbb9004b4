"""A tunnel to a database that this machine cannot reach: SSM port forwarding through a running task of a service.

SSM only starts the session. The connection itself is made by AWS's session-manager-plugin, a program that listens on a
port of this machine for as long as the tunnel is open.
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
from orderops.frozen import Frozen
from orderops.infra.workspace import Workspace

DOCUMENT = "AWS-StartPortForwardingSessionToRemoteHost"
PLUGIN = "session-manager-plugin"
LOOPBACK = "127.0.0.1"
RESPONSE = "AWS_SSM_START_SESSION_RESPONSE"
# Older versions take the session's token as an argument, which every user of this machine can see.
READS_ENVIRONMENT = (1, 2, 497)
"""The first version of the plugin that reads the session from an environment variable."""
NOT_CONNECTED = "TargetNotConnected"
LISTENING = "Waiting for connections"
"""What the plugin prints once it listens."""
MAX_OUTPUT = 100_000
ALTERNATIVE = 'or use a task instead of a tunnel: access = "task" in [database]'


class TunnelTiming(Frozen):
    """Intervals and limits, in seconds."""

    # The SSM agent in a new task connects some seconds after the task is RUNNING.
    connect: float = 60.0
    """For the agent to connect."""
    pause: float = 2.0
    """Between two attempts to start a session."""
    listen: float = 30.0
    """For the plugin to listen."""
    silent: float = 5.0
    """Before the port is tried, if the plugin does not print that it listens."""
    end: float = 5.0
    """For the plugin to end before it is killed."""


def tunnel_of(workspace: Workspace) -> Tunnel:
    """Return what opens a tunnel to a database of an environment, through a task of its first service."""
    service = workspace.environment.service_name(workspace.environment.entries[0])
    cluster, name = workspace.stack.cluster.name, workspace.environment.name
    # A session changes nothing that belongs to the environment, so it needs no lease.
    aws = workspace.aws.guarded(lambda: None)

    @contextmanager
    def opened(to: Login) -> Iterator[Login]:
        plugin = installed_plugin("a tunnel needs", f"; {ALTERNATIVE}")
        target = target_of(aws, environment=name, cluster=cluster, service=service)
        with port_forwarding(aws, plugin, target, to) as login:
            yield login

    return opened


def target_of(aws: Aws, *, environment: str, cluster: str, service: str) -> str:
    """Return SSM's name of the container for a tunnel; raises OrderopsError if no task accepts sessions."""
    tasks = running_tasks(aws, cluster, service)
    if not tasks:
        raise OrderopsError(
            f"no task of {service} is running, so there is no target for a tunnel",
            f"orderops status --env {environment}; {ALTERNATIVE}",
        )
    accepting = [raw for raw in tasks if raw.get("enableExecuteCommand") and any(map(runtime_of, raw["containers"]))]
    if not accepting:
        raise OrderopsError(
            f"none of the {len(tasks)} tasks of {service} accepts sessions: they were started without ExecuteCommand",
            f"the setting applies to new tasks only, so release again: orderops up --env {environment}; {ALTERNATIVE}",
        )
    newest = max(accepting, key=lambda raw: str(raw.get("startedAt", "")))
    runtime = next(filter(None, map(runtime_of, newest["containers"])))
    return f"ecs:{cluster}_{newest['taskArn'].rpartition('/')[2]}_{runtime}"


@contextmanager
def port_forwarding(
    aws: Aws, plugin: str, target: str, to: Login, timing: TunnelTiming = TunnelTiming()
) -> Iterator[Login]:
    """Provide a login that connects through the target. At the end, the plugin and the session are ended."""
    port = _free_port()
    parameters = {"host": [to.host], "portNumber": [str(to.port)], "localPortNumber": [str(port)]}
    request = {"Target": target, "DocumentName": DOCUMENT, "Parameters": parameters}
    session = _session(aws, request, timing)
    try:
        with (
            tempfile.TemporaryFile() as output,
            _program(aws, plugin, session, request, output, timing) as program,
        ):
            _await_listening(program, port, output, timing)
            yield replace(to, by=(LOOPBACK, port))
    finally:
        # SSM ends a session by itself some minutes after the plugin has ended.
        with suppress(AwsError):
            aws.ssm.terminate_session(SessionId=session["SessionId"])


def installed_plugin(needed: str, alternative: str = "") -> str:
    """Return the path of the plugin. Raises OrderopsError, which begins with what needs it, if it is not installed."""
    path = shutil.which(PLUGIN)
    if path is None:
        raise OrderopsError(
            f"{needed} the {PLUGIN}, which is not on this machine's PATH",
            "install it: https://docs.aws.amazon.com/systems-manager/latest/userguide/"
            f"session-manager-working-with-install-plugin.html{alternative}",
        )
    return path


def running_tasks(aws: Aws, cluster: str, service: str) -> list[Mapping[str, Any]]:
    """Return the running tasks of a service; [] if it does not exist."""
    try:
        arns = list(every(aws.ecs.list_tasks, "taskArns", cluster=cluster, serviceName=service))
    except AwsError as error:
        if error.code not in ("ClusterNotFoundException", "ServiceNotFoundException"):
            raise
        return []
    # DescribeTasks accepts 100 tasks; one of them is enough.
    tasks = aws.ecs.describe_tasks(cluster=cluster, tasks=arns[:100])["tasks"] if arns else ()
    return [raw for raw in tasks if raw["lastStatus"] == "RUNNING"]


def runtime_of(container: Mapping[str, Any]) -> str:
    """Return SSM's name of a running container; "" for another."""
    return str(container.get("runtimeId") or "") if container.get("lastStatus") == "RUNNING" else ""


def _session(aws: Aws, request: Mapping[str, Any], timing: TunnelTiming) -> dict[str, Any]:
    """Start a session; waits for the agent in the task to connect."""
    deadline = monotonic() + timing.connect
    while True:
        try:
            response = aws.ssm.start_session(**request)
            return {key: response[key] for key in ("SessionId", "TokenValue", "StreamUrl")}
        except AwsError as error:
            if error.code != NOT_CONNECTED:
                raise
            if monotonic() > deadline:
                # The agent of ECS Exec stops after 20 minutes without a session and is not restarted.
                raise OrderopsError(
                    f"the SSM agent of {request['Target']} did not connect within {timing.connect:.0f} s",
                    "check that its role may open ssmmessages channels and that its subnet reaches them. "
                    f"After 20 min without use the agent ends, and only a new task has a new one; {ALTERNATIVE}",
                ) from None
        sleep(timing.pause)


@contextmanager
def _program(
    aws: Aws,
    plugin: str,
    session: Mapping[str, Any],
    request: Mapping[str, Any],
    output: IO[bytes],
    timing: TunnelTiming,
) -> Iterator[subprocess.Popen[bytes]]:
    document = json.dumps(session)
    hidden = plugin_version(plugin) >= READS_ENVIRONMENT
    arguments = [RESPONSE if hidden else document, aws.region, "StartSession", os.environ.get("AWS_PROFILE", "")]
    program = subprocess.Popen(
        [plugin, *arguments, json.dumps(request), aws.endpoint("ssm")],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env={**os.environ, **({RESPONSE: document} if hidden else {})},
        # A process group of its own: Ctrl+C must not end the plugin while connections through it are being closed.
        start_new_session=True,
    )
    try:
        yield program
    finally:
        program.terminate()
        try:
            program.wait(timing.end)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()


def plugin_version(plugin: str) -> tuple[int, ...]:
    """Return the version of the plugin; (0,) if it does not say."""
    with suppress(OSError, ValueError, subprocess.SubprocessError):
        output = subprocess.run([plugin, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
        return tuple(int(part) for part in output.strip().split(".")[:3])
    return (0,)


def _await_listening(program: subprocess.Popen[bytes], port: int, output: IO[bytes], timing: TunnelTiming) -> None:
    """Wait until the plugin listens; raises OrderopsError with its last line if it ends or does not listen in time."""
    started = monotonic()
    while True:
        if LISTENING in _read(output):
            return
        # A test connection would reach the database, and old agents accept one connection at a time. So it is
        # made only if the plugin prints nothing for a while.
        if monotonic() - started > timing.silent:
            with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
                return
        if program.poll() is not None:
            raise OrderopsError(
                f"the {PLUGIN} ended with {program.returncode}: {_last_line(output)}",
                f"check that it is up to date: {PLUGIN} --version; {ALTERNATIVE}",
            )
        if monotonic() - started > timing.listen:
            raise OrderopsError(
                f"the {PLUGIN} does not listen on port {port} after {timing.listen:.0f} s: {_last_line(output)}",
                f"check that this machine reaches SSM's message gateway; {ALTERNATIVE}",
            )
        sleep(0.1)


def _read(output: IO[bytes]) -> str:
    # The plugin shares the file's position; reading with pread() leaves it at the end.
    return os.pread(output.fileno(), MAX_OUTPUT, 0).decode(errors="replace")


def _last_line(output: IO[bytes]) -> str:
    lines = [line.strip() for line in _read(output).splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
