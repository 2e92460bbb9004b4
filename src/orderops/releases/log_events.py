"""Events of a log group in the order in which they were written, and those that follow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from orderops.aws.client import Aws, every
from orderops.errors import AwsError, OrderopsError

INTERVAL = 1.0
"""Seconds between two reads while events are followed."""
LATE = 30_000
"""Milliseconds by which events may arrive late and out of order; read again, and yielded once."""


def log_events(aws: Aws, group: str, start: int, *, follow: bool, term: str = "") -> Iterator[dict[str, Any]]:
    """Yield the events since a time in milliseconds, each once; without end if they are followed.

    With a term, a word of letters and digits, only events that contain it: CloudWatch Logs leaves out the rest.
    Raises OrderopsError if there is no such log group.
    """
    seen: dict[str, int] = {}
    while True:
        found = _read(aws, group, start, term)
        for event in found:
            if event["eventId"] not in seen:
                seen[event["eventId"]] = event["timestamp"]
                yield event
        if not follow:
            return
        start = max(start, max((event["timestamp"] for event in found), default=start) - LATE)
        seen = {name: at for name, at in seen.items() if at >= start}
        time.sleep(INTERVAL)


def _read(aws: Aws, group: str, start: int, term: str) -> list[dict[str, Any]]:
    call = aws.logs.filter_log_events
    # In quotes, a term is text and no pattern.
    filtered = {"filterPattern": f'"{term}"'} if term else {}
    try:
        # Each task writes a stream of its own, and a page need not be in order.
        found = every(call, "events", logGroupName=group, startTime=start, **filtered)
        return sorted(found, key=lambda event: event["timestamp"])
    except AwsError as error:
        if error.code != "ResourceNotFoundException":
            raise
        raise OrderopsError(f"the log group {group} does not exist", "create it: orderops infra apply") from None
