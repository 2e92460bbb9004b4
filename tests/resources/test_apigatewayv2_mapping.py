"""API mappings: the stage that answers a domain name."""

from __future__ import annotations

import pytest

from orderops.aws.client import Aws
from orderops.engine.step import Action
from orderops.frozen import replace
from orderops.resources.apigatewayv2_mapping import Apigatewayv2Mapping
from support.contract import Up, keeps_its_promises, remove
from support.declared_api import API, STAGE
from support.declared_name import DOMAIN, MAPPING, NAME
from support.declared_rest_api import REST_API, REST_STAGE

TO_REST = replace(MAPPING, api=REST_API, stage=REST_STAGE)


@pytest.fixture
def aws(strict_aws: Aws) -> Aws:
    strict_aws.route53.create_hosted_zone(Name="example.com", CallerReference="ours")
    return strict_aws


def mapped(aws: Aws) -> list[tuple[str, str]]:
    items = aws.apigatewayv2.get_api_mappings(DomainName=NAME)["Items"]
    return [(item["ApiId"], item["Stage"]) for item in items]


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    up(REST_STAGE)

    keeps_its_promises(MAPPING, aws, up, api=REST_API, stage=REST_STAGE)


def test_a_name_goes_over_from_an_http_to_a_rest_api_and_back_by_one_call(aws: Aws, up: Up) -> None:
    up(MAPPING)
    [http] = aws.apigatewayv2.get_apis()["Items"]

    assert up(TO_REST)[MAPPING.address].action is Action.UPDATE

    [rest] = aws.apigateway.get_rest_apis()["items"]
    assert mapped(aws) == [(rest["id"], "live")]
    up(MAPPING)
    assert mapped(aws) == [(http["ApiId"], "$default")]


def test_a_mapping_moved_by_hand_is_led_back(aws: Aws, up: Up) -> None:
    up(MAPPING)
    up(REST_STAGE)
    [rest] = aws.apigateway.get_rest_apis()["items"]
    [mapping] = aws.apigatewayv2.get_api_mappings(DomainName=NAME)["Items"]
    aws.apigatewayv2.update_api_mapping(
        DomainName=NAME, ApiMappingId=mapping["ApiMappingId"], ApiId=rest["id"], Stage="live"
    )

    assert set(up(MAPPING)[MAPPING.address].changes) == {"ApiId", "Stage"}


def test_a_stage_can_be_deleted_after_its_mapping(aws: Aws, up: Up) -> None:
    up(MAPPING)

    remove(MAPPING, aws)
    remove(STAGE, aws)

    assert mapped(aws) == []
    assert up(API)[API.address].action is Action.NO_OP


def test_no_mapping_is_listed_for_a_name_without_one(aws: Aws, up: Up) -> None:
    up(DOMAIN)

    assert mapped(aws) == []
    assert Apigatewayv2Mapping.untagged
