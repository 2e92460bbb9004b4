"""The table [api]: what an HTTP API takes, and what is refused with the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from orderops.config.environment import Environment, load_environment
from orderops.errors import UsageError
from orderops.service.openapi import description
from orderops.service.settings import read_settings
from support.repository import ENVIRONMENTS

JWT = '[api.jwt]\nissuer = "https://login.example.com/"\naudience = ["orders"]\n'
HTTP = '[api]\ntype = "http"\n'
KEYS = "[api]\napi_keys = true\n"


def loaded(folder: Path, api: str, more: str = "", env: str = "dev") -> Environment:
    text = (ENVIRONMENTS / f"{env}.toml").read_text()
    if more:
        table = more.partition("\n")[0]
        text = text.replace(table, more, 1) if table in text else f"{text}\n{more}\n"
    (folder / f"{env}.toml").write_text(f"{text}\n{api}\n")
    return load_environment(env, folder)


def test_without_a_type_there_is_no_api(tmp_path: Path) -> None:
    assert not loaded(tmp_path, "").api.declared


@pytest.mark.parametrize(
    ("api", "kind", "why"),
    [
        ("", "none", ""),
        ("[api]\n", "none", ""),
        (HTTP, "http", ""),
        ('[api]\ntype = "rest"\n', "rest", ""),
        ("[api]\nburst = 5\n", "http", "an HTTP API: nothing in [api] needs a REST API"),
        (KEYS, "rest", "a REST API, for keys of clients, which no HTTP API has; its requests cost almost three"),
        (f"{KEYS}validate_requests = true\n", "rest", "for keys of clients, the validation of requests, which"),
    ],
)
def test_the_kind_of_the_api_follows_from_what_is_declared_and_is_explained(
    tmp_path: Path, api: str, kind: str, why: str
) -> None:
    declared = loaded(tmp_path, api).api

    assert (declared.kind, declared.declared) == (kind, kind != "none")
    assert why in declared.choice
    assert bool(why) == bool(declared.choice)


def test_a_rest_api_ends_requests_after_29_seconds_and_an_http_api_after_30(tmp_path: Path) -> None:
    assert loaded(tmp_path, KEYS).api.timeout_millis == 29_000
    assert loaded(tmp_path, HTTP).api.timeout_millis == 30_000
    assert loaded(tmp_path, f"{KEYS}timeout_seconds = 10\n").api.timeout_millis == 10_000


def test_every_route_needs_a_key_but_those_that_stay_open_and_those_that_say_so(tmp_path: Path) -> None:
    environment = loaded(tmp_path, f'{KEYS}[api.routes."GET /users"]\napi_key = false\n')

    keyed = {route.key for route in environment.api.routes_of(environment.services) if route.needs_key}

    assert keyed == {"GET /", "GET /orders", "GET /orders/{id}", "POST /orders"}


def test_the_routes_are_those_of_the_services_openapi_document(tmp_path: Path) -> None:
    environment = loaded(tmp_path, HTTP)
    variables = {
        "DEMONSTRATION": "true",
        "QUEUE_URL": "https://sqs.ap-southeast-2.amazonaws.com/123456789012/orders",
        "DATABASE_SECRET": "secret",
        "AWS_REGION": "ap-southeast-2",
        "ORDEROPS_ENVIRONMENT": "dev",
    }
    paths = description(read_settings(variables))["paths"]

    keys = [route.key for route in environment.api.routes_of(environment.services)]

    assert keys == sorted(f"{method.upper()} {path}" for path, methods in paths.items() for method in methods)


def test_what_orderops_asks_itself_stays_open(tmp_path: Path) -> None:
    environment = loaded(tmp_path, f'{HTTP}authorization = "jwt"\n{JWT}')

    routes = {route.key: route.authorization for route in environment.api.routes_of(environment.services)}

    assert {key for key, authorization in routes.items() if authorization == "none"} == {
        "GET /health",
        "GET /openapi.json",
        "GET /ready",
        "GET /version",
    }
    assert set(routes.values()) == {"none", "jwt"}


def test_a_route_has_its_own_authorization_scopes_and_limits(tmp_path: Path) -> None:
    table = '[api.routes."GET /orders"]\nauthorization = "jwt"\nscopes = ["read"]\nrequests_per_second = 5\nburst = 7\n'
    environment = loaded(tmp_path, f"{HTTP}{JWT}{table}")

    [route] = [route for route in environment.api.routes_of(environment.services) if route.key == "GET /orders"]

    assert (route.authorization, route.scopes, route.limit) == ("jwt", ("read",), (5, 7))


def test_a_service_of_another_image_has_the_routes_of_the_file(tmp_path: Path) -> None:
    service = '[services.order-processor]\nimage = "registry.example.com/shop:1"'
    environment = loaded(tmp_path, f'{HTTP}[api.routes."ANY /shop/{{proxy+}}"]\n', service)

    assert [route.key for route in environment.api.routes_of(environment.services)] == ["ANY /shop/{proxy+}"]


MISTAKES: dict[str, tuple[str, str, str]] = {
    "keys": (f"{HTTP}api_keys = true\n", "api.api_keys", "is of REST APIs (keys of clients): leave type out"),
    "validation": (f"{HTTP}validate_requests = true\n", "api.validate_requests", "cost almost three times as much"),
    "a plan": (f"{HTTP}[api.plan]\nquota = 5\n", "api.plan", "is of REST APIs (limits for each key)"),
    "no api": ('[api]\ntype = "none"\nburst = 5\n', "api.type", 'must be "http" or "rest", or left out, with burst'),
    "a plan without keys": ("[api.plan]\nquota = 5\n", "api.plan", "set api_keys = true"),
    "half a plan": (f"{KEYS}[api.plan]\nburst = 5\n", "api.plan.requests_per_second", "takes the two limits together"),
    "no quota": (f"{KEYS}[api.plan]\nquota = 0\n", "api.plan.quota", "must be 1 to"),
    "tokens and keys": (
        f'{KEYS}authorization = "jwt"\n{JWT}',
        "api.authorization",
        "a REST API checks tokens only by a",
    ),
    "tokens of a route": (
        f'{KEYS}[api.routes."GET /orders"]\nauthorization = "jwt"\n{JWT}',
        "api.routes.GET /orders.authorization",
        "take api_keys out",
    ),
    "a keyed probe": (
        f'{KEYS}[api.routes."GET /ready"]\napi_key = true\n',
        "api.routes.GET /ready.api_key",
        "ask it as a client without a key",
    ),
    "a keyed route alone": (
        f'{HTTP}[api.routes."GET /orders"]\napi_key = true\n',
        "api.routes.GET /orders.api_key",
        "needs api_keys = true",
    ),
    "two variables": (
        f'{KEYS}[api.routes."GET /a/{{b}}"]\n[api.routes."GET /a/{{c}}/d"]\n',
        "api.routes.GET /a/{c}/d",
        "has {c} where another route has {b}",
    ),
    "too slow for REST": (f"{KEYS}timeout_seconds = 30\n", "api.timeout_seconds", "a REST API after 29 s"),
    "no issuer": (f'{HTTP}authorization = "jwt"\n', "api.jwt.issuer", 'is missing; authorization = "jwt" needs it'),
    "no audience": (
        f'{HTTP}authorization = "jwt"\n[api.jwt]\nissuer = "https://a.example.com/"\n',
        "api.jwt.audience",
        'is missing; authorization = "jwt" needs it',
    ),
    "no token asked for": (f"{HTTP}{JWT}", "api.jwt.issuer", "is not used"),
    "an issuer without TLS": (
        f'{HTTP}authorization = "jwt"\n{JWT.replace("https", "http")}',
        "api.jwt.issuer",
        "must begin with https://",
    ),
    "an unknown route": (
        f'{HTTP}[api.routes."GET /order"]\nburst = 1\nrequests_per_second = 1\n',
        "api.routes.GET /order",
        "is no route of the order processor",
    ),
    "a wrong key": (f'{HTTP}[api.routes."get orders"]\n', "api.routes", 'a method and a path, such as "GET /orders'),
    "greedy in the middle": (f'{HTTP}[api.routes."GET /{{a+}}/b"]\n', "api.routes", "comes last"),
    "iam with scopes": (
        f'{HTTP}[api.routes."GET /orders"]\nauthorization = "iam"\nscopes = ["read"]\n',
        "api.routes.GET /orders.scopes",
        'this route has "iam", and a route has one of them',
    ),
    "two at once": (f'{HTTP}authorization = "jwt,iam"\n', "api.authorization", "jwt"),
    "a rate alone": (
        f'{HTTP}[api.routes."GET /orders"]\nrequests_per_second = 5\n',
        "api.routes.GET /orders.burst",
        "API Gateway takes the two limits together",
    ),
    "a burst alone": (
        f'{HTTP}[api.routes."GET /orders"]\nburst = 5\n',
        "api.routes.GET /orders.requests_per_second",
        "API Gateway takes the two limits together",
    ),
    "no burst": (f"{HTTP}burst = 0\n", "api.burst", "with 0, every call is answered with 429"),
    "too many": (f"{HTTP}requests_per_second = 10001\n", "api.requests_per_second", "must be 1 to 10000"),
    "too slow": (f"{HTTP}timeout_seconds = 31\n", "api.timeout_seconds", "API Gateway ends a request after 30 s"),
    "a closed probe": (
        f'{HTTP}{JWT}[api.routes."GET /ready"]\nauthorization = "jwt"\n',
        "api.routes.GET /ready.authorization",
        "orderops status and releases ask it",
    ),
}


@pytest.mark.parametrize(("api", "key", "why"), MISTAKES.values(), ids=MISTAKES)
def test_what_an_http_api_does_not_take_is_a_mistake_in_the_file(tmp_path: Path, api: str, key: str, why: str) -> None:
    with pytest.raises(UsageError) as refused:
        loaded(tmp_path, api)

    assert key in refused.value.message
    assert why in refused.value.message


AMONG: dict[str, tuple[str, str, str]] = {
    "ranges": (HTTP, '[balancer]\nallowed_cidrs = ["10.0.0.0/8"]', "has no effect behind the API"),
    "two balancers": (
        f'{HTTP}balancer = "both"\n',
        '[services.order-processor]\nstrategy = "blue-green"',
        'must be "rolling" while [api] balancer = "both"',
    ),
    "two tokens": (
        f'{HTTP}authorization = "jwt"\n{JWT}',
        '[services.order-processor]\ntoken_secret = "ORDERS_TOKEN"',
        "reads the header Authorization, which the API's jwt or iam uses",
    ),
    "requests of another image": (
        '[api]\nvalidate_requests = true\n[api.routes."GET /a"]\n',
        '[services.order-processor]\nimage = "registry.example.com/shop:1"',
        "knows the requests of the order processor only",
    ),
    "no routes": (
        HTTP,
        '[services.order-processor]\nimage = "registry.example.com/shop:1"',
        "needs the routes of your service",
    ),
}


@pytest.mark.parametrize(("api", "more", "why"), AMONG.values(), ids=AMONG)
def test_what_the_rest_of_the_file_rules_out_is_a_mistake(tmp_path: Path, api: str, more: str, why: str) -> None:
    with pytest.raises(UsageError) as refused:
        loaded(tmp_path, api, more)

    assert why in refused.value.message


def test_an_issuer_on_this_machine_is_for_the_laptop(tmp_path: Path) -> None:
    jwt = JWT.replace("https://login.example.com/", "http://127.0.0.1:9000")

    assert loaded(tmp_path, f'{HTTP}authorization = "jwt"\n{jwt}', env="local").api.declared


def test_a_protected_environment_needs_no_token_of_the_service_behind_an_api_with_tokens(tmp_path: Path) -> None:
    api = f'{HTTP}authorization = "jwt"\n{JWT}'
    text = (ENVIRONMENTS / "prod.toml").read_text()
    assert 'token_secret = "ORDERS_TOKEN"' in text
    open_text = text.replace('token_secret = "ORDERS_TOKEN"', "")
    (tmp_path / "prod.toml").write_text(f"{open_text}\n{api}")
    assert load_environment("prod", tmp_path).api.alone

    for reachable in (f"{HTTP}", f'{HTTP}balancer = "both"\nauthorization = "jwt"\n{JWT}'):
        (tmp_path / "prod.toml").write_text(f"{open_text}\n{reachable}")
        with pytest.raises(UsageError, match="needs a token_secret"):
            load_environment("prod", tmp_path)
