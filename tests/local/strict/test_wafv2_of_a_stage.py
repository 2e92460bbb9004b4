"""AWS WAF on stages of REST APIs: what moto accepts and AWS does not, and what a stage tells of its web ACL."""

from __future__ import annotations

from typing import Any

import pytest

from support.emulated_network import until
from support.rest_imports import Import
from support.strict_clients import Client, Refused

pytest_plugins = ["support.rest_imports"]

VISIBILITY = {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": "m"}


class Stage:
    """A stage with one route, and a web ACL of the account."""

    def __init__(self, client: Client, api: str) -> None:
        self.apis, self.waf, self.api = client("apigateway"), client("wafv2"), api
        self.arn = f"arn:aws:apigateway:ap-southeast-2::/restapis/{self.api}/stages/live"
        made = self.waf.create_web_acl(
            Name="acl", Scope="REGIONAL", DefaultAction={"Allow": {}}, VisibilityConfig=VISIBILITY, Rules=[]
        )
        self.acl: dict[str, Any] = made["Summary"]

    def associate(self) -> None:
        """Associate the two, as soon as WAF knows the web ACL."""

        def done() -> bool:
            try:
                self.waf.associate_web_acl(WebACLArn=self.acl["ARN"], ResourceArn=self.arn)
            except self.waf.exceptions.WAFUnavailableEntityException:
                return False
            return True

        until(done)

    def told(self) -> str | None:
        found = self.apis.get_stage(restApiId=self.api, stageName="live").get("webAclArn")
        return None if found is None else str(found)


@pytest.fixture
def stage(strict: Client, api: str, put: Import) -> Stage:
    put.deployed()
    return Stage(strict, api)


def test_a_stage_tells_its_web_acl(stage: Stage) -> None:
    assert stage.told() is None
    stage.associate()

    assert stage.told() == stage.acl["ARN"]
    [listed] = stage.apis.get_stages(restApiId=stage.api)["item"]
    assert listed["webAclArn"] == stage.acl["ARN"]
    assert stage.waf.get_web_acl_for_resource(ResourceArn=stage.arn)["WebACL"]["Name"] == "acl"


def test_a_web_acl_of_a_stage_alone_gets_no_protection_of_load_balancers(stage: Stage) -> None:
    stage.associate()

    found = stage.waf.get_web_acl(Name="acl", Scope="REGIONAL", Id=stage.acl["Id"])["WebACL"]
    assert "OnSourceDDoSProtectionConfig" not in found


def test_a_web_acl_on_a_stage_is_not_deleted(stage: Stage, refused: Refused) -> None:
    stage.associate()

    with refused("WAFAssociatedItemException"):
        stage.waf.delete_web_acl(Name="acl", Scope="REGIONAL", Id=stage.acl["Id"], LockToken=stage.acl["LockToken"])
    stage.waf.disassociate_web_acl(ResourceArn=stage.arn)
    assert stage.told() is None


def test_a_deleted_stage_takes_its_association_along(stage: Stage) -> None:
    stage.associate()
    stage.apis.delete_stage(restApiId=stage.api, stageName="live")
    stage.apis.create_deployment(restApiId=stage.api, stageName="live")

    assert stage.told() is None


def test_a_deleted_api_takes_its_association_along(stage: Stage) -> None:
    stage.associate()
    stage.apis.delete_rest_api(restApiId=stage.api)

    stage.waf.delete_web_acl(Name="acl", Scope="REGIONAL", Id=stage.acl["Id"], LockToken=stage.acl["LockToken"])


@pytest.mark.parametrize("missing", ["stages/test", "restapis/none/stages/live"])
def test_only_a_stage_that_exists_is_associated(stage: Stage, refused: Refused, missing: str) -> None:
    stage.associate()
    start = stage.arn.partition("restapis" if missing.startswith("rest") else "stages")[0]

    with refused("WAFUnavailableEntityException"):
        stage.waf.associate_web_acl(WebACLArn=stage.acl["ARN"], ResourceArn=start + missing)
    with refused("WAFNonexistentItemException"):
        stage.waf.get_web_acl_for_resource(ResourceArn=start + missing)


def test_an_http_api_takes_no_web_acl(stage: Stage, refused: Refused) -> None:
    with refused("WAFInvalidParameterException"):
        stage.waf.associate_web_acl(WebACLArn=stage.acl["ARN"], ResourceArn=stage.arn.replace("restapis", "apis"))
