"""CloudWatch Logs: retention in the periods that AWS offers, and lines that metric filters count."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID
from moto.logs.models import LogEvent

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.logs.patterns import BadPattern, number_at, read

Key = tuple[str, str]
# The periods that PutRetentionPolicy accepts, by the CloudWatch Logs API reference, 2 and 3 to 10 years in days.
RETENTION_DAYS = frozenset(
    {1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}
)


def take_part(emulator: Emulator, pace: Delays) -> None:
    """Refuse what AWS refuses."""
    emulator.on_before("logs", "PutRetentionPolicy", _offered)
    emulator.on_before("logs", "PutMetricFilter", _is_put_anew)
    emulator.on_after("logs", "DeleteLogGroup", _filters_go_too)


def count_lines(region: str) -> None:
    """Make metric data of the lines that came since the last look; what AWS does at once, nobody sees before a look."""
    backend = _backend(region)
    seen = _seen(backend)
    for told in backend.filters.metric_filters:
        group = backend.groups.get(told["logGroupName"])
        key = (told["logGroupName"], told["filterName"])
        if group is not None:
            events = _newer(group, seen.get(key, 0))
            seen[key] = LogEvent._event_id
            if events:
                _put_data(region, told, events)


def _offered(call: Request) -> None:
    days = call.json.get("retentionInDays")
    if days not in RETENTION_DAYS:
        raise ApiError("InvalidParameterException", f"Invalid retentionInDays value: {days}")


def _is_put_anew(call: Request) -> None:
    """A filter put again is the same filter, and counts the lines that come from now on."""
    asked, backend = call.json, _backend(call.region)
    key = (asked["logGroupName"], asked["filterName"])
    if key[0] not in backend.groups:
        raise ApiError("ResourceNotFoundException", "The specified log group does not exist.")
    try:
        read(asked.get("filterPattern", ""))
    except BadPattern as error:
        raise ApiError("InvalidParameterException", f"Invalid metric filter pattern: {error}") from None
    if any(change.get("dimensions") for change in asked["metricTransformations"]):
        raise ApiError("NotEmulated", "dimensions of a metric filter are not emulated")
    backend.filters.delete_filter(key[1], key[0])
    _seen(backend)[key] = LogEvent._event_id


def _filters_go_too(call: Request, _answer: Response) -> None:
    filters = _backend(call.region).filters
    filters.metric_filters = [one for one in filters.metric_filters if one["logGroupName"] != call.json["logGroupName"]]


def _newer(group: Any, after: int) -> list[Any]:
    """The events from this number on, of every stream; a stream holds them in order."""
    found = []
    for stream in group.streams.values():
        for event in reversed(stream.events):
            if event.event_id < after:
                break
            found.append(event)
    return found


def _put_data(region: str, told: dict[str, Any], events: list[Any]) -> None:
    matches = read(told.get("filterPattern") or "")
    matching = [event for event in events if matches(event.message)]
    for change in told["metricTransformations"]:
        data = [_datum(change, event.timestamp, _value(change, event.message)) for event in matching]
        if not matching and change.get("defaultValue") is not None:
            data = [_datum(change, events[0].timestamp, float(change["defaultValue"]))]
        backend = get_backend("cloudwatch")[DEFAULT_ACCOUNT_ID][region]
        backend.put_metric_data(change["metricNamespace"], [one for one in data if one["Value"] is not None])


def _datum(change: dict[str, Any], timestamp: int, value: float | None) -> dict[str, Any]:
    # CloudWatch of moto compares times without a zone.
    when = datetime.fromtimestamp(timestamp / 1000, UTC).replace(tzinfo=None)
    unit = {"Unit": change["unit"]} if change.get("unit") else {}
    return {"MetricName": change["metricName"], "Timestamp": when, "Value": value, **unit}


def _value(change: dict[str, Any], line: str) -> float | None:
    said = str(change["metricValue"])
    return number_at(said, line) if said.startswith("$") else float(said)


def _seen(backend: Any) -> dict[Key, int]:
    """Up to which event each filter has counted, kept with what moto keeps of logs."""
    if not hasattr(backend, "counted"):
        backend.counted = {}
    found: dict[Key, int] = backend.counted
    return found


def _backend(region: str) -> Any:
    return get_backend("logs")[DEFAULT_ACCOUNT_ID][region]
