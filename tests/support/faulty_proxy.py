"""AWS over HTTP with faults on command: the strict emulator behind a proxy that cuts, rejects, delays and kills.

Any client that obeys AWS_ENDPOINT_URL can be tested, in this process or another. The proxy sees every request before
the emulator does, and a rule decides its fate:

    with served() as proxy:
        proxy.rule = from_change(7, Fate.UNANSWERED, then=victim.kill)
        ...
        proxy.settle()
        assert proxy.changing[-1] == "ec2.CreateSubnet"

`pace` sets the delays of AWS (databases, roles, queue names …), `lag` how far reads are behind, and `latency` the
duration of every request, all in seconds.
"""

from __future__ import annotations

import random
import socket
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any

from moto.moto_api._internal import moto_api_backend
from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import ThreadedWSGIServer

from orderops.local.emulator.persistence import dump, load
from orderops.local.emulator.protocol import ApiError, Environ, Request, Response, refused
from orderops.local.emulator.server import Emulator
from orderops.local.strict import make_strict
from orderops.local.strict.delays import Delays
from support.faults import let_s3_age
from support.lagging_reads import Lagging
from support.shared_parts import share_parts

PING = "/is-anybody-there"
StartResponse = Callable[..., Any]


class Fate(Enum):
    """Outcome of a request that goes wrong."""

    UNDONE = auto()
    """Cut before it takes effect."""
    UNANSWERED = auto()
    """Cut after it takes effect."""
    BROKEN = auto()
    """Answered with HTTP 500 after it takes effect."""


@dataclass(frozen=True)
class SeenRequest:
    """Request: service, as named in signatures, and action."""

    service: str
    action: str
    changes: bool

    def __str__(self) -> str:
        return f"{self.service}.{self.action}"


FaultRule = Callable[[SeenRequest], Fate | ApiError | Response | None]
"""Outcome of a request: cut, rejected, answered at once, or unchanged (None)."""


class Proxy:
    """Proxy that records requests and forwards one at a time, since the emulator is not made for threads."""

    def __init__(self, pace: Delays) -> None:
        self.rule: FaultRule = passes
        self.requests: list[SeenRequest] = []
        self.url = ""
        self.latency = 0.0
        self.connections = _Connections()
        self._emulator = Emulator()
        self._messages = make_strict(self._emulator, pace)
        self._lagging = Lagging()
        self._lock = threading.Lock()

    @property
    def lag(self) -> float:
        """Seconds by which reads may be behind."""
        return self._lagging.seconds

    @lag.setter
    def lag(self, seconds: float) -> None:
        self._lagging = Lagging(seconds)

    @property
    def changing(self) -> list[str]:
        """Requests so far that change something."""
        return [str(request) for request in self.requests if request.changes]

    def forget(self) -> None:
        """Forward everything, and start counting again."""
        self.rule = passes
        self.requests.clear()

    def reset(self) -> None:
        """Empty the account and remove all faults."""
        self.forget()
        self.lag, self.latency = 0.0, 0.0
        with self._lock:
            moto_api_backend.reset()

    def keep(self) -> bytes:
        """Return the state of the account, for `bring_back`."""
        with self._lock:
            return dump(self._messages.store.keep())

    def bring_back(self, kept: bytes) -> None:
        """Restore the state of the account and remove all faults."""
        self.reset()
        with self._lock, tempfile.NamedTemporaryFile() as file:
            Path(file.name).write_bytes(kept)
            self._messages.queues.forget()
            self._messages.store.bring_back(load(Path(file.name)))

    def later(self, seconds: float) -> None:
        """Let time pass for leases, which S3's clock dates, and for lagging reads."""
        self._lagging = Lagging(self.lag)
        let_s3_age(seconds)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold all requests during this block."""
        with self._lock:
            yield

    def settle(self) -> None:
        """Wait until every request sent so far has been handled, including those of killed clients."""
        urllib.request.urlopen(f"{self.url}{PING}")  # accepted after all earlier connections
        self.connections.wait_until_none()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == PING:
            start_response("204 .", [])
            return []
        if self.latency:  # even a sleep of 0 s gives the processor away
            time.sleep(self.latency)
        with self._lock:
            return self._meet_fate(Request(environ), start_response)

    def _meet_fate(self, call: Request, start_response: StartResponse) -> Iterable[bytes]:
        request = SeenRequest(call.service, call.action, not call.reads)
        self.requests.append(request)
        fate = self.rule(request)
        if fate in (None, Fate.UNANSWERED, Fate.BROKEN):
            answer = self._lagging.answer(call, lambda: self._emulator.answer(call.unchanged()))
            fate = INTERNAL_FAILURE if fate is Fate.BROKEN else fate or answer
        if isinstance(fate, ApiError):
            fate = refused(call, fate)
        if isinstance(fate, Response):
            headers = [(name, value) for name, value in fate.headers if name.lower() != "content-length"]
            length = dict(fate.headers).get("Content-Length") if call.method == "HEAD" else None
            start_response(f"{fate.status} .", [*headers, ("Content-Length", length or str(len(fate.body)))])
            return [] if call.method == "HEAD" else [fate.body]
        with suppress(OSError):
            call.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        raise ConnectionAbortedError  # the server treats it as a client that disconnected


# No test waits for its turn at LookupEvents.
QUICK = Delays(trail_pause=0)


@contextmanager
def served(pace: Delays = QUICK) -> Iterator[Proxy]:
    """Run a proxy on a free port, with an empty account."""
    share_parts()
    proxy = Proxy(pace)
    server = _Server("127.0.0.1", 0, proxy, handler=Handler)
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


def passes(request: SeenRequest) -> None:
    """Rule without any fault."""


def from_change(number: int, fate: Fate | None, then: Callable[[], object] = lambda: None) -> FaultRule:
    """Call `then` once at the nth request that changes something; it and all later ones meet `fate`."""
    seen = Counter[str]()

    def rule(request: SeenRequest) -> Fate | None:
        seen["changes"] += request.changes
        if seen["changes"] < number:
            return None
        if not seen["done"]:
            seen["done"] += 1
            then()
        return fate

    return rule


def trouble(seed: int, *, throttled: float = 0.0, broken: float = 0.0, lost: float = 0.0) -> FaultRule:
    """Throttle, break and leave unanswered these shares of all requests; half of the failed ones take effect.

    The nth request of an action meets the same fate in every run with the same seed.
    """
    seen = Counter[SeenRequest]()

    def rule(request: SeenRequest) -> Fate | ApiError | None:
        seen[request] += 1
        dice = random.Random(f"{seed} {request} {seen[request]}")
        drawn = dice.random()
        if drawn < throttled:
            return throttling(request.service)
        if drawn < throttled + broken:
            return dice.choice([INTERNAL_FAILURE, UNAVAILABLE]) if dice.random() < 0.5 else Fate.BROKEN
        if drawn < throttled + broken + lost:
            return Fate.UNANSWERED if dice.random() < 0.5 else Fate.UNDONE
        return None

    return rule


def throttling(service: str) -> ApiError:
    """Return the throttling error of a service."""
    code, status = THROTTLING.get(service, ("ThrottlingException", 400))
    return ApiError(code, "Rate exceeded", status)


INTERNAL_FAILURE = ApiError("InternalFailure", "an internal error", 500)
UNAVAILABLE = ApiError("ServiceUnavailable", "AWS is away for a moment", 503)
THROTTLING = {
    "ec2": ("RequestLimitExceeded", 503),
    "s3": ("SlowDown", 503),
    **dict.fromkeys(("elasticloadbalancing", "iam", "rds", "sns", "sts"), ("Throttling", 400)),
}


class _Connections:
    """Counter of open connections, increased by the accepting thread so that none is missed."""

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


class Handler(MotoRequestHandler):  # type: ignore[misc]  # moto is read without types
    """Request handler with persistent connections and without a log."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass
