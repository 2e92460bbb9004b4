"""The failure card: the tasks of a release that ended, grouped by cause."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from orderops.releases.causes import Cause, cause_of, cause_of_event
from orderops.releases.task_end import TaskEnd


@dataclass(frozen=True)
class CauseGroup:
    """Tasks that ended for one cause."""

    cause: Cause
    count: int
    tasks: tuple[str, ...] = ()
    """Ids, newest first; empty where no task was started."""
    reason: str = ""
    """What AWS says of the newest."""
    lines: tuple[str, ...] = ()
    """The last lines of the newest that wrote any."""


@dataclass(frozen=True)
class FailureCard:
    """Why tasks of a release failed, the most frequent cause first."""

    groups: tuple[CauseGroup, ...] = ()
    events: tuple[str, ...] = ()
    """Events of the service that tell of a problem, oldest first."""

    @property
    def summary(self) -> str:
        """All causes in one line, such as "3 x out of memory at 512 MiB, exit 137"."""
        return "; ".join(f"{group.count} x {group.cause.title}" for group in self.groups)

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return asdict(self)


NO_CARD = FailureCard()


def card_of(ends: Iterable[TaskEnd], events: Sequence[str], values: Mapping[str, str]) -> FailureCard:
    """Group the ends of tasks by cause; events are a cause only where no task says why."""
    grouped: dict[tuple[str, str], list[tuple[Cause, TaskEnd]]] = {}
    for end in ends:
        cause = cause_of(end, values)
        grouped.setdefault((cause.key, cause.title), []).append((cause, end))
    groups = [_group(members) for members in grouped.values()]
    return FailureCard(
        tuple(sorted(groups, key=lambda group: -group.count)) or tuple(_of_events(events, values)), tuple(events)
    )


def _group(members: Sequence[tuple[Cause, TaskEnd]]) -> CauseGroup:
    ends = [end for _, end in members]
    return CauseGroup(
        members[0][0],
        len(ends),
        tuple(end.task for end in ends),
        ends[0].reason,
        next((end.lines for end in ends if end.lines), ()),
    )


def _of_events(events: Sequence[str], values: Mapping[str, str]) -> Iterable[CauseGroup]:
    found: dict[str, CauseGroup] = {}
    for event in events:
        cause = cause_of_event(event, values)
        if cause:
            count = found[cause.key].count + 1 if cause.key in found else 1
            found[cause.key] = CauseGroup(cause, count, reason=event)
    return found.values()
