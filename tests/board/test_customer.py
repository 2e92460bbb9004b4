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
            health(answers="not-ready", database="down", readiness="down", page="down"),
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


@pytest.mark.parametrize(
    ("states", "pages"),
    [
        ({"page": "degraded"}, "delayed"),
        ({"page": "down"}, "down"),
        # The page is what customers see, whatever the control plane says of the database.
        ({"page": "ok", "database": "degraded"}, "ok"),
    ],
)
def test_a_page_that_was_opened_decides_about_pages(states: dict[str, str], pages: str) -> None:
    assert parts_of(health(**states))["pages"] == pages


@pytest.mark.parametrize(
    ("answers", "database", "pages"),
    [
        ("ready", "ok", "ok"),
        ("ready", "degraded", "delayed"),
        ("ready", "down", "down"),
        ("not-ready", "ok", "delayed"),
    ],
)
def test_without_a_page_that_can_be_opened_the_database_decides(answers: str, database: str, pages: str) -> None:
    document = health(answers=answers, database=database)
    document["components"] = [part for part in document["components"] if part["name"] != "page"]

    assert parts_of(document)["pages"] == pages


def test_beside_an_open_incident_nothing_says_that_all_is_well() -> None:
    assert read(health(), incident=True) == ("delayed", "We are looking into an incident")


def test_an_open_incident_changes_nothing_of_worse_words() -> None:
    assert read(health(balancer="down"), incident=True) == ("down", "Orders and pages are not available")
