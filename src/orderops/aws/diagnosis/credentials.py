"""Values for the known errors in credentials.toml."""

from __future__ import annotations

from datetime import UTC, datetime

from orderops.aws.diagnosis.rule import ErrorContext, Values
from orderops.text.durations import in_words


def clock_skew(context: ErrorContext, values: Values) -> Values:
    """Return by how much this machine's clock is wrong: AWS names the times at which it was sent and received."""
    try:
        sent, received = (_timestamp(values[key]) for key in ("sent", "received"))
    except (KeyError, ValueError):
        return {"skew": "wrong by more than AWS allows"}
    return {"skew": f"{in_words(abs(sent - received))} {'behind' if sent < received else 'ahead'}"}


def _timestamp(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
