"""What customers read about each state of the system."""

from __future__ import annotations

from typing import Any

import pytest

from orderops.board.customer import parts_of, state_of, words_of
from support.boards import health


def read(document: dict[str, Any] | None, *, incident: bool = False) -> tuple[str, str]:
    parts = parts_of(document)
    return state_of(parts, incident=incident), words_of(parts, incident=incident)


@pytest.mark.parametrize(
    ("document", "state", "words"),
    [
        pytest.param(health(), "ok", "All systems operational", id="healthy"),
        pytest.param(health(alarms="degraded"), "ok", "All systems operational", id="an alarm alone"),
        pytest.param(health(readiness="unknown"), "ok", "All systems operational", id="not reachable from here"),
        pytest.param(health(queue="degraded"), "delayed", "Orders are accepted with delays", id="many wait"),
        pytest.param(health(service="degraded"), "delayed", "Orders are accepted with delays", id="too few tasks"),
        # POST /orders needs no database; reading an order does.
        pytest.param(
            health(answers="not-ready", database="down", readiness="down"),
            "down",
            "Orders are accepted with delays, pages are not available",
            id="no database",
        ),
        pytest.param(health(balancer="down"), "down", "Orders and pages are not available", id="no healthy target"),
        pytest.param(
            health(answers="failing", readiness="down"), "down", "Orders and pages are not available", id="5xx"
        ),
        pytest.param(health(queue="absent"), "down", "Orders are not accepted at the moment", id="no queue"),
        pytest.param(
            health(balancer="degraded"), "delayed", "Orders are accepted with delays, pages are slow", id="few"
        ),
        pytest.param(health("absent"), "unknown", "The system is not in operation", id="absent"),
        pytest.param(None, "unknown", "The status is not known at the moment", id="not read"),
    ],
)
def test_each_state_has_its_words(document: dict[str, Any] | None, state: str, words: str) -> None:
    assert read(document) == (state, words)


@pytest.mark.parametrize(("status", "words"), [(200, "All systems operational"), (503, "pages are not available")])
def test_pages_that_were_opened_decide_about_pages(status: int, words: str) -> None:
    opened = {"customer": {"words": "", "pages": [{"path": "/orders/1", "status": status, "ms": 12}]}}

    assert words in read({**health(), **opened})[1]


def test_a_page_without_an_answer_is_not_available() -> None:
    opened = {"customer": {"words": "", "pages": [{"path": "/", "status": None, "ms": None}]}}

    assert parts_of({**health(), **opened}) == {"orders": "ok", "pages": "down"}


def test_beside_an_open_incident_nothing_says_that_all_is_well() -> None:
    assert read(health(), incident=True) == ("delayed", "We are looking into an incident")


def test_an_open_incident_changes_nothing_of_worse_words() -> None:
    assert read(health(balancer="down"), incident=True) == ("down", "Orders and pages are not available")
