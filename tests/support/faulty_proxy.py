"""AWS over HTTP that goes wrong on command: the strict emulator behind a counter that cuts, refuses, lags and kills.

The client is whatever obeys AWS_ENDPOINT_URL, a process of its own included; every call is seen here before the
emulator sees it, and a rule decides what becomes of it:

    with served() as proxy:
        proxy.rule = from_change(7, Fate.UNANSWERED, then=victim.kill)
        ...
        proxy.settle()
        assert proxy.changing[-1] == "ec2.CreateSubnet"

What AWS is slow with is told by `pace` (databases, roles, names of queues …), what its reads have not heard of yet by
`lag`, and how long every answer takes by `latency`, all in seconds.
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
class SeenRequest:
    """One call: the service as signatures name it, and the action."""

    service: str
    action: str
    changes: bool

    def __str__(self) -> str:
        return f"{self.service}.{self.action}"


FaultRule = Callable[[SeenRequest], Fate | ApiError | Response | None]
"""What becomes of a call: cut, refused in the words of its protocol, answered at once, or (None) nothing special."""


class Proxy:
    """Keeps count; one call at a time goes through, since the emulator is not made for threads."""

    def __init__(self, pace: Delays) -> None:
        self.rule: FaultRule = passes
        self.requests: list[SeenRequest] = []
        self.url = ""
        self.latency = 0.0
        self.connections = _Connections()
        self._emulator = Emulator()
        make_strict(self._emulator, pace)
        self._lagging = Lagging()
        self._lock = threading.Lock()

    @property
    def lag(self) -> float:
        """By how many seconds reads may lag behind what is there."""
        return self._lagging.seconds

    @lag.setter
    def lag(self, seconds: float) -> None:
        self._lagging = Lagging(seconds)

    @property
    def changing(self) -> list[str]:
        """The calls so far that are more than reads."""
        return [str(request) for request in self.requests if request.changes]

    def forget(self) -> None:
        """Pass everything on, and count from the beginning."""
        self.rule = passes
        self.requests.clear()

    def reset(self) -> None:
        """An empty account, and nothing that goes wrong."""
        self.forget()
        self.lag, self.latency = 0.0, 0.0
        with self._lock:
            moto_api_backend.reset()

    def keep(self) -> bytes:
        """The account as it is, to be brought back."""
        with self._lock:
            return dump(None)

    def bring_back(self, kept: bytes) -> None:
        """The account as it was, and nothing that goes wrong."""
        self.reset()
        with self._lock, tempfile.NamedTemporaryFile() as file:
            Path(file.name).write_bytes(kept)
            load(Path(file.name))

    def later(self, seconds: float) -> None:
        """Let time pass: S3, which tells by its own clock how old a lease is, and reads that lag."""
        self._lagging = Lagging(self.lag)
        let_s3_age(seconds)

    @contextmanager
    def held(self) -> Iterator[None]:
        """No call goes through meanwhile."""
        with self._lock:
            yield

    def settle(self) -> None:
        """Wait until every call sent so far has met its fate, those of dead clients included."""
        urllib.request.urlopen(f"{self.url}{PING}")  # accepted after all that came before it
        self.connections.wait_until_none()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == PING:
            start_response("204 .", [])
            return []
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
        raise ConnectionAbortedError  # which the server takes for a client that went away


QUICK = Delays()


@contextmanager
def served(pace: Delays = QUICK) -> Iterator[Proxy]:
    """A proxy on a free port of this machine, before an empty account."""
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
    """The rule under which nothing happens to a call."""


def from_change(number: int, fate: Fate | None, then: Callable[[], object] = lambda: None) -> FaultRule:
    """At the nth call that changes something do `then` once; this call and all after it meet `fate`."""
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
    """Throttle, break and leave unanswered these shares of all calls; half of what goes wrong has taken effect.

    The nth call of an action meets the same fate in every run with the same seed.
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
    """Too many calls, as this service says it."""
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


class Handler(MotoRequestHandler):  # type: ignore[misc]  # moto is read without types
    """Keeps connections, and says nothing of each request."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass
