"""APIs on ports of this machine: they find the route, check the caller, and forward to a load balancer."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import unquote

import httpx
import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from orderops.local.apigateway.account import ServedApi
from orderops.local.apigateway.bodies import is_valid
from orderops.local.apigateway.keys import KeyUse
from orderops.local.apigateway.log_lines import line_of
from orderops.local.apigateway.matching import GatewayRoute, route_for
from orderops.local.apigateway.throttle import Throttle
from orderops.local.apigateway.tokens import JwtCheck, MissingScope, WrongToken
from orderops.local.apigateway.web_requests import lets_in
from orderops.local.apigateway.wording import BY_NAME, forbidden, path_in, wording_of
from orderops.local.elb.balancer import HOP_BY_HOP
from orderops.local.elb.firewall import Firewall
from orderops.local.ports import HOST, listen, taken_text

LARGEST = 10 * 1024 * 1024
"""Bytes of a body, as on AWS."""
SET_HERE = frozenset({"forwarded", "host", "content-length"})
NAMES = ("localhost", "127.0.0.1", "[::1]")
log = logging.getLogger(__name__)
FindPort = Callable[[str], int | None]
"""Finds the port of this machine on which a listener answers, by its ARN."""
MayInvoke = Callable[[Request, bytes, ServedApi], bool]
"""Tells whether a request with this body has a signature of an identity that may call the API so."""


@dataclass
class Exchange:
    """What the access log tells of a request."""

    api: ServedApi
    request: Request
    route: GatewayRoute | None = None
    began: float = field(default_factory=time.monotonic)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    problem: str = ""
    integration_status: int | None = None


class Gateways:
    """All APIs of the account, each served by a thread."""

    def __init__(self, find_port: FindPort, may_invoke: MayInvoke, firewall: Firewall) -> None:
        self._find_port, self._may_invoke, self._firewall = find_port, may_invoke, firewall
        self._servers: dict[str, _ApiServer] = {}
        self._lines: list[tuple[str, str, int, str]] = []

    def update(self, apis: list[ServedApi]) -> None:
        """Serve exactly these APIs."""
        wanted = {api.id: api for api in apis}
        for gone in [id for id in self._servers if id not in wanted]:
            self._servers.pop(gone).close()
        for id, api in wanted.items():
            if id in self._servers:
                self._servers[id].api = api
            else:
                self._open(api)

    def app_of(self, api: str) -> ASGIApp | None:
        """Return what answers requests to an API; None if there is no such API, or none with a stage."""
        server = self._servers.get(api)
        return server.handle if server else None

    def take_lines(self) -> list[tuple[str, str, int, str]]:
        """Return region, log group, time in milliseconds and text of the new lines of access logs."""
        lines, self._lines = self._lines, []
        return lines

    def close(self) -> None:
        for server in self._servers.values():
            server.close()
        self._servers.clear()

    def _open(self, api: ServedApi) -> None:
        try:
            self._servers[api.id] = _ApiServer(api, self._find_port, self._may_invoke, self._firewall, self._logged)
        except OSError:
            log.error("API %s: %s", api.id, taken_text(api.port))

    def _logged(self, exchange: Exchange, status: int, length: int) -> None:
        api = exchange.api
        if api.log_group:
            text = line_of(api.log_format, _context(exchange, status, length))
            self._lines.append((api.region, api.log_group, int(time.time() * 1000), text))


class _ApiServer:
    def __init__(
        self,
        api: ServedApi,
        find_port: FindPort,
        may_invoke: MayInvoke,
        firewall: Firewall,
        logged: Callable[[Exchange, int, int], None],
    ) -> None:
        self.api = api
        self._find_port, self._may_invoke, self._firewall, self._logged = find_port, may_invoke, firewall, logged
        self._tokens, self._throttle, self._keys = JwtCheck(), Throttle(), KeyUse()
        listening = listen(api.port)
        config = uvicorn.Config(self.handle, interface="asgi3", lifespan="off", ws="none", log_config=None)
        config.access_log = config.server_header = config.date_header = config.proxy_headers = False
        config.timeout_graceful_shutdown = 3
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listening]}, name=f"API {api.id}", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=5)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        exchange = Exchange(self.api, Request(scope, receive))
        with suppress(ClientDisconnect):
            response = await self._answer(exchange)
            self._logged(exchange, response.status_code, len(response.body))
            await response(scope, receive, send)

    async def _answer(self, exchange: Exchange) -> Response:
        request = exchange.request
        name = request.headers.get("host", "").rpartition(":")[0].lower()
        if name not in ((request.scope[BY_NAME],) if BY_NAME in request.scope else NAMES):
            # On AWS the host is the API's own. Here, a name that resolves to this machine may be that of a web page.
            return forbidden()
        if not await lets_in(self._firewall, self.api, request):
            exchange.problem = "Forbidden"
            return forbidden()
        words = wording_of(self.api)
        path = path_in(self.api, request.scope, request.scope["raw_path"].decode("latin-1"))
        route = exchange.route = None if path is None else route_for(self.api.routes, request.method, unquote(path))
        if path is None or route is None:
            return _message(*words.no_route)
        if not self._throttle.admits(route.key, route.rate, route.burst):
            return _message(429, "Too Many Requests")
        body = await request.body()
        if len(body) > LARGEST:
            return _message(413, "Request Entity Too Large")
        return await self._refusal(exchange, route, body) or await self._forwarded(exchange, route, path, body)

    async def _refusal(self, exchange: Exchange, route: GatewayRoute, body: bytes) -> Response | None:
        request = exchange.request
        if route.authorization == "JWT":
            given = request.headers.get("authorization", "")
            token = given[7:] if given[:7].lower() == "bearer " else given
            try:
                await self._tokens.check(token.strip(), route.issuer, route.audience, route.scopes)
            except WrongToken as error:
                exchange.problem = str(error)
                return _message(401, "Unauthorized", {"www-authenticate": f'Bearer error="invalid_token" ({error})'})
            except MissingScope as error:
                exchange.problem = str(error)
                return _message(403, "Forbidden")
        signed = route.authorization == "AWS_IAM"
        if signed and not await asyncio.to_thread(self._may_invoke, request, body, self.api):
            exchange.problem = "the signature is missing or wrong, or its identity may not invoke the route"
            return _message(403, "Forbidden")
        if route.needs_key and (refused := self._keys.refusal(self.api.holders, request.headers.get("x-api-key", ""))):
            exchange.problem = f"API key: {refused[1]}"
            return _message(*refused)
        if not is_valid(route.schema, request.headers.get("content-type", ""), body):
            exchange.problem = "Invalid request body"
            return _message(400, "Invalid request body")
        return None

    async def _forwarded(self, exchange: Exchange, route: GatewayRoute, path: str, body: bytes) -> Response:
        words, port = wording_of(self.api), self._find_port(route.listener)
        if port is None or not route.reachable:
            exchange.problem = "the load balancer cannot be reached by the VPC link"
            return _message(*words.no_way)
        request = exchange.request
        query = request.scope["query_string"].decode("latin-1")
        url = f"http://{HOST}:{port}{route.target_path(path)}" + (f"?{query}" if query else "")
        try:
            async with httpx.AsyncClient(timeout=route.timeout, trust_env=False) as client:
                client.headers.clear()
                sent = client.build_request(request.method, url, headers=_headers(exchange, route), content=body)
                answer = await client.send(sent)
        except httpx.HTTPError as error:
            exchange.problem = str(error) or type(error).__name__
            return _message(*(words.late if isinstance(error, httpx.TimeoutException) else words.no_way))
        exchange.integration_status = answer.status_code
        response = Response(answer.content, answer.status_code)
        kept = [(k, v) for k, v in answer.headers.raw if k.decode().lower() not in HOP_BY_HOP | {"content-encoding"}]
        length = (b"content-length", str(len(answer.content)).encode())
        response.raw_headers = [*((k, v) for k, v in kept if k.lower() != b"content-length"), length]
        return response


def _headers(exchange: Exchange, route: GatewayRoute) -> list[tuple[str, str]]:
    request = exchange.request
    values = {"$context.identity.sourceIp": _client(request), "$context.requestId": exchange.id}
    overwritten = {name: values.get(text, text) for name, text in route.headers.items()}
    dropped = HOP_BY_HOP | SET_HERE | {name.lower() for name in overwritten}
    kept = [(name, value) for name, value in request.headers.items() if name not in dropped]
    host = request.headers["host"]
    forwarded = f"by={HOST};for={_client(request)};host={host};proto={request.url.scheme}"
    return [*kept, *overwritten.items(), ("Host", host), ("Forwarded", forwarded)]


def _client(request: Request) -> str:
    return request.client.host if request.client else HOST


def _message(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"message": text}, status, headers)


def _context(exchange: Exchange, status: int, length: int) -> dict[str, str]:
    took = str(round((time.monotonic() - exchange.began) * 1000))
    refused, key = status in (401, 403), exchange.route.key if exchange.route else ""
    return {
        "requestId": exchange.id,
        "ip": _client(exchange.request),
        "requestTime": datetime.now(UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "routeKey": key or "-",
        "httpMethod": exchange.request.method,
        "resourcePath": key.partition(" ")[2] or "-",
        "error.message": exchange.problem or "-",
        "status": str(status),
        "responseLength": str(length),
        "responseLatency": took,
        "integrationStatus": str(exchange.integration_status or "-"),
        "integrationLatency": took if exchange.integration_status else "-",
        "integrationErrorMessage": "-" if refused else exchange.problem or "-",
        "authorizer.error": exchange.problem if refused and exchange.problem else "-",
    }
