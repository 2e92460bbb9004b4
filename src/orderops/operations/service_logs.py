"""The log of a service: its last lines, or all new ones as they are written."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

from orderops.errors import UsageError
from orderops.frozen import Frozen
from orderops.infra.workspace import Workspace
from orderops.releases.log_events import log_events
from orderops.ui import console
from orderops.ui.interrupt import until_ctrl_c
from orderops.ui.logs import LogView, is_metric

# The id alone, or within a traceparent (W3C Trace Context, 3.2).
_TRACE = re.compile(r"(?P<id>[0-9a-f]{32})|[0-9a-f]{2}-(?P<within>[0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


class LogChoice(Frozen):
    """Which lines of a log are meant."""

    since: timedelta
    grep: str | None = None
    """Regular expression that a line has to contain."""
    task: str | None = None
    """Beginning of a task's id."""
    trace: str | None = None
    """Trace that a line has to belong to: its id, or a traceparent with it."""

    def pattern(self) -> re.Pattern[str] | None:
        """The expression, compiled. Raises UsageError if it is none."""
        try:
            return re.compile(self.grep) if self.grep else None
        except re.error as error:
            raise UsageError(
                f"--grep {self.grep!r} is no regular expression: {error}", r"escape special characters: \["
            ) from None

    def trace_id(self) -> str:
        """The id of the trace, empty if any will do. Raises UsageError if it is none."""
        if self.trace is None:
            return ""
        found = _TRACE.fullmatch(self.trace.strip().lower())
        identifier = (found["id"] or found["within"]) if found else ""
        if not identifier.strip("0"):
            hint = "an id has 32 hexadecimal digits: it is in the header x-trace-id of an answer, and in the log"
            raise UsageError(f"--trace {self.trace!r} is no trace id", hint)
        return identifier


def show_logs(workspace: Workspace, service: str, choice: LogChoice, *, follow: bool, as_json: bool) -> None:
    """Show the lines of a service's tasks in the order in which they were written; with `follow`, until Ctrl+C."""
    group, pattern = workspace.stack.services[service].log_group.name, choice.pattern()
    trace = choice.trace_id()
    view = LogView()
    start = datetime.now(UTC) - choice.since
    number = 0
    with until_ctrl_c():
        for event in log_events(workspace.aws, group, int(start.timestamp() * 1000), follow=follow, term=trace):
            task, message = str(event["logStreamName"]).rpartition("/")[2], str(event["message"])
            if not task.startswith(choice.task or "") or not _chosen(message, pattern, trace):
                continue
            # One a minute and task, and hundreds of characters long: shown only where they are asked for.
            if pattern or trace or as_json or not is_metric(message):
                number += 1
                view.show(event["timestamp"], task, message, as_json=as_json)
    if not number and not follow:
        console.info(f"{group} has no such line; further back: --since 2h")


def _chosen(message: str, pattern: re.Pattern[str] | None, trace: str) -> bool:
    return (not pattern or bool(pattern.search(message))) and (not trace or _of_trace(message, trace))


def _of_trace(message: str, trace: str) -> bool:
    """Return whether a line says that it belongs to a trace; one about several orders belongs to the trace of each."""
    try:
        line = json.loads(message)
    # Deeply nested arrays exceed the limit of recursion.
    except (ValueError, RecursionError):
        return False
    if not isinstance(line, dict):
        return False
    orders = line.get("orders")
    parts = [line, *(orders if isinstance(orders, list) else ())]
    return any(isinstance(part, dict) and part.get("trace_id") == trace for part in parts)
