"""The emulator: moto behind one lock, with the calls that something real stands behind answered here."""

from __future__ import annotations

import json
import logging
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from orderops.local.emulator.protocol import ApiError, Environ, Request, Response, refused
from orderops.local.ports import HOST, PortTaken, listen

LONGEST_POLL = 20.0
POLL_EVERY = 0.25
log = logging.getLogger(__name__)

Instead = Callable[[Request], Response | None]
Before = Callable[[Request], None]
After = Callable[[Request, Response], Response | None]


class Emulator:
    """Answers calls to AWS; `instead`, `before` and `after` are how the data plane takes part in them."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.instead: dict[tuple[str, str], Instead] = {}
        self.before: dict[tuple[str, str], list[Before]] = {}
        self.after: dict[tuple[str, str], list[After]] = {}
        self.pages: dict[str, Callable[[Environ], Response]] = {}
        self.changed: list[Callable[[Request], None]] = []
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._queues_changed = threading.Condition()

    def on_before(self, service: str, action: str, hook: Before) -> None:
        """Look at such calls before they reach moto, behind those that look already; a Refusal ends the call."""
        self.before.setdefault((service, action), []).append(hook)

    def on_after(self, service: str, action: str, hook: After) -> None:
        """Look at what moto answered to such calls, and perhaps answer something else."""
        self.after.setdefault((service, action), []).append(hook)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer = self.answer(environ)
        if environ["REQUEST_METHOD"] == "HEAD":  # Its length is that of what is not sent.
            start_response(f"{answer.status} .", answer.headers)
            return []
        headers = [(name, value) for name, value in answer.headers if name.lower() != "content-length"]
        start_response(f"{answer.status} .", [*headers, ("Content-Length", str(len(answer.body)))])
        return [answer.body]

    def answer(self, environ: Environ) -> Response:
        """What AWS says to a request, refusals in the words of its protocol included."""
        if page := self.pages.get(environ.get("PATH_INFO", "")):
            return page(environ)
        call = Request(environ)
        try:
            if (call.service, call.action) == ("sqs", "ReceiveMessage"):
                return self._receive(call)
            with self.lock:
                answer = self.decide(call)
        except ApiError as refusal:
            return refused(call, refusal)
        except Exception as error:
            log.exception("%s %s", call.service, call.action)
            return refused(call, ApiError("InternalFailure", f"{type(error).__name__}: {error}", 500))
        if not call.reads:
            self._tell(call)
        return answer

    def decide(self, call: Request) -> Response:
        """What is answered to a call, by whoever answers it; who asks holds the lock."""
        key = (call.service, call.action)
        if (instead := self.instead.get(key)) and (answer := instead(call)):
            return answer
        for before in self.before.get(key, ()):
            before(call)
        answer = self.ask_moto(call, call.again())
        if answer.ok:
            for after in self.after.get(key, ()):
                answer = after(call, answer) or answer
        return answer

    def ask_moto(self, call: Request, environ: Environ) -> Response:
        """What moto alone answers; what it does not know is refused in words, not as a page of HTML."""
        told: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _error: object = None) -> None:
            told.append((int(status.split()[0]), list(headers)))

        try:
            body = b"".join(self._moto(environ, start_response))
        except NotImplementedError as error:
            raise self._not_emulated(call, str(error)) from None
        except Exception as error:
            log.exception("%s %s", call.service, call.action)
            raise self._not_emulated(call, f"{type(error).__name__}: {error}") from None
        status, headers = told[-1]
        if status in (404, 500) and b"<!doctype html" in body[:200].lower():
            raise self._not_emulated(call, "")
        return Response(status, body, headers)

    def serve(self, port: int) -> BaseWSGIServer:
        """A server on this port of the loopback interface, not yet running."""
        try:
            listening = listen(port)
        except OSError:
            what = f"end what listens on port {port}, or give up the local environment: orderops local reset"
            raise PortTaken(port, "the local environment", what) from None
        with listening:
            return make_server(HOST, port, self, threaded=True, request_handler=_RequestHandler, fd=listening.detach())

    def _receive(self, call: Request) -> Response:
        """Wait for messages without holding the lock meanwhile."""
        parameters = call.json
        until = time.monotonic() + min(self._patience(call), LONGEST_POLL)
        while True:
            with self.lock:
                answer = self.ask_moto(call, call.with_json({**parameters, "WaitTimeSeconds": 0}))
            left = until - time.monotonic()
            if b'"Messages"' in answer.body:
                self._tell(call)
                return answer
            if not answer.ok or left <= 0:
                return answer
            with self._queues_changed:
                self._queues_changed.wait(min(POLL_EVERY, left))
            if _hung_up(call.environ):
                return answer

    def _patience(self, call: Request) -> float:
        told = call.json.get("WaitTimeSeconds")
        if told is None:
            question = {"QueueUrl": call.json.get("QueueUrl"), "AttributeNames": ["ReceiveMessageWaitTimeSeconds"]}
            environ = call.with_json(question)
            environ["HTTP_X_AMZ_TARGET"] = "AmazonSQS.GetQueueAttributes"
            with self.lock:
                answer = self.ask_moto(call, environ)
            told = json.loads(answer.body).get("Attributes", {}).get("ReceiveMessageWaitTimeSeconds", 0)
        return float(told)

    def _tell(self, call: Request) -> None:
        for changed in self.changed:
            changed(call)
        if call.service in ("sqs", "sns", "events"):
            with self._queues_changed:
                self._queues_changed.notify_all()

    def _not_emulated(self, call: Request, why: str) -> ApiError:
        text = f"{call.service or 'this service'} {call.action} is not emulated on the laptop"
        return ApiError("NotEmulated", f"{text}: {why}" if why else text)


class _RequestHandler(MotoRequestHandler):  # type: ignore[misc]  # moto is read without types
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def handle_expect_100(self) -> bool:
        """Say at once that the body may come: what is buffered, a client would wait a second for."""
        said = bool(super().handle_expect_100())
        self.wfile.flush()
        return said

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def _hung_up(environ: Environ) -> bool:
    """The client is gone: what it would get now, nobody would work on."""
    connection = environ.get("werkzeug.socket")
    if connection is None:
        return False
    try:
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        return bool(poll.poll(0)) and connection.recv(1, socket.MSG_PEEK) == b""
    except (OSError, ValueError):
        return True
