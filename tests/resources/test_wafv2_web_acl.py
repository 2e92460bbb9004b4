"""Web ACLs of AWS WAF."""

from __future__ import annotations

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.engine.destroy import needed_kinds
from orderops.engine.resource import Effect
from orderops.engine.step import Action
from orderops.frozen import replace
from orderops.resources.wafv2_ip_set import Wafv2IpSet
from orderops.resources.wafv2_web_acl import WafRule, Wafv2WebAcl
from support.contract import Up, keeps_its_promises
from support.declared_firewall import ACL, RANGES, RULES, acl_in, counting
from support.faults import Fault, PowerCut


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(ACL, aws, up, rules=RULES[1:], ip_sets=())


def test_rules_are_tried_in_the_order_of_the_declaration(aws: Aws, up: Up) -> None:
    up(ACL)

    found = acl_in(aws.wafv2)["Rules"]

    assert [(rule["Name"], rule["Priority"]) for rule in found] == [("ranges", 0), ("rate", 1), ("common", 2)]
    assert [rule.get("Action", rule.get("OverrideAction")) for rule in found] == [
        {"Block": {}},
        {"Count": {}},
        {"None": {}},
    ]
    assert found[0]["Statement"]["IPSetReferenceStatement"]["ARN"].split("/")[-2] == RANGES.name
    assert acl_in(aws.wafv2)["DefaultAction"] == {"Allow": {}}


def test_a_rule_with_an_id_of_a_set_depends_on_the_set() -> None:
    assert RANGES in ACL.needs()
    assert Wafv2IpSet in needed_kinds(Wafv2WebAcl)


def test_a_rule_changed_by_hand_is_set_back_and_nothing_else_is_lost(aws: Aws, up: Up) -> None:
    up(ACL)
    before = acl_in(aws.wafv2)
    body = {"page": {"ContentType": "TEXT_PLAIN", "Content": "no"}}
    kept = {key: before[key] for key in ("Name", "Id", "DefaultAction", "VisibilityConfig", "LockToken")}
    aws.wafv2.update_web_acl(**kept, Scope="REGIONAL", Rules=before["Rules"][:1], CustomResponseBodies=body)

    changes = up(ACL)[ACL.address].changes

    assert sorted(changes["Rules"][1]) == ["common", "ranges", "rate"]
    after = acl_in(aws.wafv2)
    assert (after["Rules"], after["CustomResponseBodies"]) == (before["Rules"], body)


def test_a_change_between_the_read_and_the_write_is_not_overwritten_unseen(
    aws: Aws, up: Up, session: boto3.Session
) -> None:
    up(ACL)
    kept = {key: acl_in(aws.wafv2)[key] for key in ("Name", "Id", "DefaultAction", "VisibilityConfig", "LockToken")}
    tokens: list[str] = []

    def meanwhile(params: dict[str, object], **_: object) -> None:
        tokens.append(str(params["LockToken"]))
        if len(tokens) == 1:
            aws.wafv2.update_web_acl(**kept, Scope="REGIONAL", Rules=[], Description="by hand")

    session.events.register("provide-client-params.wafv2.UpdateWebACL", meanwhile)

    up(replace(ACL, rules=RULES[1:], ip_sets=()))

    # The first try, the change by hand with the same token, and the second try after another read.
    assert (tokens[0], tokens[1]) == (kept["LockToken"],) * 2
    assert tokens[2] != tokens[0]
    found = acl_in(aws.wafv2)
    assert ([rule["Name"] for rule in found["Rules"]], found["Description"]) == (["rate", "common"], "by hand")


@pytest.mark.parametrize("call", range(5))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("wafv2", after=call), pytest.raises(PowerCut):
        up(ACL)

    up(ACL)

    assert {step.action for step in up(ACL).values()} == {Action.NO_OP}


def test_what_newly_blocks_interrupts_and_what_only_counts_is_safe(aws: Aws, up: Up) -> None:
    up(counting())
    moved = replace(counting(), rules=(*counting().rules[1:], counting().rules[0]))

    assert up(moved, dry_run=True)[ACL.address].effect is Effect.SAFE
    assert up(ACL)[ACL.address].effect is Effect.INTERRUPTS
    # Blocks as before, in another place.
    assert up(replace(ACL, rules=RULES[::-1]), dry_run=True)[ACL.address].effect is Effect.SAFE
    other = WafRule("ranges", RULES[1].statement, "Block")
    assert up(replace(ACL, rules=(other,)), dry_run=True)[ACL.address].effect is Effect.INTERRUPTS
    assert up(counting(), dry_run=True)[ACL.address].effect is Effect.SAFE


def test_the_setting_that_bot_control_adds_is_no_difference(aws: Aws, up: Up) -> None:
    def bots(settings: dict[str, object]) -> Wafv2WebAcl:
        name = "AWSManagedRulesBotControlRuleSet"
        statement = {"VendorName": "AWS", "Name": name, "ManagedRuleGroupConfigs": [{name: settings}]}
        return replace(ACL, rules=(WafRule("bots", {"ManagedRuleGroupStatement": statement}, "None"),), ip_sets=())

    up(bots({"InspectionLevel": "COMMON"}))
    found = acl_in(aws.wafv2)
    statement = found["Rules"][0]["Statement"]["ManagedRuleGroupStatement"]
    statement["ManagedRuleGroupConfigs"][0][statement["Name"]]["EnableMachineLearning"] = True
    kept = {key: found[key] for key in ("Name", "Id", "DefaultAction", "VisibilityConfig", "LockToken", "Rules")}
    aws.wafv2.update_web_acl(**kept, Scope="REGIONAL")

    assert up(bots({"InspectionLevel": "COMMON"}))[ACL.address].action is Action.NO_OP


def test_an_action_with_settings_of_its_own_is_drift(aws: Aws, up: Up) -> None:
    up(ACL)
    found = acl_in(aws.wafv2)
    answer = {"CustomResponse": {"ResponseCode": 429}}
    found["Rules"][0]["Action"] = {"Block": answer}
    kept = {key: found[key] for key in ("Name", "Id", "DefaultAction", "VisibilityConfig", "LockToken", "Rules")}
    aws.wafv2.update_web_acl(**kept, Scope="REGIONAL")

    (observed, desired) = up(ACL)[ACL.address].changes["Rules"]

    assert (observed["ranges"]["Action"], desired["ranges"]["Action"]) == ({"Block": answer}, "Block")
    assert acl_in(aws.wafv2)["Rules"][0]["Action"] == {"Block": {}}


def test_rules_of_a_managed_group_are_told_to_count_one_by_one(aws: Aws, up: Up) -> None:
    def common(overrides: dict[str, object]) -> Wafv2WebAcl:
        statement = {"VendorName": "AWS", "Name": "AWSManagedRulesCommonRuleSet", **overrides}
        return replace(ACL, rules=(WafRule("c", {"ManagedRuleGroupStatement": statement}, "None"),), ip_sets=())

    counting = common({"RuleActionOverrides": {"Count": ["GenericLFI_BODY", "NoUserAgent_HEADER"]}})
    up(counting)

    found = acl_in(aws.wafv2)
    statement = found["Rules"][0]["Statement"]["ManagedRuleGroupStatement"]
    assert statement["RuleActionOverrides"] == [
        {"Name": name, "ActionToUse": {"Count": {}}} for name in ("GenericLFI_BODY", "NoUserAgent_HEADER")
    ]
    assert up(counting)[ACL.address].action is Action.NO_OP
    # One with settings of its own, set by hand.
    statement["RuleActionOverrides"][0]["ActionToUse"] = {"Block": {"CustomResponse": {"ResponseCode": 429}}}
    kept = {key: found[key] for key in ("Name", "Id", "DefaultAction", "VisibilityConfig", "LockToken", "Rules")}
    aws.wafv2.update_web_acl(**kept, Scope="REGIONAL")
    assert up(counting)[ACL.address].action is Action.UPDATE
    assert up(counting)[ACL.address].action is Action.NO_OP
