"""What gets onto which board: everything for engineers, and nothing internal for customers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orderops.board.incidents import FoundIncidents, Incident, IncidentUpdate
from orderops.board.page import board_page
from orderops.board.reading import BoardReading
from orderops.board.samples import KeptSamples
from orderops.board.view import customer_view, engineer_view
from orderops.frozen import as_dict, replace
from support.boards import MARKS, NOW, health, ninety_days, sample, situations

# Keys whose values decide about words, and which are no text of their own.
DECIDING = {"state", "verdict", "status", "ms", "name", "revision", "rollout", "outdated_tasks"}


def marked(value: Any, marker: str, key: str = "") -> Any:
    """The same document with a marker in every text that only explains."""
    if isinstance(value, dict):
        return {name: marked(inner, marker, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [marked(inner, marker, key) for inner in value]
    if key == "name":
        # The first word is the sort of component; behind it is the name of a service or an instance.
        return f"{value.split()[0]} {marker}{value}"
    return value if key in DECIDING or not isinstance(value, str) else f"{marker}{value}"


def internal(marker: str, document: dict[str, Any]) -> BoardReading:
    """A reading in which each internal text has the marker: of health, samples, incidents, metrics, history, errors."""
    more = {
        "priority": "P0",
        "cause_component": "database",
        "since": "2026-11-29T02:00:00Z",
        "last_change": {"at": "2026-11-29T02:00:00Z", "who": marker, "what": marker, "tool": marker},
        "page": {"path": f"/{marker}", "status": 503, "ms": 9, "problem": marker},
        "notes": [{"priority": "P3", "what": marker, "next": marker}],
        "denied": [f"{marker}:DescribeDBInstances"],
        "runs": [{"run": "1", "who": marker, "host": marker, "command": marker, "since": ""}],
        "pending": [{"name": marker, "what": marker, "class": "interrupts", "until": marker, "command": marker}],
        "unreadable": [{"error": marker, "hint": marker}],
    }
    whole = situations()["degraded"]
    known = {**marked(document, marker), **more}
    assert whole.series
    services = tuple(replace(service, service=f"{marker}{service.service}") for service in whole.series.services)
    incident = Incident(
        f"{marker}-id",
        "Orders are late",
        "orders",
        "2026-11-29T02:58:00Z",
        (IncidentUpdate("2026-11-29T02:59:00Z", f"arn:aws:iam::1:user/{marker}", "We look into it."),),
    )
    samples = tuple(
        replace(kept, components={f"{name} {marker}": state for name, state in kept.components.items()})
        for kept in ninety_days().samples[-50:]
    )
    return BoardReading(
        NOW,
        f"{marker}-environment",
        "Acme Orders",
        known,
        KeptSamples(samples),
        FoundIncidents((incident,)),
        replace(whole.series, services=services),
        tuple(replace(mark, what=marker, who=marker, command=marker) for mark in MARKS),
        (f"{marker}: AccessDenied",),
    )


@pytest.mark.parametrize(
    "document",
    [
        health(),
        health("degraded", "the queue", queue="degraded"),
        health("down", "the database", "not-ready", database="down", readiness="down"),
        health("down", "all", "failing", balancer="down", service="absent"),
        health("absent"),
    ],
    ids=["healthy", "degraded", "no database", "no balancer", "absent"],
)
def test_nothing_internal_is_on_the_page_for_customers(document: dict[str, Any]) -> None:
    reading = internal("XINTERNALX", document)

    assert "xinternalx" not in board_page(reading, detail=False).lower()
    # The marker is on the page for engineers, so it was in the reading.
    assert board_page(reading, detail=True).count("XINTERNALX") > 20


def test_no_name_of_the_system_is_in_the_view_for_customers() -> None:
    for reading in situations().values():
        text = json.dumps(as_dict(customer_view(reading)))
        for name in ("arn:", "123456789012", "amazonaws", "sha256", "order-processor", "orderops", "prod", "ana"):
            assert name not in text.replace("manage", "")


def test_texts_from_outside_are_escaped() -> None:
    hostile = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'
    document = health("down", hostile, database="down")
    document["urls"] = {"url": "javascript:alert(3)", hostile: f"http://h/{hostile}"}
    document["components"][0]["detail"] = hostile
    incident = Incident(
        "1", hostile, "orders", "2026-11-29T02:58:00Z", (IncidentUpdate("2026-11-29T02:58:00Z", hostile, hostile),)
    )
    whole = situations()["healthy"]
    marks = tuple(replace(mark, what=hostile, who=hostile) for mark in MARKS)
    reading = replace(
        whole, title=hostile, health=document, incidents=FoundIncidents((incident,)), marks=marks, problems=(hostile,)
    )

    page = board_page(reading, detail=True, notice=hostile)

    assert "<script" not in page
    assert "<img" not in page
    assert "javascript:" not in page
    assert page.count("&lt;script&gt;") > 8


def test_the_cause_and_the_next_command_are_for_engineers() -> None:
    view = engineer_view(situations()["degraded"])

    facts = dict(view.facts)
    assert (view.verdict, view.cause[:35]) == ("degraded", "service order-processor is degraded")
    assert facts["Since"] == "29 November 2026, 02:47 UTC, 25 min 20 s ago"
    assert facts["Last change before"] == "2026-11-28T21:20:00Z: release of order-processor, by ana with orderops"
    assert facts["Next"] == "orderops status --watch --env prod"
    assert [part.name for part in view.components if part.is_cause] == ["service order-processor"]


def test_a_health_without_the_newer_keys_is_shown() -> None:
    view = engineer_view(BoardReading(NOW, "prod", "Acme", health("down", "database is down: gone", database="down")))

    assert view.components[0].state == "down"
    assert "Since" not in dict(view.facts)


def test_the_history_of_each_part_is_in_its_bars_and_in_words() -> None:
    orders, pages = customer_view(situations()["healthy"]).parts

    # 85 minutes of 63 days and 3 hours are 0.09 %.
    assert orders.summary == "99.90 % available in the last 90 days, faults on 3 days. Recorded on 64 of these days."
    assert orders.available == "99.90 % available, 64 days recorded"
    assert [bar.state for bar in orders.bars].count("none") == 26
    assert orders.faults[-1] == "20 October 2026: not available for 1 h 25 min"
    assert pages.faults == ("26 November 2026: delayed for 20 min", "20 October 2026: not available for 1 h 25 min")


def test_a_short_outage_can_be_seen() -> None:
    samples = (sample(NOW - timedelta(minutes=2), "down"), sample(NOW - timedelta(minutes=1)))
    reading = BoardReading(NOW, "prod", "Acme", health(), KeptSamples(samples))

    assert customer_view(reading).parts[0].bars[-1].down >= 15


def components() -> Iterator[tuple[str, str]]:
    yield from ((part.name, part.available) for part in engineer_view(situations()["healthy"]).components)


def test_each_component_has_its_availability() -> None:
    assert dict(components())["database"] == "100 %"


def test_incidents_that_could_not_be_read_are_not_none() -> None:
    reading = BoardReading(NOW, "prod", "Acme", health())

    assert customer_view(reading).no_incident == "Incidents are not known at the moment."
    assert customer_view(replace(reading, incidents=FoundIncidents())).no_incident == "No incident in the last 14 days."


def test_times_on_the_page_are_in_utc() -> None:
    later = datetime.fromisoformat("2026-11-29T14:12:00+11:00")

    assert customer_view(BoardReading(later, "prod", "Acme")).at == "29 November 2026, 03:12 UTC"
    assert customer_view(BoardReading(NOW.astimezone(UTC), "prod", "Acme")).at_iso == "2026-11-29T03:12:20Z"
