"""Request ids and the access log."""

from __future__ import annotations

import logging
import re
import time
from ipaddress import ip_address
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orderops.service.logs import request_id
from orderops.service.tracing import RequestSpan, Tracing

log = logging.getLogger(__name__)

# Only characters that cannot break a log line or a header.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:=;/+-]{0,127}")
# The balancer sets X-Amzn-Trace-Id; its root is the same in the balancer's access log.
_TRACE_ROOT = re.compile(r"Root=([A-Za-z0-9-]{1,64})")


class Access:
    """Outermost middleware: gives each request an id and a span, returns their ids, and logs the result."""

    def __init__(self, app: ASGIApp, tracing: Tracing, client_header: str = "") -> None:
        self._app = app
        self._client_header = client_header
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._tracing.request(scope) as span:
            await self._serve(scope, receive, send, span)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, span: RequestSpan) -> None:
        identifier = _name(Headers(scope=scope))
        token = request_id.set(identifier)
        started = time.monotonic()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = identifier
                if span.trace_id:
                    MutableHeaders(scope=message)["X-Trace-Id"] = span.trace_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            # Starlette has already answered 500, and raises again so that the error can be logged.
            log.exception("unhandled error", extra={"method": scope["method"], "path": scope["path"]})
            if not status:
                raise
        finally:
            span.answered(scope, status)
            _log_request(scope, status, time.monotonic() - started, self._client(scope))
            request_id.reset(token)

    def _client(self, scope: Scope) -> dict[str, str]:
        """The caller's address from the header that an API in front sets, and from nowhere else."""
        given = Headers(scope=scope).get(self._client_header, "") if self._client_header else ""
        try:
            return {"client": str(ip_address(given))}
        except ValueError:
            return {}


def _name(headers: Headers) -> str:
    """Return the id from the balancer or the client if it is safe to log, otherwise a new one."""
    if root := _TRACE_ROOT.search(headers.get("x-amzn-trace-id", "")):
        return root[1]
    given = headers.get("x-request-id", "")
    return given if _PLAIN.fullmatch(given) else uuid4().hex


def _log_request(scope: Scope, status: int, seconds: float, client: dict[str, str]) -> None:
    level = logging.INFO
    if status >= 500 or not status:
        level = logging.WARNING
    elif scope["path"] == "/health":
        # The balancer's health checks every few seconds would fill the log.
        level = logging.DEBUG
    fields = {
        "method": scope["method"],
        "path": scope["path"],
        "status": status,
        "duration_ms": round(seconds * 1000, 1),
        **client,
    }
    log.log(level, "request", extra=fields)
