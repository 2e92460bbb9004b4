"""The catalogue of causes: what ECS and a task say, turned into what happened, why, and what to type."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from orderops.frozen import Frozen
from orderops.releases.task_end import TaskEnd

UNKNOWN = "unknown"
"""The key of a cause that the catalogue does not hold."""


@dataclass(frozen=True)
class Cause:
    """What happened to a task, for an operator."""

    key: str
    title: str
    meaning: str
    fix: str
    command: str = ""


class Pattern(Frozen):
    """An entry of the catalogue: how a cause is recognized, and its words with names in braces."""

    key: str
    title: str
    meaning: str
    fix: str
    command: str = ""
    reason: str = ""
    lines: str = ""
    exits: Collection[int] = ()
    event: str = ""

    def matches_end(self, end: TaskEnd) -> dict[str, str] | None:
        """The named groups if everything that the entry asks of a task matches; else None."""
        if self.event or (self.exits and not set(self.exits) & set(end.exits)):
            return None
        found: dict[str, str] = {}
        # The last line that matches is nearest to the end.
        for pattern, texts in ((self.reason, [end.reason]), (self.lines, end.lines[::-1])):
            match = next((match for text in texts if (match := re.search(pattern, text))), None) if pattern else None
            if pattern and match is None:
                return None
            found |= {name: value or "" for name, value in match.groupdict().items()} if match else {}
        return found

    def matches_event(self, event: str) -> dict[str, str] | None:
        """The named groups if the entry is about events and this is one; else None."""
        match = re.search(self.event, event) if self.event else None
        return {name: value or "" for name, value in match.groupdict().items()} if match else None

    def filled(self, values: Mapping[str, str]) -> Cause:
        """The cause, with its names replaced by values."""
        title, meaning, fix, command = (
            text.format_map(values) for text in (self.title, self.meaning, self.fix, self.command)
        )
        return Cause(self.key, title, meaning, fix, command)


@cache
def catalogue() -> tuple[Pattern, ...]:
    """All entries, in the order in which they are tried."""
    text = files("orderops.releases").joinpath("causes.toml").read_text(encoding="utf-8")
    return tuple(Pattern(**entry) for entry in tomllib.loads(text)["cause"])


def cause_of(end: TaskEnd, values: Mapping[str, str]) -> Cause:
    """Why a task ended. `values` are those of the service: environment, service, image, memory, port."""
    own = {**values, "exit": ", ".join(str(code) for code in end.exits if code) or "0"}
    for pattern in catalogue():
        found = pattern.matches_end(end)
        if found is not None:
            return pattern.filled({**own, **found})
    return Cause(
        UNKNOWN,
        end.reason or "stopped, and AWS does not say why",
        "this reason is in no catalogue",
        "read the last lines, and the events of the service",
        f"orderops service logs {values['service']} --env {values['environment']}",
    )


def cause_of_event(event: str, values: Mapping[str, str]) -> Cause | None:
    """Why no task was started, by an event of the service; None for an event that says nothing of it."""
    for pattern in catalogue():
        found = pattern.matches_event(event)
        if found is not None:
            return pattern.filled({**values, **found})
    return None
