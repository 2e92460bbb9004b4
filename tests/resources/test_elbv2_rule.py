"""Listener rules."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.aws.client import Aws
from orderops.aws.ownership import to_pairs
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.frozen import replace
from orderops.resources.elbv2_listener import Redirect
from orderops.resources.elbv2_rule import live_target_group
from orderops.resources.elbv2_target_group import Elbv2TargetGroup
from support.contract import Up, keeps_its_promises
from support.declared_service import LISTENER, RULE, TARGETS, VPC
from support.faults import Fault, PowerCut

SECOND = replace(RULE, name="orderops-dev-second", priority=200, paths=("/second/*",))
THIRD = replace(RULE, name="orderops-dev-third", priority=300, paths=("/third/*",))


@pytest.fixture(autouse=True)
def _priorities_change_as_aws_does_it(session: boto3.Session) -> None:
    """All that one call names at once; the emulator refuses two that change places."""

    def set_all(params: dict[str, Any], **_: Any) -> Any:
        asked = [(key, value) for key, value in params["body"].items() if key.startswith("RulePriorities")]
        arns = [value for key, value in asked if key.endswith("RuleArn")]
        priorities = [int(value) for key, value in asked if key.endswith("Priority")]
        rules = list(_emulated_rules())
        others = {rule.priority for rule in rules if rule.arn not in arns}
        if others & set(priorities):
            error = {"Error": {"Code": "PriorityInUse", "Message": "in use"}}
            return SimpleNamespace(status_code=400), error
        for rule in rules:
            if rule.arn in arns:
                rule.priority = priorities[arns.index(rule.arn)]
        return SimpleNamespace(status_code=200), {}

    session.events.register("before-call.elastic-load-balancing-v2.SetRulePriorities", set_all)


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(RULE, aws, up, priority=7, paths=("/shop/*", "/shop"))


def test_a_condition_changed_by_hand_is_repaired(aws: Aws, up: Up) -> None:
    up(RULE)
    by_hand = [{"Field": "path-pattern", "Values": ["/elsewhere"]}]
    aws.elbv2.modify_rule(RuleArn=_arn(aws), Conditions=by_hand)

    assert up(RULE)[RULE.address].changes == {"PathPatterns": (["/elsewhere"], ["/*"])}
    assert up(RULE)[RULE.address].action is Action.NO_OP


def test_a_condition_added_by_hand_is_removed(aws: Aws, up: Up) -> None:
    up(RULE)
    path = {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/*"]}}
    host = {"Field": "host-header", "HostHeaderConfig": {"Values": ["shop.example"]}}
    aws.elbv2.modify_rule(RuleArn=_arn(aws), Conditions=[path, host])

    assert list(up(RULE)[RULE.address].changes) == ["Hosts"]
    assert [condition["Field"] for condition in _rules(aws)[0]["Conditions"]] == ["path-pattern"]


def test_a_condition_of_another_kind_is_removed(aws: Aws, up: Up) -> None:
    up(RULE)
    path = {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/*"]}}
    query = {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "a", "Value": "b"}]}}
    aws.elbv2.modify_rule(RuleArn=_arn(aws), Conditions=[path, query])

    assert list(up(RULE)[RULE.address].changes) == ["PathPatterns"]
    assert [condition["Field"] for condition in _rules(aws)[0]["Conditions"]] == ["path-pattern"]


@pytest.mark.parametrize("paths", [(), ("/a", "/b")], ids=["hosts alone", "hosts and paths"])
def test_a_rule_for_hosts_is_read_back_as_declared(aws: Aws, up: Up, paths: tuple[str, ...]) -> None:
    hosted = replace(RULE, hosts=("shop.example.com", "b2b.example.com"), paths=paths)
    up(hosted)

    assert up(hosted)[RULE.address].action is Action.NO_OP
    assert list(up(replace(hosted, hosts=("shop.example.com",)))[RULE.address].changes) == ["Hosts"]
    assert up(RULE)[RULE.address].changes["Hosts"] == (["shop.example.com"], [])
    assert up(RULE)[RULE.address].action is Action.NO_OP


def test_an_action_changed_by_hand_is_repaired(aws: Aws, up: Up) -> None:
    up(RULE)
    away = [{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Host": "elsewhere"}}]
    aws.elbv2.modify_rule(RuleArn=_arn(aws), Actions=away)

    assert list(up(RULE)[RULE.address].changes) == ["TargetGroupArns"]
    assert _rules(aws)[0]["Actions"][0]["Type"] == "forward"


def test_the_order_of_paths_is_no_difference(up: Up) -> None:
    up(replace(RULE, paths=("/a", "/b")))

    assert up(replace(RULE, paths=("/b", "/a")))[RULE.address].action is Action.NO_OP


def test_properties_that_aws_adds_to_an_action_are_no_difference(session: boto3.Session, up: Up) -> None:
    def told(parsed: dict[str, Any], **_: Any) -> None:
        for raw in parsed.get("Rules", ()):
            for action in raw["Actions"]:
                if action["Type"] == "forward":
                    groups = [{"TargetGroupArn": action["TargetGroupArn"], "Weight": 1}]
                    action |= {"Order": 1, "ForwardConfig": {"TargetGroups": groups}}

    session.events.register("after-call.elastic-load-balancing-v2.DescribeRules", told)

    up(RULE)

    assert up(RULE)[RULE.address].action is Action.NO_OP


def test_two_rules_swap_priorities(aws: Aws, up: Up) -> None:
    up(RULE, SECOND)

    up(replace(RULE, priority=200), replace(SECOND, priority=100))

    assert _priorities(aws) == {RULE.name: 200, SECOND.name: 100}


def test_three_rules_rotate_their_priorities(aws: Aws, up: Up) -> None:
    up(RULE, SECOND, THIRD)

    up(replace(RULE, priority=200), replace(SECOND, priority=300), replace(THIRD, priority=100))

    assert _priorities(aws) == {RULE.name: 200, SECOND.name: 300, THIRD.name: 100}


def test_a_new_rule_can_get_the_priority_of_a_rule_that_moves(aws: Aws, up: Up) -> None:
    up(RULE)
    moved, new = replace(RULE, priority=200), replace(SECOND, priority=100)

    assert up(moved, new, dry_run=True)[new.address].action is Action.CREATE
    up(moved, new)

    assert _priorities(aws) == {RULE.name: 200, new.name: 100}
    assert {step.action for step in up(moved, new).values()} == {Action.NO_OP}


def test_a_new_rule_can_get_the_priority_of_an_undeclared_rule(aws: Aws, up: Up) -> None:
    up(RULE)
    new = replace(RULE, name="orderops-dev-renamed")

    up(new)

    assert _priorities(aws)[new.name] == RULE.priority


def test_a_priority_used_by_a_rule_without_an_owner_is_adoptable(aws: Aws, up: Up) -> None:
    up(LISTENER, TARGETS)
    _by_hand(aws, 100)

    assert up(RULE, dry_run=True)[RULE.address].action is Action.ADOPT
    with pytest.raises(Unfinished, match="has no owner"):
        up(RULE)
    up(RULE, adopt=[RULE.address])

    assert _priorities(aws) == {RULE.name: 100}


def test_a_rule_without_an_owner_keeps_its_priority(aws: Aws, up: Up) -> None:
    up(RULE)
    _by_hand(aws, 50)

    with pytest.raises(Unfinished, match="priority 50 is taken by a rule without an owner"):
        up(replace(RULE, priority=50))

    assert sorted(raw["Priority"] for raw in _rules(aws)) == ["100", "50"]


def test_the_default_rule_is_never_owned(aws: Aws, up: Up) -> None:
    up(LISTENER)

    assert _rules(aws, default=True)
    assert up(RULE, dry_run=True)[RULE.address].action is Action.CREATE


@pytest.mark.parametrize("call", [2, 14, 16, 18])
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("elbv2", after=call), pytest.raises(PowerCut):
        up(RULE)

    up(RULE)

    assert up(RULE)[RULE.address].action is Action.NO_OP
    assert len(_rules(aws)) == 1


def test_a_lost_answer_makes_no_second_one(aws: Aws, up: Up, lose_answer: Fault) -> None:
    with lose_answer("elbv2", "CreateRule"):
        assert up(RULE)[RULE.address].action is Action.CREATE

    assert len(_rules(aws)) == 1


def _emulated_rules() -> Iterator[Any]:
    for balancer in get_backend("elbv2")[DEFAULT_ACCOUNT_ID]["ap-southeast-2"].load_balancers.values():
        for listener in balancer.listeners.values():
            yield from listener.rules.values()


def _listener(aws: Aws) -> str:
    balancer = aws.elbv2.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"]
    return str(aws.elbv2.describe_listeners(LoadBalancerArn=balancer)["Listeners"][0]["ListenerArn"])


ALTERNATE = Elbv2TargetGroup("orderops-dev-shop-alt", VPC, 8080)
PAIR = replace(RULE, alternate=ALTERNATE)


def _weights(aws: Aws) -> dict[str, int]:
    groups = _rules(aws)[0]["Actions"][0]["ForwardConfig"]["TargetGroups"]
    return {group["TargetGroupArn"].split("/")[1]: group["Weight"] for group in groups}


def _shift(aws: Aws, live: str) -> None:
    """Move the requests, as ECS does at each release."""
    arns = {
        group["TargetGroupName"]: group["TargetGroupArn"]
        for group in aws.elbv2.describe_target_groups()["TargetGroups"]
    }
    groups = [{"TargetGroupArn": arn, "Weight": 100 * (name == live)} for name, arn in arns.items()]
    aws.elbv2.modify_rule(RuleArn=_arn(aws), Actions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}])


def test_a_new_pair_sends_the_requests_to_the_first_group(aws: Aws, up: Up) -> None:
    up(PAIR)

    assert _weights(aws) == {TARGETS.name: 100, ALTERNATE.name: 0}


def test_a_second_group_joins_without_a_request(aws: Aws, up: Up) -> None:
    up(RULE)

    up(PAIR)

    assert _weights(aws) == {TARGETS.name: 100, ALTERNATE.name: 0}


@pytest.mark.parametrize("live", [TARGETS.name, ALTERNATE.name])
def test_which_of_a_pair_is_live_is_no_difference(aws: Aws, up: Up, live: str) -> None:
    up(PAIR)
    _shift(aws, live)

    assert up(PAIR)[RULE.address].action is Action.NO_OP
    assert _weights(aws)[live] == 100


def test_the_live_group_of_a_pair_is_not_taken_away(aws: Aws, up: Up) -> None:
    up(PAIR)
    _shift(aws, ALTERNATE.name)

    planned = up(RULE, dry_run=True)[RULE.address]

    assert planned.error
    assert "the requests go to the target group that would be taken away" in planned.error.message
    _shift(aws, TARGETS.name)
    assert up(RULE)[RULE.address].action is Action.UPDATE
    assert [target["TargetGroupArn"].split("/")[1] for target in _rules(aws)[0]["Actions"]] == [TARGETS.name]


def test_a_rule_with_a_header_is_read_back_as_declared(aws: Aws, up: Up) -> None:
    tested = replace(RULE, header=("x-candidate", "shop"))
    up(tested)

    assert up(tested)[RULE.address].action is Action.NO_OP
    fields = {condition["Field"] for condition in _rules(aws)[0]["Conditions"]}
    assert fields == {"path-pattern", "http-header"}
    assert list(up(replace(tested, header=("x-candidate", "other")))[RULE.address].changes) == ["Header"]
    assert list(up(RULE)[RULE.address].changes) == ["Header"]


def _rules(aws: Aws, *, default: bool = False) -> list[dict[str, Any]]:
    found = aws.elbv2.describe_rules(ListenerArn=_listener(aws))["Rules"]
    return [raw for raw in found if (raw["Priority"] == "default") is default]


def _arn(aws: Aws) -> str:
    return str(_rules(aws)[0]["RuleArn"])


def _priorities(aws: Aws) -> dict[str, int]:
    rules = {raw["RuleArn"]: int(raw["Priority"]) for raw in _rules(aws)}
    told = aws.elbv2.describe_tags(ResourceArns=list(rules))["TagDescriptions"]
    names = {each["ResourceArn"]: {tag["Key"]: tag["Value"] for tag in each["Tags"]}["Name"] for each in told}
    return {names[arn]: priority for arn, priority in rules.items()}


def _by_hand(aws: Aws, priority: int) -> None:
    group = aws.elbv2.describe_target_groups()["TargetGroups"][0]["TargetGroupArn"]
    aws.elbv2.create_rule(
        ListenerArn=_listener(aws),
        Priority=priority,
        Conditions=[{"Field": "path-pattern", "Values": ["/hand"]}],
        Actions=[{"Type": "forward", "TargetGroupArn": group}],
        Tags=to_pairs({"owner": "a person"}),
    )


def test_a_rule_that_is_sent_on_to_https_forwards_again_to_the_group_that_is_live_there(aws: Aws, up: Up) -> None:
    """A release may have taken the requests to the second group while the rule for HTTP only redirected."""
    second = Elbv2TargetGroup("orderops-dev-shop-alt", VPC, 8080)
    plain = replace(RULE, name="orderops-dev-shop:80", alternate=second)
    other = replace(LISTENER, name="orderops-dev-balancer:8443", port=8443)
    served = replace(plain, name="orderops-dev-shop:8443", listener=other)
    redirect = Redirect("orders.example.com", 443)
    up(plain, served)
    groups = {group["TargetGroupName"]: group["TargetGroupArn"] for group in described(aws)}
    shifted = [
        {"TargetGroupArn": groups["orderops-dev-shop"], "Weight": 0},
        {"TargetGroupArn": groups["orderops-dev-shop-alt"], "Weight": 100},
    ]
    actions: list[Any] = [{"Type": "forward", "ForwardConfig": {"TargetGroups": shifted}}]
    for arn in arns_of(aws, 8443):
        aws.elbv2.modify_rule(RuleArn=arn, Actions=actions)

    sent_on = replace(plain, redirect=redirect)
    assert up(sent_on, served)[plain.address].changes["TargetGroupArns"][1] == [redirect.action()]
    assert up(sent_on, served)[plain.address].action is Action.NO_OP
    up(plain, served)

    (arn,) = arns_of(aws, 80)
    assert live_target_group(aws, arn) == groups["orderops-dev-shop-alt"]
    # A new rule on another port finds it as well.
    more = replace(LISTENER, name="orderops-dev-balancer:9443", port=9443)
    up(plain, served, replace(plain, name="orderops-dev-shop:9443", listener=more))
    (arn,) = arns_of(aws, 9443)
    assert live_target_group(aws, arn) == groups["orderops-dev-shop-alt"]


def described(aws: Aws) -> list[dict[str, Any]]:
    return list(aws.elbv2.describe_target_groups()["TargetGroups"])


def arns_of(aws: Aws, port: int) -> list[str]:
    """The ARNs of the rules on a port, but for the default one."""
    (balancer,) = aws.elbv2.describe_load_balancers()["LoadBalancers"]
    found = aws.elbv2.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    (listener,) = [raw["ListenerArn"] for raw in found if raw["Port"] == port]
    rules = aws.elbv2.describe_rules(ListenerArn=listener)["Rules"]
    return [rule["RuleArn"] for rule in rules if rule["Priority"] != "default"]
