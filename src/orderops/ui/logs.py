"""Log lines of tasks on the terminal, with a colour for each task."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import cycle
from typing import Any

from orderops.ui.console import out, write_line
from orderops.ui.escaping import escape

COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green", "bright_magenta")
LEVELS = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}
TASK = 8
"""Characters of a task's id, enough to tell it from others."""
# What a structured line has besides its words; CloudWatch's own time is shown already.
ASIDE = {"time", "level", "logger", "message"}


class LogView:
    """Shows lines; each task keeps its colour."""

    def __init__(self) -> None:
        self._colours: dict[str, str] = {}
        self._next = cycle(COLOURS)

    def show(self, at: int, task: str, message: str, *, as_json: bool) -> None:
        """Show one line, written at a time in milliseconds since 1970; as JSON, one object a line."""
        moment = datetime.fromtimestamp(at / 1000, UTC)
        time = f"{moment:%Y-%m-%dT%H:%M:%S}.{at % 1000:03}Z"
        if as_json:
            write_line(json.dumps({"time": time, "task": task, "message": message}), out)
        elif out.is_terminal:
            colour = self._colours.setdefault(task, next(self._next))
            level, words = _words(message)
            lead = f"[dim]{escape(time[11:23])}[/] [{colour}]{escape(task[:TASK])}[/]"
            colour = LEVELS.get(level, "none")
            out.print(f"{lead} [{colour}]{escape(words)}[/]")
        else:
            write_line(f"{time} {task[:TASK]} {message}", out)


def is_metric(message: str) -> bool:
    """Whether a line is only for CloudWatch, which makes metrics of it (embedded metric format)."""
    return '"_aws"' in message and "_aws" in _structured(message)


def _words(message: str) -> tuple[str, str]:
    """Level and words of a line; of one that is a JSON object, its message and what else it has."""
    document = _structured(message)
    if not isinstance(document.get("message"), str):
        return "", message
    more = " ".join(f"{key}={value}" for key, value in document.items() if key not in ASIDE)
    level = str(document.get("level", ""))
    return level, " ".join(filter(None, (level, document["message"], more)))


def _structured(message: str) -> Mapping[str, Any]:
    try:
        document = json.loads(message)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
