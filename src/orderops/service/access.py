"""Every request has an id, and one line in the log."""

from __future__ import annotations

import logging
import re
import time
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orderops.service.logs import request_id

log = logging.getLogger(__name__)

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:=;/+-]{0,127}")
_TRACE_ROOT = re.compile(r"Root=([A-Za-z0-9-]{1,64})")


class Access:
    """The outermost layer: names the request, answers with the name, logs how it went."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = _name(Headers(scope=scope))
        token = request_id.set(name)
        started = time.monotonic()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = name
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except Exception:
            # Starlette has answered 500 by now and raises again, so that someone writes it down.
            log.exception("the request broke", extra={"method": scope["method"], "path": scope["path"]})
            if not status:
                raise
        finally:
            _tell(scope, status, time.monotonic() - started)
            request_id.reset(token)


def _name(headers: Headers) -> str:
    """Take the id the balancer or the caller gave, if it is fit for a log; else make one."""
    if root := _TRACE_ROOT.search(headers.get("x-amzn-trace-id", "")):
        return root[1]
    given = headers.get("x-request-id", "")
    return given if _PLAIN.fullmatch(given) else uuid4().hex


def _tell(scope: Scope, status: int, seconds: float) -> None:
    level = logging.INFO
    if status >= 500 or not status:
        level = logging.WARNING
    elif scope["path"] == "/health":
        level = logging.DEBUG  # the balancer asks every few seconds and learns nothing new
    fields = {
        "method": scope["method"],
        "path": scope["path"],
        "status": status,
        "duration_ms": round(seconds * 1000, 1),
    }
    log.log(level, "request", extra=fields)
