"""GET /ready through a load balancer, asked of servers that answer in every way."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orderops.config.environment import load_environment
from orderops.infra.readiness import ReadyState, ask_ready, asked_service, on_this_machine

LONG = timedelta(seconds=20)
SHORT = timedelta(seconds=0.3)
FAILED = {"ok": False, "detail": "no answer within 2 s"}
OK = {"ok": True, "detail": "answers"}


@contextmanager
def server(*pieces: bytes, hold: bool = False) -> Iterator[str]:
    """A server that reads one request, sends these pieces and closes the connection; with `hold`, keeps it open."""
    released = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            for piece in pieces:
                connection.sendall(piece)
            if hold:
                released.wait(30)

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        released.set()
        thread.join(5)


def answer(status: str, document: Any, *headers: str) -> bytes:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@pytest.mark.parametrize(
    ("pieces", "state", "detail"),
    [
        pytest.param(
            [answer("200 OK", {"ready": True, "checks": {"database": OK}})],
            "ready",
            "every dependency answers",
            id="ready",
        ),
        pytest.param(
            [answer("503 Service Unavailable", {"ready": False, "checks": {"database": FAILED, "queue": OK}})],
            "not-ready",
            "database: no answer within 2 s",
            id="not ready",
        ),
        pytest.param(
            [answer("200 OK", {"ready": False, "checks": {"queue": FAILED}})],
            "not-ready",
            "queue: no answer within 2 s",
            id="the document counts and not the status",
        ),
        pytest.param(
            [answer("503 Service Unavailable", {"ready": False, "checks": ["database"]})],
            "not-ready",
            "503 without a reason",
            id="checks of another form",
        ),
        pytest.param(
            [answer("502 Bad Gateway", b"<html>502 Bad Gateway</html>")],
            "failing",
            "502 Bad Gateway",
            id="the page of a load balancer",
        ),
        pytest.param(
            [answer("404 Not Found", b"nothing here")],
            "unknown",
            "404 Not Found, without the JSON of an order processor",
            id="a service without /ready",
        ),
        pytest.param(
            [answer("200 OK", b"<html>hello</html>")],
            "unknown",
            "200 OK, without the JSON of an order processor",
            id="a page for every path",
        ),
        pytest.param(
            [answer("200 OK", b"[" * 50_000)],
            "unknown",
            "200 OK, without the JSON of an order processor",
            id="deeply nested JSON",
        ),
        pytest.param(
            [answer("301 Moved", b"", "Location: https://shop.example/ready")],
            "unknown",
            "301, a redirect to https://shop.example/ready, which is not followed",
            id="a redirect to TLS",
        ),
        pytest.param(
            [answer("200 OK", b'{"ready": true, "pad": "' + b"x" * 70_000 + b'"}')],
            "unknown",
            "200 OK, without the JSON of an order processor in the first 64 KB",
            id="a huge body",
        ),
        pytest.param(
            [answer("500 Internal Server Error", b"x" * 70_000)],
            "failing",
            "500 Internal Server Error",
            id="a huge page of an error",
        ),
        pytest.param([b"220 mail.example ESMTP\r\n"], "unknown", "the answer is not HTTP", id="another protocol"),
        pytest.param([], "unreachable", "the connection was closed without an answer", id="closed at once"),
    ],
)
def test_an_answer_is_judged_by_its_document_and_its_status(pieces: list[bytes], state: str, detail: str) -> None:
    with server(*pieces) as url:
        asked = ask_ready(url, within=LONG)

    assert (str(asked.state), asked.detail, asked.url) == (state, detail, f"{url}/ready")


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([], id="no answer"),
        pytest.param([b"HTTP/1.1 200 OK\r\n", b"X-Header: "], id="half of the headers"),
        pytest.param([b'HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"ready"'], id="half of the body"),
    ],
)
def test_a_server_that_hangs_is_waited_for_only_for_a_while(pieces: list[bytes]) -> None:
    with server(*pieces, hold=True) as url:
        asked = ask_ready(url, within=SHORT)

    assert (asked.state, asked.detail) == (ReadyState.FAILING, "no complete answer within 0 s")


def test_the_reasons_of_an_answer_are_bounded_and_harmless_on_a_terminal() -> None:
    hostile = {"ok": False, "detail": "\x1b[2J\x1b]0;owned\x07 gone\nnext line " + "x" * 3000}
    checks = {f"part\x1b{number}": hostile for number in range(12)}
    with server(answer("503 Service Unavailable", {"ready": False, "checks": checks})) as url:
        asked = ask_ready(url, within=LONG)

    assert len(asked.reasons) == 5
    assert len(asked.detail) < 1500
    assert asked.detail.isprintable()
    assert asked.reasons["part?0"].startswith("?[2J?]0;owned? gone next line x")


def test_a_port_that_refuses_connections_is_unreachable() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    asked = ask_ready(url, within=LONG)

    assert (asked.state, asked.detail) == (ReadyState.UNREACHABLE, "connection refused")


def test_a_name_without_an_address_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown_host(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown_host)

    asked = ask_ready("http://lb.example:8080", within=LONG)

    assert (asked.state, asked.detail) == (ReadyState.UNREACHABLE, "the name lb.example cannot be resolved")


def test_a_name_whose_resolution_hangs_is_waited_for_only_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def hang(*_: Any, **__: Any) -> Any:
        released.wait(30)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", hang)

    asked = ask_ready("http://lb.example", within=SHORT)
    released.set()

    assert (asked.state, asked.detail) == (ReadyState.UNREACHABLE, "no connection within 0 s")


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://localhost:8080", True),
        ("http://127.0.0.1", True),
        ("http://[::1]:80", True),
        ("http://10.0.0.1", False),
        ("http://orders-1.ap-southeast-2.elb.amazonaws.com", False),
    ],
)
def test_only_a_loopback_address_is_on_this_machine(url: str, here: bool) -> None:
    assert on_this_machine(url) is here


@pytest.mark.parametrize(
    ("first", "second", "asked"),
    [
        ('["/ready"]', '["/*"]', "orders"),
        ('["/orders/*"]', '["/*"]', "shop"),
        ('["/orders/*"]', '["/read?"]', "shop"),
        ('["/orders/*"]', '["/shop/*"]', None),
    ],
)
def test_the_service_that_is_asked_is_the_first_whose_paths_match(
    tmp_path: Path, first: str, second: str, asked: str | None
) -> None:
    text = (
        f'[network]\ncidr = "10.9.0.0/16"\n[database]\n[services.orders]\npaths = {first}\n'
        f"[services.shop]\npaths = {second}\npriority = 200\nmax_tasks = 2\n"
    )
    (tmp_path / "two.toml").write_text(text)

    assert asked_service(load_environment("two", tmp_path)) == asked


@pytest.mark.parametrize(
    ("said", "read"),
    [
        pytest.param({"handed_over": True, "others": 2}, {"handed_over": True, "others": 2}, id="as it is"),
        pytest.param({"handed_over": 1, "others": 2}, None, id="no truth value"),
        pytest.param({"handed_over": True, "others": True}, None, id="no number"),
        pytest.param({"handed_over": False, "others": "2"}, None, id="a text"),
        pytest.param(["handed_over"], None, id="another form"),
        pytest.param(None, None, id="an older order processor"),
    ],
)
def test_whom_the_schema_belongs_to_is_read_with_care(said: Any, read: dict[str, Any] | None) -> None:
    with server(answer("200 OK", {"ready": True, "checks": {}, "schema": said})) as url:
        assert ask_ready(url, within=LONG).to_dict()["schema"] == read
