"""Emulator: moto behind one lock, with hooks for requests that a real process or a strict check answers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from orderops.local.emulator.admission import Admission
from orderops.local.emulator.protocol import (
    RAW_HEADERS,
    ApiError,
    Environ,
    Request,
    Response,
    refused,
    without_body,
)
from orderops.local.ports import HOST, PortTaken, listen

MOTO_PAGES = "/moto-api"
log = logging.getLogger(__name__)

Instead = Callable[[Request], Response | None]
Before = Callable[[Request], None]
After = Callable[[Request, Response], Response | None]


class Emulator:
    """WSGI application that answers AWS requests.

    `instead` answers a request in place of moto, `before` may reject it with an ApiError, and `after` may replace
    moto's response. `unlocked` answers without the lock, saves no state and may take its time; `settled` runs after
    every other request, under the lock, and `answered` sees each of these with its response. Without `admission`, every
    request is answered, whoever sends it.
    """

    def __init__(self) -> None:
        self.admission: Admission | None = None
        # moto's backends are not safe for threads.
        self.lock = threading.RLock()
        self.instead: dict[tuple[str, str], Instead] = {}
        self.before: dict[tuple[str, str], list[Before]] = {}
        self.after: dict[tuple[str, str], list[After]] = {}
        self.unlocked: dict[tuple[str, str], Callable[[Request], Response]] = {}
        self.settled: list[Callable[[], None]] = []
        self.pages: dict[str, Callable[[Environ], Response]] = {}
        self.changed: list[Callable[[Request], None]] = []
        self.answered: list[Callable[[Request, Response], None]] = []
        self._moto = _Dispatcher(create_backend_app)

    def on_before(self, service: str, action: str, hook: Before) -> None:
        """Add a hook that runs before moto, after the hooks already registered."""
        self.before.setdefault((service, action), []).append(hook)

    def on_after(self, service: str, action: str, hook: After) -> None:
        """Add a hook that runs on moto's successful response."""
        self.after.setdefault((service, action), []).append(hook)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        response = self.answer(environ)
        if environ["REQUEST_METHOD"] == "HEAD":
            # Content-Length describes the body that GET would return.
            start_response(f"{response.status} .", response.headers)
            return []
        headers = [(name, value) for name, value in response.headers if name.lower() != "content-length"]
        start_response(f"{response.status} .", [*headers, ("Content-Length", str(len(response.body)))])
        return [response.body]

    def answer(self, environ: Environ) -> Response:
        """Return the response to a request; errors use the protocol of its service."""
        if self.admission:
            try:
                self.admission.check_sender(environ)
            except ApiError as refusal:
                # Unread: a page of a browser may send any amount.
                return refused(Request(without_body(environ)), refusal)
        request = Request(environ)
        try:
            if self.admission:
                self.admission.check_signature(request)
                request = request.path_style()
            if page := self.pages.get(request.path):
                return page(environ)
            _check_path(request)
            if unlocked := self.unlocked.get((request.service, request.action)):
                return unlocked(request)
            with self.lock:
                response = self._decided(request)
                for settle in self.settled:
                    settle()
        except ApiError as refusal:
            return refused(request, refusal)
        except Exception as error:
            log.exception("%s %s", request.service, request.action)
            return refused(request, ApiError("InternalFailure", f"{type(error).__name__}: {error}", 500))
        if not request.reads:
            for changed in self.changed:
                changed(request)
        return response

    def _decided(self, request: Request) -> Response:
        try:
            response = self.decide(request)
        except ApiError as refusal:
            for answered in self.answered:
                answered(request, refused(request, refusal))
            raise
        for answered in self.answered:
            answered(request, response)
        return response

    def decide(self, request: Request) -> Response:
        """Return the response to a request from hooks and moto. Call only while holding the lock."""
        key = (request.service, request.action)
        if (instead := self.instead.get(key)) and (response := instead(request)):
            return response
        for before in self.before.get(key, ()):
            before(request)
        response = self.call_moto(request, request.unchanged())
        if response.ok:
            for after in self.after.get(key, ()):
                response = after(request, response) or response
        return response

    def call_moto(self, request: Request, environ: Environ) -> Response:
        """Return moto's own response. Raises ApiError("NotEmulated") where moto would return an HTML page."""
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _error: object = None) -> None:
            started.append((int(status.split()[0]), list(headers)))

        try:
            body = b"".join(self._moto(environ, start_response))
        # moto raises for unknown operations, or answers with an HTML page; boto3 can read neither.
        except NotImplementedError as error:
            raise self._not_emulated(request, str(error)) from None
        except Exception as error:
            log.exception("%s %s", request.service, request.action)
            raise self._not_emulated(request, f"{type(error).__name__}: {error}") from None
        status, headers = started[-1]
        if status in (404, 500) and b"<!doctype html" in body[:200].lower():
            raise self._not_emulated(request, "")
        return Response(status, body, [header for header in headers if not _opens_to_pages(header)])

    def serve(self, port: int) -> BaseWSGIServer:
        """Return a server bound to this loopback port, not yet running. Raises PortTaken."""
        try:
            listener = listen(port)
        except OSError:
            hint = (
                f"stop the program that listens on port {port}, or delete the local environment: orderops local reset"
            )
            raise PortTaken(port, "the local environment", hint) from None
        with listener:
            return make_server(HOST, port, self, threaded=True, request_handler=_RequestHandler, fd=listener.detach())

    def _not_emulated(self, request: Request, reason: str) -> ApiError:
        text = f"{request.service or 'this service'} {request.action} is not emulated on the laptop"
        return ApiError("NotEmulated", f"{text}: {reason}" if reason else text)


class _Dispatcher(DomainDispatcherApplication):  # type: ignore[misc]  # moto is read without types
    """moto's choice of a service by host name, made once for a host.

    moto lists its own folder twice for each request, with a call of the file system for each of 200 services.
    """

    def __init__(self, create_app: Callable[[Any], Any]) -> None:
        super().__init__(create_app)
        self._backends: dict[str, Any] = {}

    def get_backend_for_host(self, host: str | None) -> Any:
        if host is None:
            return None
        if host not in self._backends:
            # From a header of the client: unknown hosts are not kept.
            if (backend := super().get_backend_for_host(host)) is None:
                return None
            self._backends[host] = backend
        return self._backends[host]


class _RequestHandler(MotoRequestHandler):  # type: ignore[misc]  # moto is read without types
    protocol_version = "HTTP/1.1"
    # Nagle's algorithm together with delayed ACKs makes every request 40 ms slower.
    disable_nagle_algorithm = True
    # Buffered: unbuffered, each header is a packet of its own.
    wbufsize = -1

    def handle_expect_100(self) -> bool:
        """Answer `Expect: 100-continue` at once: unflushed, the client waits a second before it sends the body."""
        handled = bool(super().handle_expect_100())
        self.wfile.flush()
        return handled

    def make_environ(self) -> Environ:
        return {**super().make_environ(), RAW_HEADERS: list(self.headers.items())}

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def _check_path(request: Request) -> None:
    """Refuse moto's own pages, which empty the account and show its content, whatever the service."""
    if request.path.startswith(MOTO_PAGES):
        raise ApiError("NotEmulated", f"paths that begin with {MOTO_PAGES} are not emulated on the laptop")


def _opens_to_pages(header: tuple[str, str]) -> bool:
    """Tell whether a header of moto allows pages of other origins to read the response (CORS)."""
    return header[0].lower().startswith("access-control-")
