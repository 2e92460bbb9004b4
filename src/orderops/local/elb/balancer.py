"""Load balancers: ports that forward requests to healthy targets by the listener's rules."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import threading
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import unquote

import httpx
import uvicorn
from starlette.requests import ClientDisconnect
from starlette.requests import Request as StarletteRequest
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from orderops.local.elb.authority import Authority
from orderops.local.elb.firewall import Firewall, WebAcl, WebRequest
from orderops.local.elb.malformed import origin_form, refusal
from orderops.local.elb.peeked_body import PeekedBody
from orderops.local.elb.routing import HttpRequest, Listener, pick_group, redirect_to
from orderops.local.elb.targets import TargetProcess, Targets
from orderops.local.elb.tls import ListenerTls
from orderops.local.elb.traffic import TrafficCounts
from orderops.local.ports import HOST, listen, taken_text

# RFC 9110, section 7.6.1: these headers concern one connection and are not forwarded.
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
# httpx would send `Transfer-Encoding: chunked` with an empty body, which some servers reject for GET.
WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
STATUS_TEXTS = {502: "Bad Gateway", 503: "Service Temporarily Unavailable", 504: "Gateway Time-out"}
# With HTTP 421, Misdirected Request (RFC 9110).
WRONG_HOST = "this laptop answers for localhost, and for the hosts that a listener's rule names\n"
# Seconds after which an unused connection to a target is closed.
IDLE_SECONDS = 2.0
log = logging.getLogger(__name__)


class Balancers:
    """All listeners of the account, served by one event loop in a thread."""

    def __init__(self, targets: Targets, authority: Authority) -> None:
        self.traffic = TrafficCounts()
        self.firewall = Firewall()
        self._authority = authority
        self._targets = targets
        self._ports: dict[int | str, _Port] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="balancers", daemon=True)
        self._thread.start()

    def update(self, listeners: list[Listener]) -> dict[str, str]:
        """Listen on exactly these ports; return problems by balancer name."""
        wanted = {listener.place: listener for listener in reversed(listeners)}
        problems = {
            other.balancer: f"port {other.port} belongs to the balancer {wanted[other.place].balancer}"
            for other in listeners
            if wanted[other.place].balancer != other.balancer
        }
        # Closed first: a port can move from one balancer to another in the same step.
        for place in [place for place, open_ in self._ports.items() if not open_.serves(wanted.get(place))]:
            self._ports.pop(place).close()
        for place, listener in wanted.items():
            if place in self._ports:
                self._ports[place].listener = listener
            elif problem := self._open(listener):
                problems[listener.balancer] = problem
        return problems

    def inner_port(self, listener: str) -> int | None:
        """Return the port of this machine on which an internal listener answers; None if it does not."""
        found = self._ports.get(listener)
        return found.bound_port if found else None

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
            sockets = [listen(0 if listener.internal else listener.port)]
        except PermissionError:
            return f"port {listener.port} needs root: choose one above 1023"
        except OSError:
            return taken_text(listener.port)
        with suppress(OSError):
            # `localhost` may resolve to ::1 first; a machine without IPv6 refuses to bind it.
            if not listener.internal:
                sockets.append(listen(listener.port, "::1"))
        self._ports[listener.place] = _Port(listener, sockets, self._targets, self, self._loop, self._authority)
        return ""


class _Port:
    """Listening port; its listener is replaced as a whole when the rules change."""

    def __init__(
        self,
        listener: Listener,
        sockets: list[socket.socket],
        targets: Targets,
        balancers: Balancers,
        loop: asyncio.AbstractEventLoop,
        authority: Authority,
    ) -> None:
        self.listener = listener
        self._traffic = balancers.traffic
        self._firewall = balancers.firewall
        self._targets = targets
        self._next_target = 0
        config = uvicorn.Config(
            self._handle,
            interface="asgi3",
            lifespan="off",
            ws="none",
            proxy_headers=False,
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
        )
        # Seconds. A deleted listener must free its port soon, whatever its clients do.
        config.timeout_graceful_shutdown = 3
        config.load()
        if listener.certificates:
            config.ssl = ListenerTls(authority, lambda: self.listener.certificates).context
        self._server = uvicorn.Server(config)
        self._sockets = sockets
        self.bound_port = int(sockets[0].getsockname()[1])
        self._client: httpx.AsyncClient | None = None
        self._serving = asyncio.run_coroutine_threadsafe(self._serve(), loop)

    def serves(self, wanted: Listener | None) -> bool:
        """Tell whether this port can take on a listener: one of the same protocol."""
        return wanted is not None and wanted.scheme == self.listener.scheme

    def close(self) -> None:
        self._server.should_exit = True
        with suppress(Exception):
            self._serving.result(timeout=5)
        for listening in self._sockets:
            listening.close()

    async def _serve(self) -> None:
        # Shorter than the keep-alive of any service: a connection that it is just closing would turn into a 502.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=IDLE_SECONDS)
        async with httpx.AsyncClient(limits=limits, timeout=None, trust_env=False) as self._client:
            # httpx's default headers must not reach the service.
            self._client.headers.clear()
            await self._server.serve(self._sockets)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        incoming = StarletteRequest(scope, receive)
        with suppress(ClientDisconnect):
            response = await self._route(incoming)
            for name, value in self.listener.added_headers:
                response.headers[name] = value
            await response(scope, receive, send)

    async def _route(self, incoming: StarletteRequest) -> Response:
        if malformed := refusal(incoming):
            return _error_response(malformed)
        # From the path as it was sent: incoming.url is built from the Host header, whatever that holds.
        path = unquote(origin_form(incoming.scope["raw_path"]) or b"/")
        query = incoming.scope["query_string"].decode("latin-1")
        request = HttpRequest(incoming.method, incoming.headers.get("host", ""), path, query, incoming.headers)
        if not self.listener.answers(request.host):
            return PlainTextResponse(WRONG_HOST, 421)
        body = PeekedBody(incoming)
        acl = self._firewall.acls.get(self.listener.balancer)
        if acl and not await self._let_in(acl, request, incoming, body):
            return _error_response(403)
        action = self.listener.action(request)
        match action["Type"]:
            case "forward":
                return await self._forward(incoming, pick_group(action), body)
            case "fixed-response":
                config = action["FixedResponseConfig"]
                media_type = config.get("ContentType") or "text/plain"
                return Response(config.get("MessageBody", ""), int(config["StatusCode"]), media_type=media_type)
            case "redirect":
                status, address = redirect_to(action, request, self.listener.port, self.listener.scheme)
                return Response(status_code=status, headers={"location": address})
            case _:
                return _error_response(503)

    async def _let_in(self, acl: WebAcl, request: HttpRequest, incoming: StarletteRequest, body: PeekedBody) -> bool:
        seen = WebRequest(
            address=incoming.client.host if incoming.client else HOST,
            method=request.method,
            # WAF compares the path as it was sent.
            path=(origin_form(incoming.scope["raw_path"]) or b"/").decode("latin-1"),
            query=request.query,
            version=incoming.scope["http_version"],
            headers=tuple(incoming.headers.items()),
            body_size=min(await body.size(acl.seen), acl.seen + 1) if acl.sees_bodies else 0,
        )
        return self._firewall.lets_in(acl, seen, time.time())

    async def _forward(self, incoming: StarletteRequest, group: str, body: PeekedBody) -> Response:
        response = await self._forwarded(incoming, group, body)
        self._traffic.answered(group, response.status_code, by_target=isinstance(response, StreamingResponse))
        return response

    async def _forwarded(self, incoming: StarletteRequest, group: str, body: PeekedBody) -> Response:
        healthy = self._targets.healthy(group)
        if not healthy:
            return _error_response(503)
        self._next_target += 1
        target = healthy[self._next_target % len(healthy)]
        if self._targets.blocked(target):
            # AWS answers so after ten seconds without a connection.
            return _error_response(504)
        target.in_flight += 1
        try:
            response = await self._send(incoming, target, body)
        except httpx.TimeoutException:
            target.in_flight -= 1
            return _error_response(504)
        except httpx.InvalidURL as error:
            target.in_flight -= 1
            log.info("target %d: %s", target.port, error)
            return _error_response(400)
        except httpx.HTTPError as error:
            target.in_flight -= 1
            log.info("target %d: %s", target.port, error)
            return _error_response(502)
        # Cancelled when the client disconnects: the count of open requests has to go down as well.
        except BaseException:
            target.in_flight -= 1
            raise
        outgoing = StreamingResponse(_body(response, target), response.status_code)
        outgoing.raw_headers = [(k, v) for k, v in response.headers.raw if k.decode().lower() not in HOP_BY_HOP]
        return outgoing

    async def _send(self, incoming: StarletteRequest, target: TargetProcess, body: PeekedBody) -> httpx.Response:
        assert self._client is not None
        url = httpx.URL(scheme="http", host=HOST, port=target.port, raw_path=_raw_path(incoming))
        without_body = incoming.method in WITHOUT_BODY and "content-length" not in incoming.headers
        without_body = without_body and "transfer-encoding" not in incoming.headers
        request = self._client.build_request(
            incoming.method,
            url,
            headers=self._headers(incoming),
            content=None if without_body else body.parts(),
            timeout=httpx.Timeout(self.listener.idle_timeout, connect=10),
        )
        return await self._client.send(request, stream=True)

    def _headers(self, incoming: StarletteRequest) -> list[tuple[bytes, bytes]]:
        client_address = incoming.client.host if incoming.client else HOST
        forwarded_for = incoming.headers.get("x-forwarded-for")
        trace = incoming.headers.get("x-amzn-trace-id") or f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}"
        added = {
            "x-forwarded-for": f"{forwarded_for}, {client_address}" if forwarded_for else client_address,
            "x-forwarded-proto": self.listener.scheme,
            "x-forwarded-port": str(self.listener.port),
            "x-amzn-trace-id": trace,
        }
        forwarded = [
            (k, v) for k, v in incoming.headers.raw if k.decode() not in HOP_BY_HOP and k.decode() not in added
        ]
        return [*forwarded, *((name.encode(), value.encode()) for name, value in added.items())]


async def _body(response: httpx.Response, target: TargetProcess) -> AsyncIterator[bytes]:
    try:
        async for part in response.aiter_raw():
            yield part
    finally:
        target.in_flight -= 1
        await response.aclose()


def _raw_path(incoming: StarletteRequest) -> bytes:
    query = incoming.scope["query_string"]
    path = origin_form(incoming.scope["raw_path"]) or b"/"
    return path + b"?" + query if query else path


def _error_response(status: int) -> Response:
    return PlainTextResponse(f"{int(status)} {STATUS_TEXTS.get(status) or HTTPStatus(status).phrase}\n", status)
