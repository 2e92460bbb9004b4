"""The laptop's API gateway: which callers it admits, what the service gets, and what is logged."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from orderops.local.apigateway.account import ServedApi
from orderops.local.apigateway.gateway import Gateways
from orderops.local.apigateway.keys import KeyHolder, PlanLimits
from orderops.local.apigateway.matching import GatewayRoute
from orderops.local.elb.firewall import Firewall
from orderops.local.ports import free_port
from support.gateway_routes import route
from support.laptop import until
from support.token_issuer import TokenIssuer, token_issuer

OPEN = route("GET /version", headers={"X-Client-Ip": "$context.identity.sourceIp"})
FORMAT = '{"route":"$context.routeKey","status":"$context.status","why":"$context.authorizer.error"}'


@dataclass
class Service:
    """A service behind the API: it answers with what it got."""

    port: int
    seen: list[tuple[str, str, Mapping[str, str], bytes]]


@pytest.fixture(scope="module")
def issuer() -> Iterator[TokenIssuer]:
    with token_issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    seen: list[tuple[str, str, Mapping[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            seen.append((self.command, self.path, headers, body))
            self.send_response(201)
            self.send_header("X-Own", "kept")
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b'"ok"')

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield Service(server.server_port, seen)
    server.shutdown()
    server.server_close()


Serve = Callable[..., str]


@pytest.fixture
def gateways(service: Service) -> Iterator[Gateways]:
    gateways = Gateways({"listener": service.port}.get, lambda request, *_: "X-Signed" in request.headers, Firewall())
    yield gateways
    gateways.close()


@pytest.fixture
def serve(gateways: Gateways) -> Serve:
    def start(*routes: GatewayRoute) -> str:
        port = free_port()
        gateways.update([ServedApi("api1", "ap-southeast-2", port, routes, "/group", FORMAT)])
        return f"http://127.0.0.1:{port}"

    return start


def ask(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, named, method=method), timeout=5) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_a_request_reaches_the_service_as_it_was_sent(serve: Serve, service: Service) -> None:
    url = serve(replace(OPEN, key="POST /orders/{id}"))

    assert ask(f"{url}/orders/a%20b?x=1&y=2", "POST", b"content", X_Mine="m") == (201, "ok")

    method, path, headers, body = service.seen[-1]
    assert (method, path, body, headers["x-mine"]) == ("POST", "/orders/a%20b?x=1&y=2", b"content", "m")


def test_the_callers_address_is_the_gateways_and_never_the_clients_own(serve: Serve, service: Service) -> None:
    url = serve(OPEN)

    ask(f"{url}/version", X_Client_Ip="6.6.6.6", Forwarded="for=6.6.6.6")

    headers = service.seen[-1][2]
    assert headers["x-client-ip"] == "127.0.0.1"
    assert "6.6.6.6" not in headers["forwarded"]
    assert "for=127.0.0.1" in headers["forwarded"]


def test_an_unknown_path_or_method_is_not_found(serve: Serve) -> None:
    url = serve(OPEN)

    assert ask(f"{url}/other") == (404, {"message": "Not Found"})
    assert ask(f"{url}/version", "DELETE") == (404, {"message": "Not Found"})


def test_a_page_under_another_name_is_refused(serve: Serve) -> None:
    assert ask(f"{serve(OPEN)}/version", Host="evil.example.com:80")[0] == 403


def test_a_signature_is_asked_for_where_the_route_says_so(serve: Serve) -> None:
    url = serve(replace(OPEN, authorization="AWS_IAM"))

    assert ask(f"{url}/version") == (403, {"message": "Forbidden"})
    assert ask(f"{url}/version", X_Signed="yes")[0] == 201


def test_requests_above_the_burst_are_answered_with_429(serve: Serve) -> None:
    url = serve(replace(OPEN, rate=0.001, burst=2), replace(OPEN, key="GET /free"))

    assert [ask(f"{url}/version")[0] for _ in range(3)] == [201, 201, 429]
    assert ask(f"{url}/free")[0] == 201


def test_a_load_balancer_out_of_reach_is_a_503(serve: Serve) -> None:
    url = serve(replace(OPEN, reachable=False), replace(OPEN, key="GET /gone", listener="gone"))

    assert ask(f"{url}/version") == (503, {"message": "Service Unavailable"})
    assert ask(f"{url}/gone") == (503, {"message": "Service Unavailable"})


def test_a_changed_route_counts_at_once_and_a_deleted_api_stops_to_answer(gateways: Gateways, serve: Serve) -> None:
    url = serve(OPEN)
    port = int(url.rpartition(":")[2])
    gateways.update([ServedApi("api1", "ap-southeast-2", port, (replace(OPEN, authorization="AWS_IAM"),), "", "")])
    assert ask(f"{url}/version")[0] == 403

    gateways.update([])

    with pytest.raises(urllib.error.URLError):
        ask(f"{url}/version")


def right(issuer: TokenIssuer) -> GatewayRoute:
    return replace(
        OPEN,
        authorization="JWT",
        issuer=issuer.url,
        audience=frozenset({"orders"}),
        scopes=frozenset({"orders/read", "orders/all"}),
    )


ACCEPTED: dict[str, dict[str, Any]] = {
    "a scope of the route": {"scope": "openid orders/read"},
    "a list of scopes": {"scope": None, "scp": ["orders/all"]},
    "one of several audiences": {"aud": ["other", "orders"], "scope": "orders/all"},
    "a client in place of an audience": {"aud": None, "client_id": "orders", "scope": "orders/all"},
}


@pytest.mark.parametrize("claims", ACCEPTED.values(), ids=ACCEPTED)
def test_a_right_token_is_accepted(serve: Serve, issuer: TokenIssuer, claims: Mapping[str, Any]) -> None:
    token = issuer.token(**claims)

    assert ask(f"{serve(right(issuer))}/version", Authorization=f"Bearer {token}")[0] == 201


REFUSED: dict[str, tuple[dict[str, Any], int]] = {
    "expired": ({"exp": 1}, 401),
    "without an end": ({"exp": None}, 401),
    "not valid yet": ({"nbf": 9e9}, 401),
    "issued later": ({"iat": 9e9}, 401),
    "another audience": ({"aud": "reports"}, 401),
    "another issuer": ({"iss": "https://example.com"}, 401),
    "another key": ({"key": generate_private_key(65537, 2048)}, 401),
    "an unknown key": ({"header": {"kid": "two"}}, 401),
    "another algorithm": ({"header": {"alg": "HS256"}}, 401),
    "another scope": ({"scope": "orders/write"}, 403),
    "no scope": ({"scope": None}, 403),
}


@pytest.mark.parametrize(("claims", "status"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_token_is_refused(serve: Serve, issuer: TokenIssuer, claims: Mapping[str, Any], status: int) -> None:
    token = issuer.token(**{"scope": "orders/read", **claims})

    assert ask(f"{serve(right(issuer))}/version", Authorization=f"Bearer {token}")[0] == status


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer a.b.c", "Bearer e30.e30"])
def test_what_is_no_token_is_refused(serve: Serve, issuer: TokenIssuer, given: str) -> None:
    assert ask(f"{serve(right(issuer))}/version", Authorization=given) == (401, {"message": "Unauthorized"})


def test_an_issuer_that_does_not_answer_lets_nobody_in(serve: Serve, issuer: TokenIssuer) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    url = serve(replace(right(issuer), issuer=away))

    assert ask(f"{url}/version", Authorization=f"Bearer {issuer.token(iss=away)}")[0] == 401


def test_each_request_is_a_line_of_the_access_log(gateways: Gateways, serve: Serve, issuer: TokenIssuer) -> None:
    url = serve(right(issuer))
    ask(f"{url}/version")
    ask(f"{url}/other")

    lines = until(lambda: gateways.take_lines(), what="the lines")

    assert [(region, group) for region, group, _, _ in lines] == [("ap-southeast-2", "/group")] * 2
    assert [json.loads(text) for _, _, _, text in lines] == [
        {"route": "GET /version", "status": "401", "why": "this is no token"},
        {"route": "-", "status": "404", "why": "-"},
    ]


SCHEMA = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}
UNLIMITED = PlanLimits(None, None, None, "MONTH")


@pytest.fixture
def serve_rest(gateways: Gateways) -> Callable[..., str]:
    def start(*routes: GatewayRoute, limits: PlanLimits = UNLIMITED) -> str:
        port, holders = free_port(), {"right": KeyHolder("k", "p", limits)}
        gateways.update([ServedApi("rest1", "ap-southeast-2", port, routes, "/group", FORMAT, "live", holders)])
        return f"http://127.0.0.1:{port}"

    return start


def test_a_rest_api_answers_under_its_stage_alone(serve_rest: Callable[..., str], service: Service) -> None:
    url = serve_rest(replace(OPEN, target="/version"))

    assert ask(f"{url}/live/version?x=1") == (201, "ok")
    assert service.seen[-1][1] == "/version?x=1"
    for path in ("/version", "/lively/version", "/other/version", "/live/nothing"):
        assert ask(f"{url}{path}") == (403, {"message": "Missing Authentication Token"})


def test_the_load_balancer_gets_the_path_of_the_integration(serve_rest: Callable[..., str], service: Service) -> None:
    variables = {"id": "name", "rest": "more"}
    url = serve_rest(replace(OPEN, key="GET /a/{name}/{more+}", target="/inner/{id}/{rest}", variables=variables))

    ask(f"{url}/live/a/x%20y/b/c")

    assert service.seen[-1][1] == "/inner/x%20y/b/c"


def test_a_request_without_a_key_of_the_plan_never_reaches_the_service(
    serve_rest: Callable[..., str], service: Service
) -> None:
    url = serve_rest(replace(OPEN, needs_key=True))
    before = len(service.seen)

    assert ask(f"{url}/live/version") == (403, {"message": "Forbidden"})
    assert ask(f"{url}/live/version", X_Api_Key="wrong") == (403, {"message": "Forbidden"})
    assert len(service.seen) == before
    assert ask(f"{url}/live/version", X_Api_Key="right") == (201, "ok")


def test_a_key_is_refused_above_the_limit_and_above_the_quota_of_its_plan(serve_rest: Callable[..., str]) -> None:
    route = replace(OPEN, needs_key=True)

    fast = serve_rest(route, limits=PlanLimits(0.001, 1, None, "DAY"))
    assert [ask(f"{fast}/live/version", X_Api_Key="right")[0] for _ in range(2)] == [201, 429]


def test_a_quota_that_is_used_up_is_said(serve_rest: Callable[..., str]) -> None:
    url = serve_rest(replace(OPEN, needs_key=True), limits=PlanLimits(None, None, 1, "DAY"))

    assert ask(f"{url}/live/version", X_Api_Key="right") == (201, "ok")
    assert ask(f"{url}/live/version", X_Api_Key="right") == (429, {"message": "Limit Exceeded"})


BODIES: dict[str, tuple[bytes, str, int]] = {
    "right": (b'{"a": 1}', "application/json", 201),
    "with a character set": (b'{"a": 1}', "application/json; charset=utf-8", 201),
    "wrong": (b'{"a": "1"}', "application/json", 400),
    "no JSON": (b"{", "application/json", 400),
    "empty": (b"", "application/json", 400),
    "of a type without a model": (b"a=1", "text/plain", 201),
}


@pytest.mark.parametrize(("body", "content_type", "status"), BODIES.values(), ids=BODIES)
def test_a_body_is_judged_by_the_schema_before_the_service_gets_it(
    serve_rest: Callable[..., str], service: Service, body: bytes, content_type: str, status: int
) -> None:
    url = serve_rest(replace(OPEN, key="POST /orders", schema=SCHEMA))
    before = len(service.seen)

    answered = ask(f"{url}/live/orders", "POST", body, Content_Type=content_type)

    assert answered[0] == status
    assert len(service.seen) - before == (status == 201)
    if status == 400:
        assert answered[1] == {"message": "Invalid request body"}


def test_a_rest_api_says_in_its_own_words_that_nobody_answers(serve_rest: Callable[..., str]) -> None:
    url = serve_rest(replace(OPEN, reachable=False))

    assert ask(f"{url}/live/version") == (500, {"message": "Internal server error"})
