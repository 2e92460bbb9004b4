"""The service reports which database it uses; without that report a switch is not verified."""

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
from orderops.restore.verification import ServiceResponse, ServiceUnreachable, identity, verify

NEW = {"host": "new.example", "port": 5432, "dbname": "orders"}
OTHER = {**NEW, "host": "old.example"}
READY = (200, json.dumps({"database": identity(NEW)}))
OLD = (200, json.dumps({"database": identity(OTHER)}))
USERS = json.dumps({"users": ["ada", "bo"]})


@dataclass
class Service:
    """A service with the responses of /ready; the last one is repeated."""

    responses: list[tuple[int, str]]
    url: str = ""
    requests: list[str] = field(default_factory=list)


@contextmanager
def service(*responses: tuple[int, str]) -> Iterator[Service]:
    running = Service(list(responses))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            running.requests.append(self.path)
            status, text = 200, USERS
            if self.path == "/ready":
                status, text = running.responses.pop(0) if len(running.responses) > 1 else running.responses[0]
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    running.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_switch_is_verified_by_ten_responses_in_a_row() -> None:
    with service(READY) as running:
        assert verify(running.url, NEW) == ServiceResponse(10, users=2)

    assert running.requests == ["/ready"] * 10 + ["/users"]


def test_a_response_from_an_old_task_is_waited_out() -> None:
    with service(READY, READY, OLD, READY) as running:
        assert verify(running.url, NEW) == ServiceResponse(10, users=2)

    assert running.requests == ["/ready"] * (3 + 10) + ["/users"]


UNREADY = json.dumps({"checks": {"database": {"detail": "password authentication failed"}}})
WRONG = {
    "another database": (OLD, rf"the service still uses another database \({identity(OTHER)}\)"),
    "no database": ((503, UNREADY), "the service cannot query its database: password authentication failed"),
    "no report": ((503, "{}"), "the service cannot query its database$"),
    "no task": ((503, "<html>"), "did not return the service's JSON"),
    "no response of a task": ((502, ""), "returned 502: the load balancer has no running task"),
    "another program": ((200, "welcome"), "did not return the service's JSON"),
    "a list": ((200, "[]"), "did not return the service's JSON"),
}


@pytest.mark.parametrize("case", WRONG)
def test_any_other_response_is_an_error(case: str) -> None:
    response, problem = WRONG[case]

    with service(response) as running, pytest.raises(OrderopsError, match=problem) as refused:
        verify(running.url, NEW, timeout=0)

    assert not isinstance(refused.value, ServiceUnreachable)


def test_an_unreachable_service_leaves_the_database_unknown() -> None:
    with pytest.raises(ServiceUnreachable, match=r"cannot reach the service at .* from this machine: .*refused"):
        verify(f"http://127.0.0.1:{free_port()}", NEW)


@pytest.mark.parametrize("key", ["host", "port", "dbname"])
def test_each_database_has_its_own_identity_that_hides_its_address(key: str) -> None:
    other = identity({**NEW, key: "9"})

    assert other != identity(NEW)
    assert len(other) == 12
