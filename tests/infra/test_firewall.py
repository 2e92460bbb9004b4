"""The web ACL of an environment: which rules it has, in which order, and what each does."""

from __future__ import annotations

from typing import Any

import pytest

from orderops.config.api import ApiConfig
from orderops.config.environment import Environment, load_environment
from orderops.config.waf import ExceptionConfig, WafConfig
from orderops.engine.resource import Outputs
from orderops.infra.firewall import firewall_of, log_group_name
from orderops.infra.stack import stack
from orderops.local.strict.wafv2.statements import capacity_of, check_rules
from orderops.resources.logs_group import LogsGroup
from orderops.resources.wafv2_association import Wafv2Association
from orderops.resources.wafv2_ip_set import Wafv2IpSet
from orderops.resources.wafv2_logging import Wafv2Logging
from orderops.resources.wafv2_web_acl import Wafv2WebAcl
from support.declared_service import BALANCER
from support.repository import ENVIRONMENTS

V4, V6 = "192.0.2.0/24", "2001:db8::/32"
EVERYTHING: dict[str, Any] = {
    "trusted_cidrs": ["203.0.113.0/24"],
    "blocked_cidrs": [V6, V4, "198.51.100.0/24"],
    "allowed_countries": ["NZ", "AU"],
    "rate_limit": 100,
    "rate_window_seconds": 60,
    "max_body_bytes": 4096,
    "managed_groups": ["common", "bots"],
}


def dev(**keys: Any) -> Environment:
    environment = load_environment("dev", ENVIRONMENTS)
    return environment.model_copy(update={"waf": WafConfig(enabled=True, **keys)})


def rules_of(**keys: Any) -> dict[str, Any]:
    acl = next(one for one in firewall_of(dev(**keys), BALANCER) if isinstance(one, Wafv2WebAcl))
    rules: dict[str, Any] = acl.desired(Outputs())["Rules"]
    return rules


def excepted(**paths: tuple[str, ...]) -> dict[str, ExceptionConfig]:
    named = {rule.replace("__", "-"): listed for rule, listed in paths.items()}
    return {rule: ExceptionConfig(paths=list(listed), reason="x") for rule, listed in named.items()}


def actions(rules: dict[str, Any]) -> dict[str, str]:
    return {name: rule.get("Action") or rule["OverrideAction"] for name, rule in rules.items()}


def test_dev_has_no_firewall_and_prod_has_one() -> None:
    kinds = {Wafv2WebAcl, Wafv2Logging, Wafv2Association}

    def of(name: str) -> set[type]:
        return {type(one) for one in stack(load_environment(name, ENVIRONMENTS), "1" * 12).infra} & kinds

    assert (of("dev"), of("prod")) == (set(), kinds)


def test_the_log_group_is_named_as_aws_wants_and_kept_as_declared() -> None:
    resources = firewall_of(dev(log_days=90, redacted_headers=["cookie"]), BALANCER)

    [group] = [one for one in resources if isinstance(one, LogsGroup)]
    [logging] = [one for one in resources if isinstance(one, Wafv2Logging)]
    assert (group.name, group.retention_days) == ("aws-waf-logs-orderops-dev-firewall", 90)
    assert log_group_name(dev()) == group.name
    assert (logging.group, logging.redacted_headers) == (group, ("cookie",))
    [association] = [one for one in resources if isinstance(one, Wafv2Association)]
    assert (association.guarded, association.logging) == (BALANCER, logging)


def test_ranges_are_sets_by_version() -> None:
    sets = [one for one in firewall_of(dev(**EVERYTHING), BALANCER) if isinstance(one, Wafv2IpSet)]

    assert {(one.name, one.addresses, one.version) for one in sets} == {
        ("orderops-dev-trusted-v4", ("203.0.113.0/24",), 4),
        ("orderops-dev-blocked-v4", (V4, "198.51.100.0/24"), 4),
        ("orderops-dev-blocked-v6", (V6,), 6),
    }


def test_at_first_everything_counts_and_only_what_is_trusted_is_let_through() -> None:
    assert actions(rules_of(**EVERYTHING)) == {
        "trusted-ranges-v4": "Allow",
        "blocked-ranges-v4": "Count",
        "blocked-ranges-v6": "Count",
        "countries": "Count",
        "rate": "Count",
        "body-size": "Count",
        "common": "Count",
        "bots": "Count",
    }


def test_in_mode_block_all_of_it_blocks() -> None:
    found = actions(rules_of(**EVERYTHING, mode="block"))

    assert {name for name, action in found.items() if action not in ("Block", "None")} == {"trusted-ranges-v4"}


def test_each_rule_says_what_the_file_does() -> None:
    rules = rules_of(**EVERYTHING)

    rate = rules["rate"]["Statement"]["RateBasedStatement"]
    assert rate == {"Limit": 100, "EvaluationWindowSec": 60, "AggregateKeyType": "IP"}
    size = rules["body-size"]["Statement"]["SizeConstraintStatement"]
    assert (size["ComparisonOperator"], size["Size"]) == ("GT", 4096)
    assert size["FieldToMatch"] == {"Body": {"OversizeHandling": "MATCH"}}
    not_there = rules["countries"]["Statement"]["NotStatement"]["Statement"]
    assert not_there == {"GeoMatchStatement": {"CountryCodes": ["AU", "NZ"]}}
    there = rules_of(blocked_countries=["KP"])["countries"]["Statement"]
    assert there == {"GeoMatchStatement": {"CountryCodes": ["KP"]}}
    assert [rule["Priority"] for rule in rules.values()] == list(range(8))
    bots = rules["bots"]["Statement"]["ManagedRuleGroupStatement"]
    assert bots["ManagedRuleGroupConfigs"] == [{"AWSManagedRulesBotControlRuleSet": {"InspectionLevel": "COMMON"}}]
    assert "rate" not in rules_of(rate_limit=None)


def test_while_a_group_counts_each_of_its_rules_counts_too_and_labels_the_request() -> None:
    group = rules_of()["common"]["Statement"]["ManagedRuleGroupStatement"]

    assert list(group["RuleActionOverrides"]) == ["Count"]
    assert len(group["RuleActionOverrides"]["Count"]) == 22
    assert "SizeRestrictions_BODY" in group["RuleActionOverrides"]["Count"]
    assert "RuleActionOverrides" not in rules_of(mode="block")["common"]["Statement"]["ManagedRuleGroupStatement"]


def test_a_rule_excepted_everywhere_counts_and_the_others_block() -> None:
    rules = rules_of(mode="block", exceptions=excepted(SizeRestrictions_BODY=(), rate=(), body__size=()))

    overrides = rules["common"]["Statement"]["ManagedRuleGroupStatement"]["RuleActionOverrides"]
    assert overrides == {"Count": ["SizeRestrictions_BODY"]}
    assert actions(rules) == {
        "rate": "Count",
        "body-size": "Count",
        "common": "None",
        "known-bad-inputs": "None",
        "sql-injection": "None",
        "ip-reputation": "None",
    }


def path(text: str, how: str) -> dict[str, Any]:
    return {
        "ByteMatchStatement": {
            "FieldToMatch": {"UriPath": {}},
            "PositionalConstraint": how,
            "SearchString": text,
            "TextTransformations": [{"Priority": 0, "Type": "NONE"}],
        }
    }


def test_a_rule_excepted_on_paths_blocks_on_the_others_by_its_label() -> None:
    rules = rules_of(mode="block", exceptions=excepted(SizeRestrictions_BODY=("/orders*", "/import")))

    behind = rules["outside-exceptions-SizeRestrictions_BODY"]
    assert behind["Priority"] == len(rules) - 1
    assert behind["Action"] == "Block"
    label, not_there = behind["Statement"]["AndStatement"]["Statements"]
    key = "awswaf:managed:aws:core-rule-set:SizeRestrictions_Body"
    assert label == {"LabelMatchStatement": {"Scope": "LABEL", "Key": key}}
    either = not_there["NotStatement"]["Statement"]["OrStatement"]["Statements"]
    assert either == [path("/orders", "STARTS_WITH"), path("/import", "EXACTLY")]


def test_rules_of_ours_do_not_match_on_excepted_paths() -> None:
    names = {"rate": ("/a",), "body__size": ("/a",), "countries": ("/a",), "blocked__ranges": ("/a",)}
    rules = rules_of(**EVERYTHING, mode="block", exceptions=excepted(**names))

    off = {"NotStatement": {"Statement": path("/a", "EXACTLY")}}
    assert rules["rate"]["Statement"]["RateBasedStatement"]["ScopeDownStatement"] == off
    for name in ("body-size", "countries", "blocked-ranges-v4", "blocked-ranges-v6"):
        assert rules[name]["Statement"]["AndStatement"]["Statements"][1] == off
    assert not any(name.startswith("outside") for name in rules)


def sent(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule as it is sent: an action is a structure."""
    return {key: {value: {}} if key in ("Action", "OverrideAction") else value for key, value in rule.items()}


def on_the_api(**keys: Any) -> Environment:
    api = ApiConfig.model_validate({"waf": True, **keys.pop("api", {})})
    return dev(**keys).model_copy(update={"api": api})


def guarded_by(environment: Environment) -> list[str]:
    return [one.name for one in stack(environment, "1" * 12).infra if isinstance(one, Wafv2Association)]


def test_the_web_acl_of_an_api_is_on_its_stage_and_not_on_the_load_balancer_behind_it() -> None:
    assert guarded_by(on_the_api()) == ["orderops-dev-api:live"]
    assert guarded_by(on_the_api(api={"balancer": "both"})) == ["orderops-dev-balancer", "orderops-dev-api:live"]
    assert guarded_by(on_the_api(api={"waf": False, "api_keys": True})) == ["orderops-dev-internal"]


def test_behind_an_http_api_callers_are_known_by_the_header_that_it_writes() -> None:
    environment = dev(**EVERYTHING, mode="block").model_copy(update={"api": ApiConfig(type="http")})
    acl = next(one for one in firewall_of(environment, BALANCER) if isinstance(one, Wafv2WebAcl))
    rules: dict[str, Any] = acl.desired(Outputs())["Rules"]

    header = {"HeaderName": "X-Client-Ip", "FallbackBehavior": "NO_MATCH"}
    statements = {name: rule["Statement"] for name, rule in rules.items()}
    assert statements["rate"]["RateBasedStatement"]["AggregateKeyType"] == "FORWARDED_IP"
    assert statements["rate"]["RateBasedStatement"]["ForwardedIPConfig"] == header
    assert statements["countries"]["NotStatement"]["Statement"]["GeoMatchStatement"]["ForwardedIPConfig"] == header
    for name in ("trusted-ranges-v4", "blocked-ranges-v4", "blocked-ranges-v6"):
        found = statements[name]["IPSetReferenceStatement"]["IPSetForwardedIPConfig"]
        assert found == {**header, "Position": "FIRST"}


@pytest.mark.parametrize(
    "api", [{}, {"type": "http", "balancer": "both"}, {"type": "rest"}], ids=["no API", "both", "on a REST API"]
)
def test_where_clients_come_themselves_no_header_is_believed(api: dict[str, Any]) -> None:
    environment = dev(**EVERYTHING).model_copy(update={"api": ApiConfig.model_validate(api)})
    acl = next(one for one in firewall_of(environment, BALANCER) if isinstance(one, Wafv2WebAcl))

    assert "X-Client-Ip" not in str(acl.desired(Outputs())["Rules"])


def test_paths_on_an_api_hold_with_its_stage_in_front_and_without() -> None:
    environment = on_the_api(mode="block", exceptions=excepted(rate=("/orders*",), SizeRestrictions_BODY=("/a", "/b")))
    [acl] = [one for one in stack(environment, "1" * 12).infra if isinstance(one, Wafv2WebAcl)]
    rules: dict[str, Any] = acl.desired(Outputs())["Rules"]

    off = rules["rate"]["Statement"]["RateBasedStatement"]["ScopeDownStatement"]["NotStatement"]["Statement"]
    assert off["OrStatement"]["Statements"] == [path("/orders", "STARTS_WITH"), path("/live/orders", "STARTS_WITH")]
    behind = rules["outside-exceptions-SizeRestrictions_BODY"]["Statement"]["AndStatement"]["Statements"][1]
    names = [
        one["ByteMatchStatement"]["SearchString"]
        for one in behind["NotStatement"]["Statement"]["OrStatement"]["Statements"]
    ]
    assert names == ["/a", "/live/a", "/b", "/live/b"]
    sent_rules = [{"Name": name, **sent(rule)} for name, rule in rules.items()]
    assert capacity_of(sent_rules) == environment.waf.capacity(forms=2)


def test_aws_takes_the_rules_and_counts_the_capacity_that_the_file_promises() -> None:
    keys = {
        **EVERYTHING,
        "exceptions": excepted(
            SizeRestrictions_BODY=("/a*", "/b"), rate=("/a",), blocked__ranges=("/a", "/b"), NoUserAgent_HEADER=()
        ),
    }
    for mode in ("count", "block"):
        rules = [{"Name": name, **sent(rule)} for name, rule in rules_of(**keys, mode=mode).items()]
        check_rules(rules, {"(known after apply)": None})

        assert capacity_of(rules) == dev(**keys, mode=mode).waf.capacity()
