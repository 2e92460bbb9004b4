"""SSM sessions with containers: only their start and end; their data does not pass through the emulator."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable

from orderops.local.ecs.fleet import Fleet
from orderops.local.ecs.records import EcsTask, Json
from orderops.local.emulator.protocol import ApiError, Request

CONTAINER = re.compile(r"ecs:(?P<cluster>[^_]+)_(?P<task>[0-9a-f]+)_(?P<runtime>.+)")


class ExecSessions:
    """Handlers of StartSession and TerminateSession."""

    def __init__(self, tasks: Fleet) -> None:
        self._tasks = tasks

    def handlers(self) -> dict[str, Callable[[Request], Json]]:
        """Return the handlers by operation name."""
        return {"StartSession": self._start, "TerminateSession": self._terminate}

    def _start(self, request: Request) -> Json:
        target = request.json["Target"]
        match = CONTAINER.fullmatch(target)
        if not (match and any(_accepts_sessions(task, match) for task in self._tasks.all.values())):
            raise ApiError("TargetNotConnected", f"{target} is not connected.")
        session = f"orderops-{uuid.uuid4().hex[:17]}"
        stream = f"wss://ssmmessages.{request.region}.amazonaws.com/v1/data-channel/{session}?role=publish_subscribe"
        return {"SessionId": session, "TokenValue": uuid.uuid4().hex, "StreamUrl": stream}

    def _terminate(self, request: Request) -> Json:
        return {"SessionId": request.json["SessionId"]}


def _accepts_sessions(task: EcsTask, match: re.Match[str]) -> bool:
    running = (task.cluster, task.id) == (match["cluster"], match["task"]) and task.last_status == "RUNNING"
    return (
        running
        and task.execute_command
        and any(process.to_dict(task)["runtimeId"] == match["runtime"] for process in task.processes)
    )
