"""An emulated AWS that is slow like the real one: every call takes a while, and big things take longer to be ready."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

from moto.core.base_backend import BackendDict
from werkzeug.serving import WSGIRequestHandler, make_server

from orderops.local.emulator.server import Emulator
from orderops.local.strict import make_strict
from orderops.local.strict.delays import Delays

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

# Key of a resource's name in a response, key of its state, and the state while it is not ready.
READY = {
    "rds-instance": (rb"<DBInstanceIdentifier>(.+?)<", b"<DBInstanceStatus>available<", b"<DBInstanceStatus>creating<"),
    "ec2-nat-gateway": (rb"<natGatewayId>(nat-.+?)<", b"<state>available<", b"<state>pending<"),
    "elbv2-load-balancer": (rb"<LoadBalancerName>(.+?)<", b"<Code>active<", b"<Code>provisioning<"),
}


AT_ONCE = Delays(**dict.fromkeys((field.name for field in fields(Delays)), 0.0))
"""What a benchmark says of the time that things take, it says itself."""


@dataclass
class SlowAws:
    """`latency` seconds for every call, and seconds until a thing of a kind is ready, from when it was first seen."""

    latency: float
    ready_after: Mapping[str, float]
    calls: int = 0
    _seen: dict[tuple[str, bytes], float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def around(self, emulator: Application) -> Application:
        """The same emulator, slower; one request at a time goes through it, all of them wait beside one another."""

        def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            time.sleep(self.latency)
            begun: list[Any] = []
            with self._lock:
                self.calls += 1
                body = b"".join(emulator(environ, lambda *head: begun.append(head)))
            status, headers, *_ = begun[0]
            body = self._not_ready_yet(body)
            kept = [(key, value) for key, value in headers if key.lower() != "content-length"]
            start_response(status, [*kept, ("Content-Length", str(len(body)))])
            return [body]

        return answer

    def _not_ready_yet(self, body: bytes) -> bytes:
        for kind, (name, ready, pending) in READY.items():
            found = re.search(name, body)
            if not found or ready not in body:
                continue
            first = self._seen.setdefault((kind, found[1]), time.monotonic())
            if time.monotonic() - first < self.ready_after.get(kind, 0.0):
                body = body.replace(ready, pending)
        return body


class _Silent(WSGIRequestHandler):  # type: ignore[misc]  # werkzeug is read without types
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@contextmanager
def served(slow: SlowAws) -> Iterator[str]:
    """Serve an empty account, strict as AWS, on a free port of this machine; answers the endpoint's URL."""
    emulator = Emulator()
    make_strict(emulator, AT_ONCE)
    BackendDict.reset()
    application = slow.around(emulator)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Silent)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
