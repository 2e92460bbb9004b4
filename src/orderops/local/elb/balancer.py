"""Load balancers: listening ports that forward to healthy targets by their rules, in a loop of their own."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import threading
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import uvicorn
from starlette.requests import ClientDisconnect
from starlette.requests import Request as StarletteRequest
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from orderops.local.elb.routing import HttpRequest, Listener, pick_group, redirect_to
from orderops.local.elb.targets import TargetProcess, Targets
from orderops.local.ports import HOST, listen, taken_text

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailers",
        "transfer-encoding",
        "upgrade",
    }
)
WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
WORDS = {502: "Bad Gateway", 503: "Service Temporarily Unavailable", 504: "Gateway Time-out"}
IDLE = 2.0
log = logging.getLogger(__name__)


class Balancers:
    """Every listener of the account, each on its port."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets
        self._ports: dict[int, _Port] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="balancers", daemon=True)
        self._thread.start()

    def follow(self, listeners: list[Listener]) -> dict[str, str]:
        """Listen where the account says, nowhere else; answer what is in the way, by balancer."""
        wanted = {listener.port: listener for listener in reversed(listeners)}
        trouble = {
            other.balancer: f"port {other.port} belongs to the balancer {wanted[other.port].balancer}"
            for other in listeners
            if wanted[other.port].balancer != other.balancer
        }
        for port in [port for port in self._ports if port not in wanted]:
            self._ports.pop(port).close()
        for port, listener in wanted.items():
            if port in self._ports:
                self._ports[port].listener = listener
            elif why := self._open(listener):
                trouble[listener.balancer] = why
        return trouble

    def listens_on(self, port: int) -> bool:
        return port in self._ports

    def close(self) -> None:
        for port in self._ports.values():
            port.close()
        self._ports.clear()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _open(self, listener: Listener) -> str:
        try:
            sockets = [listen(listener.port)]
        except PermissionError:
            return f"port {listener.port} needs root: choose one above 1023"
        except OSError:
            return taken_text(listener.port)
        with suppress(OSError):  # `localhost` may be ::1 first; without IPv6 it is not.
            sockets.append(listen(listener.port, "::1"))
        self._ports[listener.port] = _Port(listener, sockets, self._targets, self._loop)
        return ""


class _Port:
    """One listening port; its listener is exchanged whole when the rules change."""

    def __init__(
        self, listener: Listener, sockets: list[socket.socket], targets: Targets, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.listener = listener
        self._targets = targets
        self._turn = 0
        config = uvicorn.Config(
            self._answer,
            interface="asgi3",
            lifespan="off",
            ws="none",
            proxy_headers=False,
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
        )
        config.timeout_graceful_shutdown = 3
        self._server = uvicorn.Server(config)
        self._sockets = sockets
        self._client: httpx.AsyncClient | None = None
        self._serving = asyncio.run_coroutine_threadsafe(self._serve(), loop)

    def close(self) -> None:
        self._server.should_exit = True
        with suppress(Exception):
            self._serving.result(timeout=5)
        for listening in self._sockets:
            listening.close()

    async def _serve(self) -> None:
        # Shorter than any service keeps an idle connection: one that it closes just now would be a 502.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=IDLE)
        async with httpx.AsyncClient(limits=limits, timeout=None, trust_env=False) as self._client:
            self._client.headers.clear()  # What the client did not say, the service must not hear.
            await self._server.serve(self._sockets)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        asked = StarletteRequest(scope, receive)
        with suppress(ClientDisconnect):
            response = await self._decide(asked)
            await response(scope, receive, send)

    async def _decide(self, asked: StarletteRequest) -> Response:
        request = HttpRequest(
            asked.method, asked.headers.get("host", ""), asked.url.path, asked.url.query, asked.headers
        )
        action = self.listener.action(request)
        match action["Type"]:
            case "forward":
                return await self._forward(asked, pick_group(action))
            case "fixed-response":
                config = action["FixedResponseConfig"]
                kind = config.get("ContentType") or "text/plain"
                return Response(config.get("MessageBody", ""), int(config["StatusCode"]), media_type=kind)
            case "redirect":
                status, address = redirect_to(action, request, self.listener.port)
                return Response(status_code=status, headers={"location": address})
            case _:
                return _failure(503)

    async def _forward(self, asked: StarletteRequest, group: str) -> Response:
        healthy = self._targets.healthy(group)
        if not healthy:
            return _failure(503)
        self._turn += 1
        target = healthy[self._turn % len(healthy)]
        target.in_flight += 1
        try:
            answer = await self._send(asked, target)
        except httpx.TimeoutException:
            target.in_flight -= 1
            return _failure(504)
        except httpx.HTTPError as error:
            target.in_flight -= 1
            log.info("target %d: %s", target.port, error)
            return _failure(502)
        except BaseException:
            target.in_flight -= 1
            raise
        passed = StreamingResponse(_body(answer, target), answer.status_code)
        passed.raw_headers = [(k, v) for k, v in answer.headers.raw if k.decode().lower() not in HOP_BY_HOP]
        return passed

    async def _send(self, asked: StarletteRequest, target: TargetProcess) -> httpx.Response:
        assert self._client is not None
        url = httpx.URL(scheme="http", host=HOST, port=target.port, raw_path=_raw_path(asked))
        bodiless = asked.method in WITHOUT_BODY and "content-length" not in asked.headers
        bodiless = bodiless and "transfer-encoding" not in asked.headers
        request = self._client.build_request(
            asked.method,
            url,
            headers=self._headers(asked),
            content=None if bodiless else asked.stream(),
            timeout=httpx.Timeout(self.listener.idle_timeout, connect=10),
        )
        return await self._client.send(request, stream=True)

    def _headers(self, asked: StarletteRequest) -> list[tuple[bytes, bytes]]:
        came = asked.client.host if asked.client else HOST
        before = asked.headers.get("x-forwarded-for")
        trace = asked.headers.get("x-amzn-trace-id") or f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}"
        ours = {
            "x-forwarded-for": f"{before}, {came}" if before else came,
            "x-forwarded-proto": "http",
            "x-forwarded-port": str(self.listener.port),
            "x-amzn-trace-id": trace,
        }
        passed = [(k, v) for k, v in asked.headers.raw if k.decode() not in HOP_BY_HOP and k.decode() not in ours]
        return [*passed, *((name.encode(), value.encode()) for name, value in ours.items())]


async def _body(answer: httpx.Response, target: TargetProcess) -> AsyncIterator[bytes]:
    try:
        async for part in answer.aiter_raw():
            yield part
    finally:
        target.in_flight -= 1
        await answer.aclose()


def _raw_path(asked: StarletteRequest) -> bytes:
    query = asked.scope["query_string"]
    path: bytes = asked.scope["raw_path"]
    return path + b"?" + query if query else path


def _failure(status: int) -> Response:
    return PlainTextResponse(f"{status} {WORDS[status]}\n", status)
