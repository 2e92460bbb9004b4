"""What the health of an environment means for customers: orders and pages, in fixed words.

Only states are read here. No text of the health, such as a detail or a cause, gets onto a page for customers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

ORDER = ("ok", "delayed", "down")
"""States of a part, the worst last."""
WELL = ("ok", "unknown", "")
IMPAIRED = ("degraded", "starting")

ABSENT = "The system is not in operation"
UNKNOWN = "The status is not known at the moment"
LOOKING = "We are looking into an incident"
VERDICTS: Mapping[tuple[str, str], str] = {
    ("ok", "ok"): "All systems operational",
    ("ok", "delayed"): "Orders are accepted, pages are slow",
    ("ok", "down"): "Orders are accepted, pages are not available",
    ("delayed", "ok"): "Orders are accepted with delays",
    ("delayed", "delayed"): "Orders are accepted with delays, pages are slow",
    ("delayed", "down"): "Orders are accepted with delays, pages are not available",
    ("down", "down"): "Orders and pages are not available",
    ("down", "delayed"): "Orders are not accepted, pages are slow",
    ("down", "ok"): "Orders are not accepted at the moment",
}
STATE_WORDS: Mapping[str, Mapping[str, str]] = {
    "orders": {"ok": "Accepted and processed", "delayed": "Accepted with delays", "down": "Not accepted"},
    "pages": {"ok": "Available", "delayed": "Slow", "down": "Not available"},
}


def parts_of(health: Mapping[str, Any] | None) -> dict[str, str]:
    """The state of orders and of pages: ok, delayed, down or unknown; `health` is None if it could not be read."""
    if health is None:
        return {"orders": "unknown", "pages": "unknown"}
    if health["verdict"] == "absent":
        return {"orders": "absent", "pages": "absent"}
    states = {str(part["name"]): str(part["state"]) for part in health["components"]}
    answers = str((health.get("readiness") or {}).get("state", ""))
    entrance = _entrance(states, answers)
    behind = _worst(_behind(name, state) for name, state in states.items())
    # A service that is not ready answers, and takes orders: what it waits for is behind it.
    orders = _worst((entrance, behind, "delayed" if answers == "not-ready" else "ok"))
    return {"orders": orders, "pages": _worst((entrance, _pages(states, answers)))}


def words_of(parts: Mapping[str, str], *, incident: bool) -> str:
    """The verdict in one sentence; an open `incident` is never beside words that say that all is well."""
    pair = (parts["orders"], parts["pages"])
    if "absent" in pair:
        return ABSENT
    if pair == ("ok", "ok") and incident:
        return LOOKING
    return VERDICTS.get(pair, UNKNOWN)


def state_of(parts: Mapping[str, str], *, incident: bool) -> str:
    """The worst state of all parts; with an open incident at least delayed."""
    if not set(parts.values()) <= set(ORDER):
        return "unknown"
    return _worst((*parts.values(), "delayed" if incident else "ok"))


def part_words(part: str, state: str) -> str:
    """The state of a part in words."""
    return STATE_WORDS[part].get(state, "Not in operation" if state == "absent" else "Not known")


def _entrance(states: Mapping[str, str], answers: str) -> str:
    """Whether requests reach a service."""
    balancer = states.get("balancer", "unknown")
    if balancer in ("down", "absent") or answers == "failing":
        return "down"
    # The only state of the laptop's own that a client feels.
    return "delayed" if balancer in IMPAIRED else "ok"


def _behind(name: str, state: str) -> str:
    """What a component behind the entrance means for orders: they wait in the queue until it is well again."""
    kind = name.partition(" ")[0]
    if kind == "queue" and state in ("down", "absent"):
        return "down"
    return "delayed" if kind in ("database", "queue", "service") and state not in WELL else "ok"


def _pages(states: Mapping[str, str], answers: str) -> str:
    """What pages need: the database. Where a page was opened, its answer decides."""
    decisive = states.get("page") or states.get("database", "unknown")
    if decisive in ("down", "absent"):
        return "down"
    return "delayed" if decisive in IMPAIRED or ("page" not in states and answers == "not-ready") else "ok"


def _worst(states: Iterable[str]) -> str:
    return max(states, key=ORDER.index, default="ok")
