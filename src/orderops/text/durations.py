"""Durations in words."""

from __future__ import annotations

from datetime import timedelta


def in_words(duration: timedelta | float) -> str:
    """A duration (or its seconds) in whole units: "4 s", "3 min 10 s", "2 h 5 min", "3 days"; below zero is "0 s"."""
    seconds = max(0, int(_seconds(duration)))
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} days"


def measured(duration: timedelta | float) -> str:
    """A measured duration (or its seconds), of which fractions matter: "12 ms", "4.2 s", "3 min 10 s"."""
    seconds = _seconds(duration)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    # 59.95 s and more would be rounded to "60.0 s".
    return f"{seconds:.1f} s" if seconds < 59.95 else in_words(round(seconds))


def _seconds(duration: timedelta | float) -> float:
    return duration.total_seconds() if isinstance(duration, timedelta) else duration
