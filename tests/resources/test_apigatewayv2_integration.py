"""Integrations of an HTTP API with a listener."""

from __future__ import annotations

from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.engine.step import Action
from support.contract import Up, keeps_its_promises
from support.declared_api import API, INTEGRATION, LINK


@pytest.fixture
def aws(strict_aws: Aws) -> Aws:
    return strict_aws


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(INTEGRATION, aws, up, timeout_millis=5000)


def test_the_service_learns_the_callers_address_from_the_api(aws: Aws, up: Up) -> None:
    up(INTEGRATION)

    assert _integration(aws)["RequestParameters"] == {"overwrite:header.X-Client-Ip": "$context.identity.sourceIp"}


def test_parameters_set_by_hand_are_taken_away(aws: Aws, up: Up) -> None:
    up(INTEGRATION)
    _change(aws, RequestParameters={"append:header.X-More": "1"}, ConnectionId=_link(aws))

    up(INTEGRATION)

    assert set(_integration(aws)["RequestParameters"]) == {"overwrite:header.X-Client-Ip"}
    assert up(INTEGRATION)[INTEGRATION.address].action is Action.NO_OP


def test_an_integration_of_somebody_else_in_the_same_api_is_left_alone(aws: Aws, up: Up) -> None:
    up(INTEGRATION)
    ours = _integration(aws)
    keys = ("ApiId", "IntegrationType", "IntegrationMethod", "ConnectionType", "ConnectionId", "IntegrationUri")
    copied = {key: ours[key] for key in (*keys[1:], "PayloadFormatVersion")}
    aws.apigatewayv2.create_integration(ApiId=_api(aws), **copied, Description="by hand")

    assert up(INTEGRATION)[INTEGRATION.address].action is Action.NO_OP


def _api(aws: Aws) -> str:
    [api] = aws.apigatewayv2.get_apis()["Items"]
    assert api["Name"] == API.name
    return str(api["ApiId"])


def _link(aws: Aws) -> str:
    [link] = aws.apigatewayv2.get_vpc_links()["Items"]
    assert link["Name"] == LINK.name
    return str(link["VpcLinkId"])


def _integration(aws: Aws) -> dict[str, Any]:
    [integration] = aws.apigatewayv2.get_integrations(ApiId=_api(aws))["Items"]
    return dict(integration)


def _change(aws: Aws, **changed: Any) -> None:
    aws.apigatewayv2.update_integration(ApiId=_api(aws), IntegrationId=_integration(aws)["IntegrationId"], **changed)
