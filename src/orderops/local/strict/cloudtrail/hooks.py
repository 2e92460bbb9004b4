"""CloudTrail: every call that changes something is recorded, and LookupEvents finds it.

From the CloudTrail API reference, "LookupEvents": one attribute, 50 events a page, the newest first, 90 days, two calls
a second in each account and region.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from orderops.local.emulator.protocol import ApiError, Request, Response, json_answer
from orderops.local.emulator.server import Emulator
from orderops.local.strict.cloudtrail.record import event_of, events_of, keep
from orderops.local.strict.delays import Delays

SERVICE = "cloudtrail"
KEPT = timedelta(days=90).total_seconds()
PAGE = 50
BURST = 2
KEYS = frozenset(
    {
        "EventId",
        "EventName",
        "ReadOnly",
        "Username",
        "ResourceType",
        "ResourceName",
        "EventSource",
        "AccessKeyId",
    }
)


def register(emulator: Emulator, delays: Delays) -> None:
    """Record what is changed, and answer LookupEvents."""
    lookups = _Lookups(delays)
    emulator.answered.append(keep)
    emulator.instead[SERVICE, "LookupEvents"] = lookups.answer


class _Lookups:
    def __init__(self, delays: Delays) -> None:
        self._delays = delays
        self._buckets: dict[str, tuple[float, float]] = {}

    def answer(self, request: Request) -> Response:
        """Answer from the record of the region in which the call was made."""
        self._check_rate(request.region)
        parameters = request.json
        attribute = _attribute(parameters)
        size = parameters.get("MaxResults", PAGE)
        if not 1 <= size <= PAGE:
            raise ApiError("InvalidMaxResultsException", f"A value of {size} is not between 1 and {PAGE}.")
        start, end = parameters.get("StartTime", 0), parameters.get("EndTime", time.time())
        if start > end:
            raise ApiError("InvalidTimeRangeException", "The start time must not be after the end time.")
        oldest, newest = max(start, time.time() - KEPT), min(end, time.time() - self._delays.trail)
        found = [
            event_of(call)
            for call in reversed(events_of(request.region))
            if oldest <= call["at"] <= newest and _matches(call, attribute)
        ]
        position = _position(parameters, len(found))
        page = {"Events": found[position : position + size]}
        more = {"NextToken": str(position + size)} if len(found) > position + size else {}
        return json_answer({**page, **more})

    def _check_rate(self, region: str) -> None:
        if not self._delays.trail_pause:
            return
        now = time.monotonic()
        left, before = self._buckets.get(region, (BURST, now))
        left = min(BURST, left + (now - before) / self._delays.trail_pause)
        self._buckets[region] = (left - 1 if left >= 1 else left, now)
        if left < 1:
            raise ApiError("ThrottlingException", "Rate exceeded")


def _attribute(parameters: dict[str, Any]) -> tuple[str, str] | None:
    attributes = parameters.get("LookupAttributes") or []
    if len(attributes) > 1:
        raise ApiError("InvalidLookupAttributesException", "You can only use one lookup attribute in a request.")
    if not attributes:
        return None
    key, value = attributes[0].get("AttributeKey"), attributes[0].get("AttributeValue")
    if key not in KEYS or not value:
        raise ApiError("InvalidLookupAttributesException", f"{key} is not a lookup attribute, or has no value.")
    return key, str(value)


def _matches(call: dict[str, Any], attribute: tuple[str, str] | None) -> bool:
    if attribute is None:
        return True
    key, value = attribute
    if key in ("ResourceName", "ResourceType"):
        return any(resource[key] == value for resource in call["resources"])
    return bool(call["listed"].get(key) == value)


def _position(parameters: dict[str, Any], count: int) -> int:
    token = parameters.get("NextToken")
    if token is None:
        return 0
    if not str(token).isdigit() or int(token) >= count:
        raise ApiError("InvalidNextTokenException", "The token is not valid, or its parameters have changed.")
    return int(token)
