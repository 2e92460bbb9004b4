"""A firewall on a running REST API: put there, moved there and taken away, in the order that serves clients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orderops.engine.step import Action
from orderops.infra.apply import Apply
from orderops.infra.plan import make_plan
from orderops.infra.workspace import Workspace
from support.dev_accounts import IMAGES
from support.edge_environments import workspace_of
from support.faulty_proxy import Proxy
from support.proxy_clients import client

pytest_plugins = ["support.dev_accounts"]

# End to end.
pytestmark = pytest.mark.slow

WAF = '\n[waf]\nenabled = true\nmode = "block"\nblocked_cidrs = ["203.0.113.0/24"]\n'
API = '\n[api]\nwaf = true\nbalancer = "both"\n'
ALONE = "\n[api]\nwaf = true\n"
BEHIND = "\n[api]\napi_keys = true\nwaf = false\n"
ON_STAGE = "wafv2-association/orderops-dev-api:live"
ON_BALANCER = "wafv2-association/orderops-dev-balancer"
ON_INTERNAL = "wafv2-association/orderops-dev-internal"
ACL = "wafv2-web-acl/orderops-dev-firewall"
STAGE = "apigateway-stage/orderops-dev-api:live"


class Account:
    """The environment dev with one file after another."""

    def __init__(self, proxy: Proxy, folder: Path) -> None:
        self.proxy, self.folder = proxy, folder

    def brought_up(self, text: str) -> list[str]:
        """Everything that one `up --prune` changes, in order; the next plan has nothing to do."""
        workspace = self._workspace(text)
        run = Apply(workspace, IMAGES, make_plan(workspace, images=IMAGES, prune=True))
        steps = [*run.infra(), *run.release(), *run.names(), *run.prune(), *run.narrow()]
        plan = make_plan(self._workspace(text), images=IMAGES, prune=True)
        assert not plan.differs, [step.address for step in plan.steps if step.action is not Action.NO_OP]
        return [step.address for step in steps if step.action is not Action.NO_OP]

    def guarded(self) -> set[str]:
        """What has a web ACL: `stage`, or the name of a load balancer."""
        waf, apis = client(self.proxy, "wafv2"), client(self.proxy, "apigateway")
        found = {
            one["LoadBalancerName"]: one["LoadBalancerArn"]
            for one in client(self.proxy, "elbv2").describe_load_balancers()["LoadBalancers"]
        }
        for api in apis.get_rest_apis()["items"]:
            found["stage"] = f"arn:aws:apigateway:ap-southeast-2::/restapis/{api['id']}/stages/live"

        def has_one(arn: str) -> Any:
            return waf.get_web_acl_for_resource(ResourceArn=arn).get("WebACL")

        return {name for name, arn in found.items() if has_one(arn)}

    def _workspace(self, text: str) -> Workspace:
        return workspace_of(self.proxy.url, self.folder, text)


@pytest.fixture
def dev(proxy: Proxy, dev_released: bytes, tmp_path: Path) -> Account:
    proxy.bring_back(dev_released)
    return Account(proxy, tmp_path)


def test_clients_are_guarded_all_the_way_from_a_load_balancer_to_an_api_and_back(dev: Account) -> None:
    dev.brought_up(WAF)
    assert dev.guarded() == {"orderops-dev-balancer"}

    forth = dev.brought_up(WAF + API)
    assert dev.guarded() == {"orderops-dev-balancer", "stage"}
    assert forth.index(STAGE) < forth.index(ON_STAGE)

    dev.brought_up(WAF + ALONE)
    assert dev.guarded() == {"stage"}

    dev.brought_up(WAF + API)
    assert dev.guarded() == {"orderops-dev-balancer", "stage"}

    back = dev.brought_up(WAF)
    assert dev.guarded() == {"orderops-dev-balancer"}
    assert back.index(ON_STAGE) < back.index(STAGE)


def test_a_firewall_behind_an_api_moves_onto_it(dev: Account) -> None:
    dev.brought_up(WAF + BEHIND)
    assert dev.guarded() == {"orderops-dev-internal"}

    moved = dev.brought_up(WAF + BEHIND.replace("waf = false\n", ""))

    assert dev.guarded() == {"stage"}
    # The API has the firewall before the load balancer behind it loses it.
    assert moved.index(ON_STAGE) < moved.index(ON_INTERNAL)
    assert STAGE not in moved


def test_a_firewall_behind_an_http_api_knows_callers_by_its_header(dev: Account) -> None:
    dev.brought_up(WAF + '\n[api]\ntype = "http"\n')

    assert dev.guarded() == {"orderops-dev-internal"}
    waf = client(dev.proxy, "wafv2")
    [acl] = waf.list_web_acls(Scope="REGIONAL")["WebACLs"]
    rules = waf.get_web_acl(Scope="REGIONAL", Name=acl["Name"], Id=acl["Id"])["WebACL"]["Rules"]
    [rate] = [rule["Statement"]["RateBasedStatement"] for rule in rules if rule["Name"] == "rate"]
    assert rate["ForwardedIPConfig"] == {"HeaderName": "X-Client-Ip", "FallbackBehavior": "NO_MATCH"}


def test_a_firewall_leaves_the_stage_before_it_is_deleted_and_the_api_stays(dev: Account) -> None:
    dev.brought_up(WAF + ALONE)

    gone = dev.brought_up('\n[api]\ntype = "rest"\n')

    assert dev.guarded() == set()
    assert gone.index(ON_STAGE) < gone.index(ACL)
    assert STAGE not in gone


def test_an_association_that_was_taken_away_by_hand_is_set_back(dev: Account) -> None:
    dev.brought_up(WAF + ALONE)
    [api] = client(dev.proxy, "apigateway").get_rest_apis()["items"]
    arn = f"arn:aws:apigateway:ap-southeast-2::/restapis/{api['id']}/stages/live"
    client(dev.proxy, "wafv2").disassociate_web_acl(ResourceArn=arn)

    assert dev.brought_up(WAF + ALONE) == [ON_STAGE]
    assert dev.guarded() == {"stage"}
