"""The service itself says which database it queries; what it does not say is not believed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from orderops.errors import OrderopsError
from orderops.local.ports import free_port
from orderops.restore.verification import REQUESTS, ServiceResponse, ServiceUnreachable, identity, verify

DOOR = {"host": "new.example", "port": 5432, "dbname": "orders"}
OTHER = {**DOOR, "host": "old.example"}
READY = (200, json.dumps({"database": identity(DOOR)}))
OLD = (200, json.dumps({"database": identity(OTHER)}))
USERS = json.dumps({"users": ["ada", "bo"]})


@dataclass
class Service:
    """What it answers on /ready, one after the other; the last again and again."""

    answers: list[tuple[int, str]]
    url: str = ""
    asked: list[str] = field(default_factory=list)


@contextmanager
def service(*answers: tuple[int, str]) -> Iterator[Service]:
    told = Service(list(answers))

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append(self.path)
            status, text = 200, USERS
            if self.path == "/ready":
                status, text = told.answers.pop(0) if len(told.answers) > 1 else told.answers[0]
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_it_answers_from_the_right_database_every_time() -> None:
    with service(READY) as there:
        assert verify(there.url, DOOR) == ServiceResponse(REQUESTS, users=2)

    assert there.asked == ["/ready"] * REQUESTS + ["/users"]


def test_a_task_of_before_that_still_answers_is_waited_for() -> None:
    with service(READY, READY, OLD, READY) as there:
        assert verify(there.url, DOOR) == ServiceResponse(REQUESTS, users=2)

    assert there.asked == ["/ready"] * (3 + REQUESTS) + ["/users"]


UNREADY = json.dumps({"checks": {"database": {"detail": "password authentication failed"}}})
WRONG = {
    "another database": (OLD, rf"the service still answers from another database \({identity(OTHER)}\)"),
    "no database": ((503, UNREADY), "the service cannot query its database: password authentication failed"),
    "no word of it": ((503, "{}"), "the service cannot query its database$"),
    "no task": ((503, "<html>"), "does not answer as the service does"),
    "no answer of a task": ((502, ""), "answers 502: no task is behind the balancer"),
    "another program": ((200, "welcome"), "does not answer as the service does"),
    "a list": ((200, "[]"), "does not answer as the service does"),
}


@pytest.mark.parametrize("case", WRONG)
def test_it_is_refused_when_there_answers(case: str) -> None:
    answer, why = WRONG[case]

    with service(answer) as there, pytest.raises(OrderopsError, match=why) as refused:
        verify(there.url, DOOR, timeout=0)

    assert not isinstance(refused.value, ServiceUnreachable)


def test_where_nobody_listens_nothing_is_known() -> None:
    with pytest.raises(ServiceUnreachable, match=r"cannot be asked from here: .*refused"):
        verify(f"http://127.0.0.1:{free_port()}", DOOR)


@pytest.mark.parametrize("key", ["host", "port", "dbname"])
def test_another_place_has_another_identity_that_gives_nothing_away(key: str) -> None:
    other = identity({**DOOR, key: "9"})

    assert other != identity(DOOR)
    assert len(other) == 12
