"""Serve the board on this machine: read again and again in the background, and always answer with the newest state."""

from __future__ import annotations

import errno
import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from socketserver import TCPServer
from typing import Any

from orderops.board.availability import HOLDS
from orderops.board.page import Refresh, board_page
from orderops.board.reading import BoardReading
from orderops.errors import OrderopsError
from orderops.frozen import replace

HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}
PORT = re.compile(r":\d+$")
NAMES = ("localhost", "127.0.0.1", "[::1]")

Read = Callable[[], BoardReading]


class ServedBoard:
    """The last reading that succeeded, with why there is no newer one. `before` is shown until the first."""

    def __init__(self, read: Read, before: BoardReading, *, detail: bool, every: timedelta) -> None:
        self._read = read
        self._detail = detail
        self._refresh = Refresh(every, 3 * every + timedelta(seconds=30))
        self._reading = before
        self._failure = "Nothing was read yet."
        self._lock = threading.Lock()

    def renew(self) -> None:
        """Read again. A failure is kept for the page, whatever it is: the next attempt may succeed."""
        try:
            reading = self._read()
        except OrderopsError as error:
            self._failed(error.message)
        except Exception as error:  # a bug in one reading must not end a board on a wall
            self._failed(f"{type(error).__name__}: {error}")
        else:
            self._read_again(reading)

    def page(self, now: datetime | None = None) -> str:
        """The page of now. A state that is too old is no longer shown: it may have changed since."""
        with self._lock:
            reading, failure = self._reading, self._failure
        if failure and (now or datetime.now(UTC)) - reading.at > HOLDS:
            reading = replace(reading, health=None)
        return board_page(reading, detail=self._detail, refresh=self._refresh, notice=self._notice(failure))

    def _read_again(self, reading: BoardReading) -> None:
        with self._lock:
            if reading.health is not None:
                self._reading, self._failure = reading, ""
                return
            # The last state stays, unless there has been none.
            self._failure = "; ".join(reading.problems)
            if self._reading.health is None:
                self._reading = reading

    def _failed(self, why: str) -> None:
        with self._lock:
            self._failure = why

    def _notice(self, failure: str) -> str:
        """Why the page is not newer; customers read that it is not, and nothing of the reason."""
        if not failure:
            return ""
        return f"The state could not be read again. {failure}" if self._detail else "The state could not be read again."


class BoardServer(ThreadingHTTPServer):
    """An HTTP server whose only page is the board."""

    daemon_threads = True

    def __init__(self, host: str, port: int, page: Callable[[], str]) -> None:
        """Listen. Raises OrderopsError if the port is taken or the address is none of this machine."""
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.page = page
        self.is_loopback = is_loopback(host)
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise _cannot_listen(host, port, error) from None

    def server_bind(self) -> None:
        """Bind without asking for the full name of this machine, which may take as long as a name server is away."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        host, port = self.server_address[:2]
        shown = f"[{host!s}]" if ":" in str(host) else str(host)
        return f"http://{'localhost' if str(host) in ('0.0.0.0', '::') else shown}:{port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a browser that closed its connection is no error."""


class _Handler(BaseHTTPRequestHandler):
    server: BoardServer
    # A client that sends nothing must not keep its thread for ever.
    timeout = 30

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        # The name of another host may mean this machine (DNS rebinding): its pages are not to read the board.
        name = PORT.sub("", self.headers.get("Host", ""))
        if self.server.is_loopback and name not in NAMES:
            self._send(421, "this board is served under localhost only\n", "text/plain; charset=utf-8", with_body)
        elif self.path.partition("?")[0] != "/":
            self._send(404, "the board is at /\n", "text/plain; charset=utf-8", with_body)
        else:
            self._send(200, self.server.page(), HEADERS["Content-Type"], with_body)

    def _send(self, status: int, text: str, kind: str, with_body: bool) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            with suppress(ConnectionError):
                self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing: a page that renews itself would fill the terminal."""


def serve_board(server: BoardServer, board: ServedBoard, every: timedelta, stop: threading.Event) -> None:
    """Answer requests and renew the board, until `stop` is set or Ctrl+C."""
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="board", daemon=True)
    thread.start()
    try:
        while not stop.is_set():
            board.renew()
            stop.wait(every.total_seconds())
    finally:
        server.shutdown()
        server.server_close()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _cannot_listen(host: str, port: int, error: OSError) -> OrderopsError:
    if error.errno == errno.EADDRINUSE:
        return OrderopsError(
            f"port {port} of {host} is taken by another program", "choose another: orderops board serve --port PORT"
        )
    why = (error.strerror or str(error)).lower()
    return OrderopsError(
        f"the board cannot listen on {host}:{port}: {why}", "use --host 127.0.0.1 and a port above 1023"
    )
