"""Requests that do not meet HTTP: the balancer answers each as AWS's does, and lives on."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from orderops.local.elb.authority import Authority
from orderops.local.elb.balancer import Balancers
from orderops.local.elb.routing import Listener, RoutingRule
from orderops.local.elb.targets import TargetProcess, Targets
from orderops.local.ports import free_port
from support.laptop import until

HOST = b"Host: localhost\r\n"


class Echo(BaseHTTPRequestHandler):
    """A target that answers every request with its request line."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.seen.append(self.requestline)
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_POST = do_OPTIONS = do_CONNECT = do_GET  # noqa: N815  # the names that http.server calls

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


class OneTarget(Targets):
    """The one target of a group, always healthy."""

    def __init__(self, target: TargetProcess) -> None:
        self.target = target

    def healthy(self, group: str) -> list[TargetProcess]:
        return [self.target]

    def blocked(self, target: TargetProcess) -> bool:
        return False


@pytest.fixture(scope="module")
def target() -> Iterator[TargetProcess]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield TargetProcess("group", server.server_address[1])
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def port(target: TargetProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    balancers, number = Balancers(OneTarget(target), Authority(tmp_path_factory.mktemp("authority"))), free_port()
    rule = RoutingRule(1, (), ({"Type": "forward", "TargetGroupArn": "group"},))
    assert balancers.update([Listener("arn", "lb", number, (rule,))]) == {}
    until(lambda: sent(number, b"GET / HTTP/1.1\r\n" + HOST + b"\r\n").startswith("HTTP/1.1 200"), what="it listens")
    yield number
    balancers.close()


def sent(port: int, request: bytes, *, ends: bool = False) -> str:
    """Send bytes and return the status line of the answer; "" for a connection that is closed without one."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(request)
            if ends:
                connection.shutdown(socket.SHUT_WR)
            return connection.makefile("rb").readline().decode("latin-1").strip()
    except ConnectionError:
        return ""


def get(line: bytes = b"GET / HTTP/1.1", headers: bytes = HOST, body: bytes = b"") -> bytes:
    return line + b"\r\n" + headers + b"\r\n" + body


# The codes of AWS: "Troubleshoot your Application Load Balancers" in the user guide. Where it names none, RFC 9112.
REFUSED = {
    "a chunk without a length": (
        get(b"POST / HTTP/1.1", HOST + b"Transfer-Encoding: chunked\r\n", b"zz\r\nab\r\n"),
        400,
    ),
    "no host": (get(headers=b""), 400),
    "two hosts": (get(headers=HOST * 2), 400),
    "an absurd length": (get(b"POST / HTTP/1.1", HOST + b"Content-Length: " + b"9" * 30 + b"\r\n"), 400),
    "a length below zero": (get(b"POST / HTTP/1.1", HOST + b"Content-Length: -5\r\n"), 400),
    "a word for the length": (get(b"POST / HTTP/1.1", HOST + b"Content-Length: many\r\n"), 400),
    "two lengths": (get(b"POST / HTTP/1.1", HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello"), 400),
    "a length and chunks": (
        get(b"POST / HTTP/1.1", HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        400,
    ),
    "an unknown transfer encoding": (get(b"POST / HTTP/1.1", HOST + b"Transfer-Encoding: gzip\r\n"), 400),
    "no version": (get(b"GET /"), 400),
    "a later version": (get(b"GET / HTTP/3.0"), 505),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 99 + b"\r\n\r\n", 400),
    "a zero byte in a header": (get(headers=HOST + b"X: a\x00b\r\n"), 400),
    "a zero byte in the path": (get(b"GET /\x00 HTTP/1.1"), 400),
    "a name of a header that is not ASCII": (get(headers=HOST + b"X\xe9: a\r\n"), 400),
    "a space before the colon": (get(headers=b"Host : localhost\r\n"), 400),
    "a header of 20 K": (get(headers=HOST + b"X: " + b"a" * 20_000 + b"\r\n"), 400),
    "thousands of headers": (get(headers=HOST + b"".join(b"X%d: a\r\n" % number for number in range(3000))), 431),
    "a path of 20 K": (get(b"GET /" + b"a" * 20_000 + b" HTTP/1.1"), 414),
    # More than the server keeps of an unfinished line: it depends on the pieces in which it arrives who refuses it.
    "a path of 70 K": (get(b"GET /" + b"a" * 70_000 + b" HTTP/1.1"), "4"),
    "a query of 20 K": (get(b"GET /?" + b"a" * 20_000 + b" HTTP/1.1"), 414),
    "CONNECT": (get(b"CONNECT example.com:443 HTTP/1.1"), 400),
    "TRACE": (get(b"TRACE / HTTP/1.1"), 405),
    "all of the server": (get(b"OPTIONS * HTTP/1.1"), 400),
    "a path without a slash": (get(b"GET orders HTTP/1.1"), 400),
    "a fragment": (get(b"GET /a#b HTTP/1.1"), 400),
    "a space in the path": (get(b"GET /a b HTTP/1.1"), 400),
    "a URL that is none": (get(b"GET http://[::1/ HTTP/1.1"), 400),
    "another character in the method": (get(b"GE(T / HTTP/1.1"), 400),
    "half a host": (get(headers=b"Host: [::1\r\n"), 421),
    "an empty host": (get(headers=b"Host: \r\n"), 421),
}


@pytest.mark.parametrize(("request_", "status"), REFUSED.values(), ids=REFUSED)
def test_a_malformed_request_is_refused_and_the_next_one_answered(
    port: int, target: TargetProcess, request_: bytes, status: int | str
) -> None:
    Echo.seen.clear()

    assert sent(port, request_).partition(" ")[2].startswith(f"{status} " if isinstance(status, int) else status)
    assert Echo.seen in ([], ["POST / HTTP/1.1"]), "a target at most saw the head of a request whose body is malformed"
    assert sent(port, get()) == "HTTP/1.1 200 OK"
    until(lambda: target.in_flight == 0, what="no request is under way")


def test_a_client_that_leaves_in_the_middle_of_its_body_holds_nothing(port: int, target: TargetProcess) -> None:
    sent(port, get(b"POST / HTTP/1.1", HOST + b"Content-Length: 50\r\n", b"abc"), ends=True)

    until(lambda: target.in_flight == 0, what="no request is under way")
    assert sent(port, get()) == "HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    ("line", "forwarded"),
    [
        (b"GET http://localhost/a/b?c=d HTTP/1.1", "GET /a/b?c=d HTTP/1.1"),
        (b"GET http://localhost HTTP/1.1", "GET / HTTP/1.1"),
        (b"GET /%zz%ff?%zz HTTP/1.1", "GET /%zz%ff?%zz HTTP/1.1"),
        (b"GET //orders//7 HTTP/1.1", "GET //orders//7 HTTP/1.1"),
    ],
)
def test_an_unusual_path_reaches_the_target_as_it_was_sent(port: int, line: bytes, forwarded: str) -> None:
    Echo.seen.clear()

    assert sent(port, get(line)) == "HTTP/1.1 200 OK"
    assert Echo.seen == [forwarded]
