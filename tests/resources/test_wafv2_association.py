"""Associations of web ACLs with load balancers."""

from __future__ import annotations

import pytest

from orderops.aws.client import Aws
from orderops.engine.destroy import destroy, needed_kinds
from orderops.engine.inventory import Inventory
from orderops.engine.reconcile import reconcile
from orderops.engine.resource import Resource
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.frozen import replace
from orderops.resources.ec2_internet_gateway import Ec2InternetGateway
from orderops.resources.elbv2_load_balancer import Elbv2LoadBalancer
from orderops.resources.logs_group import LogsGroup
from orderops.resources.wafv2_association import Wafv2Association
from orderops.resources.wafv2_ip_set import Wafv2IpSet
from orderops.resources.wafv2_logging import Wafv2Logging
from orderops.resources.wafv2_web_acl import Wafv2WebAcl
from support.contract import Up, keeps_its_promises
from support.declared_firewall import ACL, ASSOCIATION, GROUP, LOGGING, RANGES, acl_in
from support.declared_service import BALANCER, VPC
from support.emulated_account import QUICK, with_needs
from support.faults import Fault, PowerCut
from support.faulty_proxy import Proxy

GATEWAY = Ec2InternetGateway("orderops-dev-internet", VPC)
STRICT = replace(ASSOCIATION, guarded=replace(BALANCER, gateway=GATEWAY))
KINDS: list[type[Resource]] = [Elbv2LoadBalancer, LogsGroup, Wafv2IpSet, Wafv2Logging, Wafv2WebAcl, Wafv2Association]


def balancer_arn(aws: Aws) -> str:
    [found] = aws.elbv2.describe_load_balancers()["LoadBalancers"]
    return str(found["LoadBalancerArn"])


def acl_of_the_balancer(aws: Aws) -> str | None:
    answer = aws.wafv2.get_web_acl_for_resource(ResourceArn=balancer_arn(aws))
    return answer["WebACL"]["Name"] if answer.get("WebACL") else None


def by_hand(aws: Aws, name: str) -> str:
    visibility = {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": "m"}
    made = aws.wafv2.create_web_acl(
        Name=name, Scope="REGIONAL", DefaultAction={"Allow": {}}, VisibilityConfig=visibility, Rules=[]
    )
    # AWS puts one in the place of the other; moto keeps both.
    aws.wafv2.disassociate_web_acl(ResourceArn=balancer_arn(aws))
    aws.wafv2.associate_web_acl(WebACLArn=made["Summary"]["ARN"], ResourceArn=balancer_arn(aws))
    return str(made["Summary"]["ARN"])


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(ASSOCIATION, aws, up)


def test_the_balancer_has_the_acl_from_then_on(aws: Aws, up: Up) -> None:
    up(ASSOCIATION)

    assert acl_of_the_balancer(aws) == ACL.name


def test_it_is_made_last_and_taken_away_first() -> None:
    assert {BALANCER, ACL, LOGGING} <= set(ASSOCIATION.needs())
    assert {Elbv2LoadBalancer, Wafv2WebAcl, Wafv2Logging} <= needed_kinds(Wafv2Association)


@pytest.mark.parametrize("call", range(5))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    up(BALANCER, LOGGING)
    with power_cut("wafv2", after=call), pytest.raises(PowerCut):
        up(ASSOCIATION)

    up(ASSOCIATION)

    assert {step.action for step in up(ASSOCIATION).values()} == {Action.NO_OP}
    assert acl_of_the_balancer(aws) == ACL.name


def test_a_web_acl_that_people_chose_is_not_replaced_without_a_word(aws: Aws, up: Up) -> None:
    up(BALANCER, LOGGING)
    by_hand(aws, "company-wide")

    with pytest.raises(Unfinished, match="has the web ACL company-wide, which orderops did not make") as refused:
        up(ASSOCIATION)

    assert acl_of_the_balancer(aws) == "company-wide"
    assert "enabled = false in [waf]" in str(refused.value.hint)


def test_a_web_acl_that_people_chose_is_not_taken_away(aws: Aws, up: Up) -> None:
    up(ASSOCIATION)
    by_hand(aws, "company-wide")

    assert list(Inventory(aws, "dev", [Wafv2Association]).owned()) == []


def test_a_web_acl_of_another_environment_is_not_ours(aws: Aws, up: Up) -> None:
    up(BALANCER)
    by_hand(aws, "orderops-dev2-firewall")

    assert list(Inventory(aws, "dev", [Wafv2Association]).owned()) == []


def test_another_acl_of_this_environment_is_set_back(aws: Aws, up: Up) -> None:
    up(ASSOCIATION)
    other = by_hand(aws, "orderops-dev-tried")

    assert up(ASSOCIATION)[ASSOCIATION.address].changes["WebACLArn"][0] == other
    assert acl_of_the_balancer(aws) == ACL.name


@pytest.fixture
def strict_aws(proxy: Proxy) -> Aws:
    return Aws("ap-southeast-2", endpoint_url=proxy.url)


def everything(aws: Aws) -> list[Action]:
    resources = with_needs([STRICT])
    inventory = Inventory(aws, "dev", list(dict.fromkeys(type(resource) for resource in resources)))
    return [step.action for step in reconcile(resources, inventory, limits=QUICK)]


def test_under_the_rules_of_aws_all_of_it_is_made_at_once_and_goes_in_order(strict_aws: Aws, proxy: Proxy) -> None:
    everything(strict_aws)
    proxy.forget()

    # AWS has added a protection of its own by now.
    assert acl_in(strict_aws.wafv2)["OnSourceDDoSProtectionConfig"]
    assert set(everything(strict_aws)) == {Action.NO_OP}

    kinds = KINDS[1:]
    inventory = Inventory(strict_aws, "dev", kinds)
    steps = destroy(list(inventory.owned()), inventory, limits=QUICK)
    assert {step.address for step in steps} == {one.address for one in (ASSOCIATION, LOGGING, ACL, GROUP, RANGES)}
    sent = [call.partition(" ")[2] or call for call in proxy.changing]
    wanted = ["DisassociateWebACL", "DeleteLoggingConfiguration", "DeleteWebACL", "DeleteIPSet"]
    places = [next(place for place, call in enumerate(sent) if name in call) for name in wanted]
    assert places == sorted(places)
    assert everything(strict_aws).count(Action.CREATE) == 5


def test_a_replaced_balancer_gets_the_acl_again(strict_aws: Aws) -> None:
    everything(strict_aws)
    strict_aws.elbv2.delete_load_balancer(LoadBalancerArn=balancer_arn(strict_aws))

    everything(strict_aws)

    assert acl_of_the_balancer(strict_aws) == ACL.name
