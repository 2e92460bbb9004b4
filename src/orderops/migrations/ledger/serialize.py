"""The ledger as JSON: what a task tells of it to the machine that asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from orderops.migrations.ledger.table import Attempt, History


def to_json(standings: Mapping[int, History]) -> list[dict[str, Any]]:
    """Every attempt, as JSON can hold it."""

    def written(value: object) -> object:
        match value:
            case datetime():
                return value.isoformat()
            case timedelta():
                return value.total_seconds()
        return value

    attempts = [attempt for standing in standings.values() for attempt in standing.attempts]
    return [{key: written(value) for key, value in asdict(attempt).items()} for attempt in attempts]


def from_json(told: Iterable[Mapping[str, Any]]) -> dict[int, History]:
    """What `to_json` wrote."""
    found: dict[int, list[Attempt]] = {}
    for each in told:
        times = {key: datetime.fromisoformat(each[key]) for key in ("started", "finished") if each[key]}
        spans = {key: timedelta(seconds=each[key]) for key in ("lock_waited", "predicted") if each[key] is not None}
        found.setdefault(each["version"], []).append(Attempt(**{**each, **times, **spans}))
    return {version: History(attempts) for version, attempts in found.items()}
