"""Routes of an HTTP API."""

from __future__ import annotations

from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.engine.step import Action
from orderops.frozen import replace
from orderops.resources.apigatewayv2_route import route_name
from support.contract import Up, keeps_its_promises
from support.declared_api import AUTHORIZER, ORDER

WITH_TOKEN = replace(ORDER, authorizer=AUTHORIZER, scopes=("orders/read",))
WITH_SIGNATURE = replace(ORDER, iam=True)


@pytest.fixture
def aws(strict_aws: Aws) -> Aws:
    return strict_aws


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    up(AUTHORIZER)

    keeps_its_promises(ORDER, aws, up, authorizer=AUTHORIZER, scopes=("orders/read", "orders/write"))


@pytest.mark.parametrize(
    ("before", "after"),
    [(WITH_TOKEN, ORDER), (WITH_TOKEN, WITH_SIGNATURE), (WITH_SIGNATURE, WITH_TOKEN), (WITH_SIGNATURE, ORDER)],
    ids=["token to none", "token to signature", "signature to token", "signature to none"],
)
def test_who_may_use_a_route_changes_in_one_run(aws: Aws, up: Up, before: Any, after: Any) -> None:
    up(before)

    assert up(after)[ORDER.address].action is Action.UPDATE
    assert up(after)[ORDER.address].action is Action.NO_OP


def test_a_route_opened_by_hand_is_closed_again(aws: Aws, up: Up) -> None:
    up(WITH_TOKEN)
    [api] = aws.apigatewayv2.get_apis()["Items"]
    [route] = aws.apigatewayv2.get_routes(ApiId=api["ApiId"])["Items"]
    aws.apigatewayv2.update_route(
        ApiId=api["ApiId"], RouteId=route["RouteId"], AuthorizationType="NONE", AuthorizationScopes=[]
    )

    up(WITH_TOKEN)

    [route] = aws.apigatewayv2.get_routes(ApiId=api["ApiId"])["Items"]
    assert (route["AuthorizationType"], route["AuthorizationScopes"]) == ("JWT", ["orders/read"])


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("GET /orders/{id}", "api:GET /orders/:id"),
        ("ANY /{proxy+}", "api:ANY /:proxy+"),
        ("$default", "api:default"),
    ],
)
def test_the_name_of_a_route_fits_into_an_address(key: str, name: str) -> None:
    assert route_name("api", key) == name
