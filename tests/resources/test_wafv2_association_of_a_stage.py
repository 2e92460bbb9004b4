"""Associations of web ACLs with stages of REST APIs."""

from __future__ import annotations

from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.engine.destroy import destroy, needed_kinds
from orderops.engine.inventory import Inventory
from orderops.engine.step import Action
from orderops.errors import AwsError, Unfinished
from orderops.frozen import replace
from orderops.resources.apigateway_stage import ApigatewayStage
from orderops.resources.ec2_internet_gateway import Ec2InternetGateway
from orderops.resources.wafv2_association import Wafv2Association
from support.contract import Up, keeps_its_promises
from support.declared_firewall import ACL, ASSOCIATION, LOGGING, ON_STAGE
from support.declared_rest_api import REST_API, REST_STAGE
from support.declared_service import BALANCER, VPC
from support.emulated_account import QUICK
from support.emulated_network import until
from support.faulty_proxy import Proxy

GATEWAY = Ec2InternetGateway("orderops-dev-internet", VPC)


@pytest.fixture
def aws(proxy: Proxy) -> Aws:
    return Aws("ap-southeast-2", endpoint_url=proxy.url)


def associate(aws: Aws, acl: str) -> None:
    """Associate a web ACL with the stage, as soon as WAF knows it."""

    def done() -> bool:
        try:
            aws.wafv2.associate_web_acl(WebACLArn=acl, ResourceArn=stage_arn(aws))
        except AwsError as error:
            if error.code != "WAFUnavailableEntityException":
                raise
            return False
        return True

    until(done)


def stage_arn(aws: Aws) -> str:
    [api] = aws.apigateway.get_rest_apis()["items"]
    return f"arn:aws:apigateway:ap-southeast-2::/restapis/{api['id']}/stages/live"


def acl_of_the_stage(aws: Aws) -> str | None:
    answer: dict[str, Any] = aws.wafv2.get_web_acl_for_resource(ResourceArn=stage_arn(aws))
    return str(answer["WebACL"]["Name"]) if answer.get("WebACL") else None


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(ON_STAGE, aws, up)


def test_the_stage_has_the_acl_from_then_on(aws: Aws, up: Up) -> None:
    up(ON_STAGE)

    assert acl_of_the_stage(aws) == ACL.name
    assert ApigatewayStage in needed_kinds(Wafv2Association)


def test_the_stage_and_a_load_balancer_have_the_same_acl_side_by_side(aws: Aws, up: Up) -> None:
    both = (ON_STAGE, replace(ASSOCIATION, guarded=replace(BALANCER, gateway=GATEWAY)))
    up(*both)

    names = {owned.observed.name for owned in Inventory(aws, "dev", [Wafv2Association]).owned()}
    assert names == {REST_STAGE.name, BALANCER.name}
    assert {step.action for step in up(*both).values()} == {Action.NO_OP}


def test_an_api_that_takes_the_place_of_another_gets_the_acl_again(aws: Aws, up: Up) -> None:
    up(ON_STAGE)
    before = stage_arn(aws)
    aws.apigateway.delete_rest_api(restApiId=before.split("/")[2])

    up(ON_STAGE)

    assert stage_arn(aws) != before
    assert acl_of_the_stage(aws) == ACL.name


def test_a_new_deployment_of_the_stage_keeps_the_acl(aws: Aws, up: Up) -> None:
    up(ON_STAGE)
    [api] = aws.apigateway.get_rest_apis()["items"]

    aws.apigateway.create_deployment(restApiId=api["id"], stageName="live", description="another")

    assert acl_of_the_stage(aws) == ACL.name


def test_a_web_acl_that_people_chose_for_the_stage_is_not_replaced_without_a_word(aws: Aws, up: Up) -> None:
    up(REST_STAGE, LOGGING)
    visibility = {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": "m"}
    made = aws.wafv2.create_web_acl(
        Name="company-wide", Scope="REGIONAL", DefaultAction={"Allow": {}}, VisibilityConfig=visibility, Rules=[]
    )
    associate(aws, made["Summary"]["ARN"])

    with pytest.raises(Unfinished, match="the stage orderops-dev-api:live has the web ACL company-wide"):
        up(ON_STAGE)

    assert acl_of_the_stage(aws) == "company-wide"


def test_the_acl_leaves_the_stage_before_either_of_them_is_deleted(aws: Aws, up: Up, proxy: Proxy) -> None:
    up(ON_STAGE)
    proxy.forget()
    kinds = [type(one) for one in (REST_API, REST_STAGE, ACL, LOGGING, ON_STAGE)]
    inventory = Inventory(aws, "dev", kinds)

    list(destroy(list(inventory.owned()), inventory, limits=QUICK))

    sent = proxy.changing
    places = [
        next(place for place, call in enumerate(sent) if name in call)
        for name in ("DisassociateWebACL", "DeleteWebACL", "DeleteStage")
    ]
    assert places[0] == min(places)
    assert aws.apigateway.get_rest_apis()["items"] == []
    assert aws.wafv2.list_web_acls(Scope="REGIONAL")["WebACLs"] == []
