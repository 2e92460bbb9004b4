"""The history of alarms: states, actions and configurations, as DescribeAlarmHistory returns them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from orderops.local.emulator.protocol import Request, Response, json_answer

MOST_RECORDS = 100
# AWS keeps 30 days; each save of the laptop's state writes all of them.
MOST_KEPT = 1000


def note(backend: Any, alarm: Any, kind: str, summary: str, data: dict[str, Any] | None = None) -> None:
    """Add an item: kind is ConfigurationUpdate, StateUpdate or Action."""
    items = _items(backend)
    items.append(
        {
            "AlarmName": alarm.name,
            "AlarmType": type_of(alarm),
            "Timestamp": datetime.now(UTC).timestamp(),
            "HistoryItemType": kind,
            "HistorySummary": summary,
            "HistoryData": json.dumps(data or {}),
        }
    )
    del items[:-MOST_KEPT]


def describe_history(backend: Any, request: Request) -> Response:
    """DescribeAlarmHistory, which moto lacks. Without AlarmTypes, only metric alarms are returned."""
    given = request.json
    types = given.get("AlarmTypes") or ["MetricAlarm"]
    found = [
        item
        for item in _items(backend)
        if item["AlarmType"] in types
        and given.get("AlarmName") in (None, item["AlarmName"])
        and given.get("HistoryItemType") in (None, item["HistoryItemType"])
        and float(given.get("StartDate", 0)) <= item["Timestamp"] <= float(given.get("EndDate", float("inf")))
    ]
    if given.get("ScanBy") != "TimestampAscending":
        found.reverse()
    start, count = int(given.get("NextToken", 0)), int(given.get("MaxRecords", MOST_RECORDS))
    more = {"NextToken": str(start + count)} if start + count < len(found) else {}
    return json_answer({"AlarmHistoryItems": found[start : start + count], **more})


def type_of(alarm: Any) -> str:
    """The type of an alarm in the words of DescribeAlarms."""
    return "MetricAlarm" if alarm.rule is None else "CompositeAlarm"


def _items(backend: Any) -> list[dict[str, Any]]:
    if not hasattr(backend, "history_items"):
        backend.history_items = []
    items: list[dict[str, Any]] = backend.history_items
    return items
