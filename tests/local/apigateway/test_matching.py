"""Which route of an HTTP API a request takes."""

from __future__ import annotations

import pytest

from orderops.local.apigateway.matching import route_for
from support.gateway_routes import route

KEYS = (
    "GET /orders",
    "GET /orders/{id}",
    "GET /orders/last",
    "ANY /orders/{id}",
    "GET /files/{path+}",
    "ANY /{proxy+}",
)


@pytest.mark.parametrize(
    ("method", "path", "key"),
    [
        ("GET", "/orders", "GET /orders"),
        ("GET", "/orders/7", "GET /orders/{id}"),
        ("GET", "/orders/last", "GET /orders/last"),
        ("DELETE", "/orders/7", "ANY /orders/{id}"),
        ("GET", "/files/a/b.txt", "GET /files/{path+}"),
        ("POST", "/files/a/b.txt", "ANY /{proxy+}"),
        ("GET", "/orders/7/items", "ANY /{proxy+}"),
    ],
)
def test_the_most_exact_route_is_taken(method: str, path: str, key: str) -> None:
    for keys in (KEYS, KEYS[::-1]):
        found = route_for([route(one) for one in keys], method, path)

        assert found is not None
        assert found.key == key


def test_a_path_is_matched_as_a_whole_and_its_letters_are_no_pattern() -> None:
    routes = [route("GET /a.b"), route("GET /{id}/end")]

    assert route_for(routes, "GET", "/aXb") is None
    assert route_for(routes, "GET", "/a.b/") is None
    assert route_for(routes, "GET", "//end") is None


def test_the_default_takes_what_no_other_route_takes() -> None:
    routes = [route("$default"), route("ANY /{proxy+}"), route("GET /orders")]

    keys = [getattr(route_for(routes, "GET", path), "key", None) for path in ("/orders", "/other", "/")]

    assert keys == ["GET /orders", "ANY /{proxy+}", "$default"]
