"""The board in a real browser: it is read, opened and renewed, asks nothing of anybody, and axe finds no fault."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from orderops.board.page import Refresh, board_page
from orderops.board.reading import BoardReading
from orderops.board.server import BoardServer
from support.boards import situations
from support.browser import CHROMIUM, Browser, browser

pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed"),
    pytest.mark.slow,
]
WORDS = {
    "healthy": "All systems operational",
    "degraded": "Orders are accepted with delays",
    "down": "Orders and pages are not available",
    "no-data": "The status is not known at the moment",
}
VERDICT = "document.querySelector('h1').innerText"


@pytest.fixture(scope="module")
def page() -> Iterator[Browser]:
    with browser() as page:
        yield page


@pytest.fixture(scope="module")
def axe() -> str:
    spec = find_spec("axe_core_python")
    assert spec
    assert spec.submodule_search_locations
    return (Path(spec.submodule_search_locations[0]) / "axe.min.js").read_text()


@pytest.fixture
def serving(page: Browser) -> Iterator[Callable[[Callable[[], str]], BoardServer]]:
    """Serve a page until the end of the test."""
    servers: list[BoardServer] = []

    def serve(text: Callable[[], str]) -> BoardServer:
        servers.append(BoardServer("127.0.0.1", 0, text))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return servers[-1]

    yield serve
    # First the page, which would complain that it cannot be renewed.
    page.open("about:blank")
    for server in servers:
        server.shutdown()
        server.server_close()


def written(folder: Path, reading: BoardReading, *, detail: bool) -> str:
    file = folder / "board.html"
    file.write_text(board_page(reading, detail=detail), encoding="utf-8")
    return file.as_uri()


@pytest.mark.parametrize("name", WORDS)
def test_a_customer_reads_the_verdict_and_the_incidents(page: Browser, tmp_path: Path, name: str) -> None:
    url = written(tmp_path, situations()[name], detail=False)
    page.open(url, width=390)

    assert page.run(VERDICT) == WORDS[name]
    assert page.run("document.querySelectorAll('.incident.open').length") == (1 if name == "degraded" else 0)
    assert page.run("document.documentElement.scrollWidth") == 390
    assert [request for request in page.requests if request not in (url, "data:,")] == []
    assert page.complaints == []


def test_an_engineer_opens_the_details_and_the_table_of_a_chart(page: Browser, tmp_path: Path) -> None:
    url = written(tmp_path, situations()["degraded"], detail=True)
    page.open(url)

    # The component that is not well is open from the start, and the others on demand.
    state = "[...document.querySelectorAll('details.component')].map(part => part.open)"
    assert page.run(state) == [False, False, True, False, False, False, False]
    page.run("document.querySelector('#component-1 summary').click()")
    page.run("document.querySelector('#latency-order-processor-table summary').click()")

    assert page.run("document.querySelector('#component-1 p').checkVisibility()")
    assert page.run("document.querySelector('#component-1 p').innerText") == "available, PostgreSQL 18.1, db.t4g.medium"
    assert page.run("document.querySelectorAll('#latency-order-processor-table tbody tr').length") == 24
    # Rules of the style reach the page, so its policy lets it in.
    assert page.run("getComputedStyle(document.querySelector('.charts')).display") == "grid"
    assert [request for request in page.requests if request not in (url, "data:,")] == []
    assert page.complaints == []


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390), ("dark", 3840)])
@pytest.mark.parametrize("name", WORDS)
def test_axe_finds_no_serious_fault(
    page: Browser, axe: str, tmp_path: Path, name: str, scheme: str, width: int
) -> None:
    page.open(written(tmp_path, situations()[name], detail=True), width=width, scheme=scheme)
    page.run("for (const part of document.querySelectorAll('details')) part.open = true")
    page.run(axe)

    found: list[dict[str, Any]] = page.run("axe.run(document).then(result => result.violations)")

    serious = [
        f"{fault['id']}: {fault['nodes'][0]['html']}" for fault in found if fault["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_axe_would_find_a_fault(page: Browser, axe: str, tmp_path: Path) -> None:
    page.open(written(tmp_path, situations()["healthy"], detail=False))
    page.run("document.querySelector('h1').insertAdjacentHTML('afterend', '<img src=\"data:,\">')")
    page.run(axe)

    assert "image-alt" in page.run("axe.run(document).then(result => result.violations.map(fault => fault.id))")


def test_a_served_page_renews_itself_keeps_what_is_open_and_says_what_changed(
    page: Browser, serving: Callable[[Callable[[], str]], BoardServer]
) -> None:
    readings = [situations()["healthy"]]
    refresh = Refresh(timedelta(seconds=1), timedelta(days=365_000))
    server = serving(lambda: board_page(readings[-1], detail=True, refresh=refresh))
    page.open(server.url)
    page.run("document.querySelector('#component-1 summary').click()")

    readings.append(situations()["degraded"])
    # Settles with the change itself, so nothing is waited for that has happened.
    changed = page.run(
        f"new Promise(done => {{ const look = setInterval(() => {{ if ({VERDICT} === {WORDS['degraded']!r}) "
        "{ clearInterval(look); done(document.getElementById('said').textContent); } }, 20); })"
    )
    still_open, title = page.run("[document.querySelector('#component-1').open, document.title]")
    requests, complaints = list(page.requests), list(page.complaints)

    assert (changed, still_open, title) == (WORDS["degraded"], True, f"{WORDS['degraded']} · Acme Orders")
    assert set(requests) <= {server.url, "data:,"}
    assert complaints == []


def test_a_page_that_is_renewed_no_more_says_how_old_it_is(
    page: Browser, serving: Callable[[Callable[[], str]], BoardServer]
) -> None:
    # The readings are of a fixed day, so their pages are old or in the future; this one is from long ago.
    reading = situations()["healthy"]
    old = BoardReading(reading.at.replace(year=2020), "prod", "Acme Orders", reading.health)
    refresh = Refresh(timedelta(hours=1), timedelta(minutes=2))
    page.open(serving(lambda: board_page(old, detail=False, refresh=refresh)).url)

    assert "minutes old and could not be renewed." in page.run("document.getElementById('age').innerText")
