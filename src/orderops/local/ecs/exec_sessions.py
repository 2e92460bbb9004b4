"""Sessions of SSM with containers of tasks: that one may begin, and its name; no data goes through the emulator."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable

from orderops.local.ecs.fleet import Fleet
from orderops.local.ecs.records import EcsTask, Json
from orderops.local.emulator.protocol import ApiError, Request

CONTAINER = re.compile(r"ecs:(?P<cluster>[^_]+)_(?P<task>[0-9a-f]+)_(?P<runtime>.+)")


class ExecSessions:
    """Begun with a running container that lets sessions in, and ended."""

    def __init__(self, tasks: Fleet) -> None:
        self._tasks = tasks

    def answers(self) -> dict[str, Callable[[Request], Json]]:
        """By the name of the call."""
        return {"StartSession": self._start, "TerminateSession": self._terminate}

    def _start(self, call: Request) -> Json:
        target = call.json["Target"]
        named = CONTAINER.fullmatch(target)
        if not (named and any(_lets_in(task, named) for task in self._tasks.all.values())):
            raise ApiError("TargetNotConnected", f"{target} is not connected.")
        session = f"orderops-{uuid.uuid4().hex[:17]}"
        stream = f"wss://ssmmessages.{call.region}.amazonaws.com/v1/data-channel/{session}?role=publish_subscribe"
        return {"SessionId": session, "TokenValue": uuid.uuid4().hex, "StreamUrl": stream}

    def _terminate(self, call: Request) -> Json:
        return {"SessionId": call.json["SessionId"]}


def _lets_in(task: EcsTask, named: re.Match[str]) -> bool:
    there = (task.cluster, task.id) == (named["cluster"], named["task"]) and task.last_status == "RUNNING"
    return (
        there and task.execute_command and any(run.to_dict(task)["runtimeId"] == named["runtime"] for run in task.runs)
    )
