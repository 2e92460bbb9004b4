"""The ledger as JSON, for the result of a remote job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from orderops.frozen import as_dict
from orderops.migrations.ledger.table import Attempt, History


def to_json(histories: Mapping[int, History]) -> list[dict[str, Any]]:
    """Convert every attempt to values that JSON can hold."""

    def written(value: object) -> object:
        match value:
            case datetime():
                return value.isoformat()
            case timedelta():
                return value.total_seconds()
        return value

    attempts = [attempt for history in histories.values() for attempt in history.attempts]
    return [{key: written(value) for key, value in as_dict(attempt).items()} for attempt in attempts]


def from_json(documents: Iterable[Mapping[str, Any]]) -> dict[int, History]:
    """Read back what `to_json` returned."""
    found: dict[int, list[Attempt]] = {}
    for document in documents:
        times = {key: datetime.fromisoformat(document[key]) for key in ("started", "finished") if document[key]}
        spans = {
            key: timedelta(seconds=document[key]) for key in ("lock_waited", "predicted") if document[key] is not None
        }
        found.setdefault(document["version"], []).append(Attempt(**{**document, **times, **spans}))
    return {version: History(attempts) for version, attempts in found.items()}
