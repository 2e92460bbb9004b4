"""The log of a service: its last lines, or all new ones as they are written."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from orderops.errors import UsageError
from orderops.infra.workspace import Workspace
from orderops.releases.log_events import log_events
from orderops.ui import console
from orderops.ui.logs import LogView, is_metric


@dataclass(frozen=True)
class LogChoice:
    """Which lines of a log are meant."""

    since: timedelta
    grep: str | None = None
    """Regular expression that a line has to contain."""
    task: str | None = None
    """Beginning of a task's id."""

    def pattern(self) -> re.Pattern[str] | None:
        """The expression, compiled. Raises UsageError if it is none."""
        try:
            return re.compile(self.grep) if self.grep else None
        except re.error as error:
            raise UsageError(
                f"--grep {self.grep!r} is no regular expression: {error}", r"escape special characters: \["
            ) from None


def show_logs(workspace: Workspace, service: str, choice: LogChoice, *, follow: bool, as_json: bool) -> None:
    """Show the lines of a service's tasks in the order in which they were written; with `follow`, until Ctrl+C."""
    group, pattern = workspace.stack.services[service].log_group.name, choice.pattern()
    view = LogView()
    start = datetime.now(UTC) - choice.since
    number = 0
    with suppress(KeyboardInterrupt):
        for event in log_events(workspace.aws, group, int(start.timestamp() * 1000), follow=follow):
            task, message = str(event["logStreamName"]).rpartition("/")[2], str(event["message"])
            if not task.startswith(choice.task or "") or (pattern and not pattern.search(message)):
                continue
            # One a minute and task, and hundreds of characters long: shown only where they are asked for.
            if pattern or as_json or not is_metric(message):
                number += 1
                view.show(event["timestamp"], task, message, as_json=as_json)
    if not number and not follow:
        console.info(f"{group} has no such line; further back: --since 2h")
