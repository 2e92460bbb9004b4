"""The board served on this machine: who gets it, and what it shows while nothing can be read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.client import HTTPConnection, HTTPResponse

import pytest

from orderops.board.reading import BoardReading
from orderops.board.server import BoardServer, ServedBoard, serve_board
from orderops.errors import OrderopsError
from orderops.frozen import replace
from support.boards import NOW, situations

EVERY = timedelta(seconds=30)
NOTHING = BoardReading(NOW, "prod", "Acme Orders")
HEALTHY = situations()["healthy"]


def board(*readings: BoardReading | Exception, detail: bool = False) -> ServedBoard:
    """A board that has read each of these, one after the other."""
    left = list(readings)

    def read() -> BoardReading:
        reading = left.pop(0)
        if isinstance(reading, Exception):
            raise reading
        return reading

    served = ServedBoard(read, NOTHING, detail=detail, every=EVERY)
    for _ in readings:
        served.renew()
    return served


@contextmanager
def listening(host: str = "127.0.0.1") -> Iterator[BoardServer]:
    server = BoardServer(host, 0, lambda: "the page")
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def get(server: BoardServer, path: str = "/", host: str = "", method: str = "GET") -> tuple[HTTPResponse, str]:
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request(method, path, headers={"Host": host or f"127.0.0.1:{server.server_port}"})
    response = connection.getresponse()
    return response, response.read().decode()


def test_a_failed_reading_leaves_the_last_state_with_its_time() -> None:
    page = board(HEALTHY, OrderopsError("RDS: throttled")).page(NOW + timedelta(minutes=5))

    assert "All systems operational" in page
    assert "The state could not be read again." in page
    assert "29 November 2026, 03:12 UTC" in page
    assert "throttled" not in page


def test_engineers_read_why_it_could_not_be_read() -> None:
    page = board(HEALTHY, OrderopsError("RDS: throttled"), detail=True).page(NOW + timedelta(minutes=5))

    assert "The state could not be read again. RDS: throttled" in page


def test_a_state_older_than_ten_minutes_is_no_longer_shown() -> None:
    page = board(HEALTHY, OrderopsError("throttled")).page(NOW + timedelta(minutes=11))

    assert "The status is not known at the moment" in page
    assert "All systems operational" not in page


def test_a_reading_without_health_is_a_failed_one() -> None:
    blind = replace(HEALTHY, health=None, problems=("health: denied",))

    page = board(HEALTHY, blind, detail=True).page(NOW + timedelta(minutes=5))

    assert "All systems operational" in page
    assert "The state could not be read again. health: denied" in page


def test_a_bug_in_one_reading_ends_no_board() -> None:
    assert "KeyError" in board(KeyError("x"), detail=True).page(NOW)
    assert "could not be read" not in board(KeyError("x"), HEALTHY).page(NOW)


def test_the_page_says_how_often_it_reads_itself_again() -> None:
    assert '<body data-every="30" data-stale="120">' in board(HEALTHY).page(NOW)


def test_a_browser_that_was_sent_by_another_name_gets_nothing() -> None:
    with listening() as server:
        refused, text = get(server, host="evil.example")
        served = [get(server, host=host)[1] for host in ("localhost", f"localhost:{server.server_port}", "[::1]:8090")]

    assert (refused.status, text) == (421, "this board is served under localhost only\n")
    assert served == ["the page"] * 3


def test_there_is_one_page_and_it_is_stored_nowhere() -> None:
    with listening() as server:
        page, text = get(server, "/?at=now")
        head, nothing = get(server, method="HEAD")
        other, _ = get(server, "/../etc/passwd")

    assert (page.status, text, head.status, nothing, other.status) == (200, "the page", 200, "", 404)
    assert (page.headers["Cache-Control"], page.headers["X-Frame-Options"]) == ("no-store", "DENY")


def test_a_port_that_is_taken_is_an_error_with_the_next_step() -> None:
    with listening() as server, pytest.raises(OrderopsError) as refused:
        BoardServer("127.0.0.1", server.server_port, lambda: "")

    assert refused.value.message == f"port {server.server_port} of 127.0.0.1 is taken by another program"
    assert refused.value.hint == "choose another: orderops board serve --port PORT"


def test_an_address_of_another_machine_is_an_error() -> None:
    # 192.0.2.0/24 is for documentation (RFC 5737), so no machine has it.
    with pytest.raises(OrderopsError, match=r"cannot listen on 192\.0\.2\.1:0"):
        BoardServer("192.0.2.1", 0, lambda: "")


def test_the_board_is_read_again_until_it_is_stopped() -> None:
    stop, readings = threading.Event(), []

    def read() -> BoardReading:
        readings.append(1)
        if len(readings) == 3:
            stop.set()
        return HEALTHY

    served = ServedBoard(read, NOTHING, detail=False, every=EVERY)
    serve_board(BoardServer("127.0.0.1", 0, served.page), served, timedelta(seconds=0.01), stop)

    assert len(readings) == 3
    assert "All systems operational" in served.page(NOW)
