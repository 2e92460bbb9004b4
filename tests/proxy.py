"""AWS over HTTP that goes wrong on command: an emulator behind a counter that can cut, refuse, throttle and kill.

The client is whatever obeys AWS_ENDPOINT_URL, a process of its own included; every call is seen here before the
emulator sees it, and a rule decides what becomes of it:

    with served() as proxy:
        proxy.rule = from_change(7, Fate.UNANSWERED, then=victim.kill)
        ...
        proxy.settle()
        assert proxy.changing[-1] == "ec2.CreateSubnet"
"""

from __future__ import annotations

import random
import socket
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import Any

from moto.backends import get_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import ThreadedWSGIServer

from orderops.local.wire import Answer, Call, Environ, Refusal, refused

PING = "/is-anybody-there"
StartResponse = Callable[..., Any]


class Fate(Enum):
    """What becomes of a call that goes wrong on the way."""

    UNDONE = auto()
    """Cut before it took effect."""
    UNANSWERED = auto()
    """Cut after it took effect."""
    BROKEN = auto()
    """Answered with HTTP 500 after it took effect."""


@dataclass(frozen=True)
class Request:
    """One call: the service as signatures name it, and the action."""

    service: str
    action: str
    changes: bool

    def __str__(self) -> str:
        return f"{self.service}.{self.action}"


Rule = Callable[[Request], Fate | Refusal | Answer | None]
"""What becomes of a call: cut, refused in the words of its protocol, answered at once, or (None) nothing special."""


class Proxy:
    """Keeps count; one call at a time goes through, since the emulator is not made for threads."""

    def __init__(self) -> None:
        self.rule: Rule = passes
        self.requests: list[Request] = []
        self.url = ""
        self.connections = _Connections()
        self._emulator = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()

    @property
    def changing(self) -> list[str]:
        """The calls so far that are more than reads."""
        return [str(request) for request in self.requests if request.changes]

    def forget(self) -> None:
        """Pass everything on, and count from the beginning."""
        self.rule = passes
        self.requests.clear()

    def reset(self) -> None:
        """An empty account."""
        self.forget()
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/moto-api/reset", method="POST"))

    def later(self, seconds: float) -> None:
        """Let time pass for what lies in S3, which tells by its own clock how old a lease is."""
        for _, _, backend in get_backend("s3").iter_backends():
            for bucket in backend.buckets.values():
                for key in bucket.keys.values():
                    key.last_modified -= timedelta(seconds=seconds)

    def settle(self) -> None:
        """Wait until every call sent so far has met its fate, those of dead clients included."""
        urllib.request.urlopen(f"{self.url}{PING}")  # accepted after all that came before it
        self.connections.wait_until_none()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == PING:
            start_response("204 .", [])
            return []
        call = Call(environ)
        if not call.service:
            return [b"".join(self._emulator(call.again(), start_response))]
        with self._lock:
            return self._meet_fate(call, start_response)

    def _meet_fate(self, call: Call, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(call.service, call.action, not call.reads)
        self.requests.append(request)
        fate = self.rule(request)
        if fate is None:
            return [b"".join(self._emulator(call.again(), start_response))]
        if fate in (Fate.UNANSWERED, Fate.BROKEN):
            b"".join(self._emulator(call.again(), lambda *_: None))
            fate = INTERNAL_FAILURE if fate is Fate.BROKEN else fate
        if isinstance(fate, Refusal):
            fate = refused(call, fate)
        if isinstance(fate, Answer):
            start_response(f"{fate.status} .", [*fate.headers, ("Content-Length", str(len(fate.body)))])
            return [] if call.method == "HEAD" else [fate.body]
        with suppress(OSError):
            call.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        raise ConnectionAbortedError  # which the server takes for a client that went away


@contextmanager
def served() -> Iterator[Proxy]:
    """A proxy on a free port of this machine, before an empty account."""
    proxy = Proxy()
    server = _Server("127.0.0.1", 0, proxy, handler=_Handler)
    server.connections = proxy.connections
    proxy.url = f"http://127.0.0.1:{server.port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        proxy.reset()
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def passes(request: Request) -> None:
    """The rule under which nothing happens to a call."""


def from_change(number: int, fate: Fate | None, then: Callable[[], object] = lambda: None) -> Rule:
    """At the nth call that changes something do `then` once; this call and all after it meet `fate`."""
    seen = Counter[str]()

    def rule(request: Request) -> Fate | None:
        seen["changes"] += request.changes
        if seen["changes"] < number:
            return None
        if not seen["done"]:
            seen["done"] += 1
            then()
        return fate

    return rule


def trouble(seed: int, *, throttled: float = 0.0, broken: float = 0.0) -> Rule:
    """Throttle and break these shares of all calls; half of what breaks has taken effect.

    The nth call of an action meets the same fate in every run with the same seed.
    """
    seen = Counter[Request]()

    def rule(request: Request) -> Fate | Refusal | None:
        seen[request] += 1
        dice = random.Random(f"{seed} {request} {seen[request]}")
        drawn = dice.random()
        if drawn < throttled:
            return throttling(request.service)
        if drawn < throttled + broken:
            return INTERNAL_FAILURE if dice.random() < 0.5 else Fate.BROKEN
        return None

    return rule


def throttling(service: str) -> Refusal:
    """Too many calls, as this service says it."""
    code, status = THROTTLING.get(service, ("ThrottlingException", 400))
    return Refusal(code, "Rate exceeded", status)


INTERNAL_FAILURE = Refusal("InternalFailure", "an internal error", 500)
THROTTLING = {
    "ec2": ("RequestLimitExceeded", 503),
    "s3": ("SlowDown", 503),
    **dict.fromkeys(("elasticloadbalancing", "iam", "rds", "sns", "sts"), ("Throttling", 400)),
}


class _Connections:
    """Counts what is open; opened by the thread that accepts, so that nothing accepted goes uncounted."""

    def __init__(self) -> None:
        self._open = 0
        self._changed = threading.Condition()

    def change(self, by: int) -> None:
        with self._changed:
            self._open += by
            self._changed.notify_all()

    def wait_until_none(self) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._open == 0, timeout=120), f"{self._open} calls under way"


class _Server(ThreadedWSGIServer):  # type: ignore[misc]  # werkzeug is read without types
    connections: _Connections
    request_queue_size = 256

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.change(+1)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.connections.change(-1)


class _Handler(MotoRequestHandler):  # type: ignore[misc]  # moto is read without types
    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass
