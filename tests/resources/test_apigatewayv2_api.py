"""HTTP APIs."""

from __future__ import annotations

import pytest

from orderops.aws.client import Aws
from orderops.engine.step import Action
from support.contract import Up, keeps_its_promises
from support.declared_api import API


@pytest.fixture
def aws(strict_aws: Aws) -> Aws:
    return strict_aws


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(API, aws, up)


def test_an_api_of_the_same_name_without_tags_is_not_taken_for_ours(aws: Aws, up: Up) -> None:
    aws.apigatewayv2.create_api(Name=API.name, ProtocolType="HTTP")

    assert up(API)[API.address].action is Action.CREATE
    assert len(aws.apigatewayv2.get_apis()["Items"]) == 2


def test_a_name_and_an_endpoint_changed_by_hand_are_set_back(aws: Aws, up: Up) -> None:
    up(API)
    [api] = aws.apigatewayv2.get_apis()["Items"]
    aws.apigatewayv2.update_api(ApiId=api["ApiId"], Name="other", DisableExecuteApiEndpoint=True)

    changes = up(API)[API.address].changes

    assert changes == {"Name": ("other", API.name), "DisableExecuteApiEndpoint": (True, False)}
    assert up(API)[API.address].action is Action.NO_OP
