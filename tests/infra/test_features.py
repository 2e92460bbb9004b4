"""What an environment was, and no file declares any more, is found although plans do not list what it never had."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.config.environment import load_environment
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.infra.apply import Apply
from orderops.infra.destroy import plan_destroy
from orderops.infra.features import OF_FEATURES
from orderops.infra.plan import Plan, make_plan
from orderops.infra.workspace import Workspace
from orderops.local.emulator.protocol import ApiError
from orderops.resources.ec2_security_group import Ec2SecurityGroup
from support.dev_accounts import REGION
from support.faulty_proxy import Proxy, SeenRequest
from support.repository import ENVIRONMENTS

pytest_plugins = ["support.dev_accounts"]

DEV = (ENVIRONMENTS / "dev.toml").read_text()
MORE = """
[waf]
enabled = true
blocked_cidrs = ["203.0.113.0/24"]

[api]
type = "http"

[alerts]
anomaly_detection = true
"""
VPC = "ec2-vpc/orderops-dev-vpc"
LISTING = {
    "ListCertificates",
    "GetApis",
    "GetVpcLinks",
    "ListWebACLs",
    "ListIPSets",
    "ListDashboards",
    "DescribeAnomalyDetectors",
    "GetScheduleGroup",
}
"""The calls that find resources of features."""


class Account:
    """The environment dev, opened with one file or another, and the calls that were made."""

    def __init__(self, proxy: Proxy, folder: Path) -> None:
        self.folder = folder
        self.calls: Counter[str] = Counter()
        self._session = boto3.Session("testing", "testing", region_name=REGION)
        self._session.events.register("after-call", self._count)
        self._session.events.register("after-call.resourcegroupstaggingapi.GetResources", self._answer_late)
        self.index_is_late = False
        """Whether the tag index knows nothing of features yet."""
        self._aws = Aws(REGION, endpoint_url=proxy.url, session=self._session)

    def _count(self, model: Any, **_: Any) -> None:
        self.calls[model.name] += 1

    def _answer_late(self, parsed: dict[str, Any], **_: Any) -> None:
        if self.index_is_late:
            found = parsed["ResourceTagMappingList"]
            late = (":acm:", ":apigateway:", ":wafv2:")
            parsed["ResourceTagMappingList"] = [
                one for one in found if not any(part in one["ResourceARN"] for part in late)
            ]

    def opened(self, text: str) -> Workspace:
        (self.folder / "dev.toml").write_text(f"{DEV}{text}")
        return Workspace(load_environment("dev", self.folder), self._aws)

    def plan(self, text: str = "") -> Plan:
        self.calls.clear()
        return make_plan(self.opened(text))

    def apply(self, text: str = "") -> None:
        workspace = self.opened(text)
        assert list(Apply(workspace, plan=make_plan(workspace)).infra())

    @property
    def vpc(self) -> dict[str, str]:
        (vpc,) = self._aws.ec2.describe_vpcs(Filters=[{"Name": "tag:orderops:environment", "Values": ["dev"]}])["Vpcs"]
        return {tag["Key"]: tag["Value"] for tag in vpc["Tags"] if tag["Key"].startswith("orderops:features")}

    def untag(self, *keys: str) -> None:
        (vpc,) = self._aws.ec2.describe_vpcs(Filters=[{"Name": "tag:orderops:environment", "Values": ["dev"]}])["Vpcs"]
        self._aws.ec2.delete_tags(Resources=[vpc["VpcId"]], Tags=[{"Key": key} for key in keys])

    @property
    def listed(self) -> set[str]:
        return LISTING & self.calls.keys()


@pytest.fixture
def dev(proxy: Proxy, dev_infra: bytes, tmp_path: Path) -> Account:
    proxy.bring_back(dev_infra)
    return Account(proxy, tmp_path)


def kinds(plan: Plan) -> set[str]:
    return {owned.kind.kind for owned in plan.undeclared}


def test_an_unchanged_plan_of_dev_takes_at_most_45_calls(dev: Account) -> None:
    assert not dev.plan().differs

    assert dev.calls.total() <= 45, dev.calls
    assert not dev.listed
    assert dev.vpc == {"orderops:features": "complete"}


def test_every_kind_that_is_left_out_belongs_to_a_feature_and_is_read_by_a_known_call(dev: Account) -> None:
    """So that a new kind of a feature is not left out unseen."""
    dev.untag("orderops:features")

    dev.plan()

    assert dev.listed == LISTING
    assert {kind.feature.name for kind in OF_FEATURES if kind.feature} == {
        "acm",
        "anomaly-detection",
        "apigatewayv2",
        "dashboard",
        "scheduler",
        "wafv2",
    }


def test_what_the_file_does_not_declare_any_more_is_found_at_once(dev: Account) -> None:
    dev.apply(MORE)
    assert dev.vpc.keys() >= {f"orderops:features:{name}" for name in ("wafv2", "apigatewayv2", "anomaly-detection")}

    dev.index_is_late = True
    undeclared = kinds(dev.plan())

    assert undeclared >= {"wafv2-web-acl", "wafv2-ip-set", "apigatewayv2-api", "apigatewayv2-vpc-link"}
    assert undeclared >= {"wafv2-association", "apigatewayv2-route", "cloudwatch-anomaly-detector"}
    assert not {"ListCertificates", "GetScheduleGroup", "ListDashboards"} & dev.calls.keys()


def test_a_feature_is_noted_before_its_first_resource_is_made(dev: Account, proxy: Proxy) -> None:
    def no_notes(request: SeenRequest) -> ApiError | None:
        refused = str(request) == "ec2.CreateTags"
        return ApiError("UnauthorizedOperation", "You are not authorized.", 403) if refused else None

    proxy.rule = no_notes
    with pytest.raises(Unfinished):
        dev.apply(MORE)

    proxy.forget()
    found = {owned.kind for owned in plan_destroy(dev.opened("")).found}
    assert not found & {*OF_FEATURES}
    assert Ec2SecurityGroup in found, "that of the VPC link, which the notes do not concern"


def test_the_notes_of_a_network_without_complete_ones_are_completed_with_what_there_is(dev: Account) -> None:
    dev.apply(MORE)
    dev.untag(*dev.vpc)

    plan = dev.plan()

    (step,) = [step for step in plan.changes if step.address == VPC]
    assert step.action is Action.UPDATE
    assert "wafv2-web-acl" in kinds(plan)
    dev.apply()
    assert dev.vpc.keys() >= {"orderops:features", "orderops:features:wafv2", "orderops:features:apigatewayv2"}
    assert "wafv2-web-acl" in kinds(dev.plan())


def test_what_is_not_noted_is_found_by_the_tag_index(dev: Account) -> None:
    dev.apply(MORE)
    dev.untag("orderops:features:wafv2", "orderops:features:apigatewayv2")

    assert kinds(dev.plan()) >= {"wafv2-web-acl", "wafv2-association", "apigatewayv2-api"}


def test_everything_is_looked_for_before_the_environment_is_deleted(dev: Account) -> None:
    dev.apply(MORE)
    dev.untag("orderops:features:wafv2", "orderops:features:anomaly-detection")

    dev.index_is_late = True
    found = {owned.kind.kind for owned in plan_destroy(dev.opened("")).found}

    assert found >= {"wafv2-web-acl", "wafv2-ip-set", "cloudwatch-anomaly-detector"}
