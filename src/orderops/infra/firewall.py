"""The web ACL in front of the load balancer, with its rules, its log and its association."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from orderops.config.environment import Environment
from orderops.config.waf import OWN_RULES, WafConfig
from orderops.config.waf_groups import GROUPS, group_of
from orderops.engine.resource import Output, Resource
from orderops.resources.elbv2_load_balancer import Elbv2LoadBalancer
from orderops.resources.logs_group import LogsGroup
from orderops.resources.wafv2_association import Wafv2Association
from orderops.resources.wafv2_ip_set import Wafv2IpSet
from orderops.resources.wafv2_logging import Wafv2Logging
from orderops.resources.wafv2_web_acl import WafRule, Wafv2WebAcl

EXCEPTED = "outside-exceptions-"
"""Prefix of the rules that block what a rule with an exception matches on other paths."""
BLOCKED, COUNTRIES, RATE, BODY = OWN_RULES
OUR_RULES = frozenset({f"{BLOCKED}-v4", f"{BLOCKED}-v6", COUNTRIES, RATE, BODY})
"""The names that rules of ours have in the web ACL."""
Statement = Mapping[str, Any]


def firewall_of(environment: Environment, balancer: Elbv2LoadBalancer) -> tuple[Resource, ...]:
    """The web ACL and what belongs to it; nothing where the environment has none."""
    if not environment.firewall:
        return ()
    declared = environment.waf
    sets = {
        (purpose, version): Wafv2IpSet(f"{environment.prefix}-{purpose}-v{version}", tuple(ranges), version)
        for purpose, cidrs in (("trusted", declared.trusted_cidrs), ("blocked", declared.blocked_cidrs))
        for version, ranges in _by_version(cidrs).items()
    }
    acl = Wafv2WebAcl(acl_name(environment), tuple(_rules(declared, sets)), tuple(sets.values()))
    group = LogsGroup(log_group_name(environment), declared.log_days)
    logging = Wafv2Logging(acl.name, acl, group, tuple(declared.redacted_headers))
    return (*sets.values(), acl, group, logging, Wafv2Association(balancer.name, balancer, acl, logging))


def acl_name(environment: Environment) -> str:
    """The name of the web ACL of an environment."""
    return f"{environment.prefix}-firewall"


def log_group_name(environment: Environment) -> str:
    """The log group of the web ACL; AWS demands how its name begins."""
    return f"aws-waf-logs-{acl_name(environment)}"


def _by_version(cidrs: Sequence[str]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for text in cidrs:
        found.setdefault(ip_network(text).version, []).append(text)
    return dict(sorted(found.items()))


def _rules(declared: WafConfig, sets: Mapping[tuple[str, int], Wafv2IpSet]) -> Iterator[WafRule]:
    """The rules in the order of their priorities: what is trusted first, what costs least next."""
    action = "Block" if declared.mode == "block" else "Count"

    def own(name: str, exception: str, statement: Statement) -> WafRule:
        return WafRule(name, _off_paths(declared, exception, statement), _action(declared, exception, action))

    for (purpose, version), ip_set in sets.items():
        name = f"{purpose}-ranges-v{version}"
        statement = {"IPSetReferenceStatement": {"ARN": Output(ip_set, "arn")}}
        yield WafRule(name, statement, "Allow") if purpose == "trusted" else own(name, BLOCKED, statement)
    if declared.blocked_countries:
        yield own(COUNTRIES, COUNTRIES, _countries(declared.blocked_countries))
    if declared.allowed_countries:
        yield own(COUNTRIES, COUNTRIES, {"NotStatement": {"Statement": _countries(declared.allowed_countries)}})
    if declared.rate_limit:
        yield WafRule(RATE, _rate(declared), _action(declared, RATE, action))
    yield own(BODY, BODY, _larger_than(declared.max_body_bytes))
    for name in declared.managed_groups:
        yield WafRule(name, _managed(declared, name), "None" if declared.mode == "block" else "Count")
    for rule, exception in declared.exceptions.items():
        if exception.paths and (group := group_of(rule)):
            label = {"LabelMatchStatement": {"Scope": "LABEL", "Key": GROUPS[group].label(rule)}}
            yield WafRule(f"{EXCEPTED}{rule}", _off_paths(declared, rule, label), action)


def _action(declared: WafConfig, rule: str, action: str) -> str:
    """What a rule of ours does: without paths, its exception holds everywhere."""
    exception = declared.exceptions.get(rule)
    return "Count" if exception and not exception.paths else action


def _countries(codes: Sequence[str]) -> Statement:
    return {"GeoMatchStatement": {"CountryCodes": sorted(codes)}}


def _rate(declared: WafConfig) -> Statement:
    statement: dict[str, Any] = {
        "Limit": declared.rate_limit,
        "EvaluationWindowSec": declared.rate_window_seconds,
        "AggregateKeyType": "IP",
    }
    exception = declared.exceptions.get(RATE)
    if exception and exception.paths:
        statement["ScopeDownStatement"] = _none_of(exception.paths)
    return {"RateBasedStatement": statement}


def _larger_than(size: int) -> Statement:
    # A body that WAF cannot see to its end is larger.
    return {
        "SizeConstraintStatement": {
            "FieldToMatch": {"Body": {"OversizeHandling": "MATCH"}},
            "ComparisonOperator": "GT",
            "Size": size,
            "TextTransformations": [{"Priority": 0, "Type": "NONE"}],
        }
    }


def _managed(declared: WafConfig, name: str) -> Statement:
    """A managed group. While it only counts, each rule is told so too: else the first match would hide the others.

    The group as a whole counts besides, since AWS adds rules that no file names.
    """
    group = GROUPS[name]
    counted = [rule for rule in group.rules if declared.mode == "count" or rule in declared.exceptions]
    statement: dict[str, Any] = {"VendorName": "AWS", "Name": group.aws_name}
    if counted:
        statement["RuleActionOverrides"] = {"Count": sorted(counted)}
    if group.settings:
        statement["ManagedRuleGroupConfigs"] = [{group.aws_name: dict(group.settings)}]
    return {"ManagedRuleGroupStatement": statement}


def _off_paths(declared: WafConfig, rule: str, statement: Statement) -> Statement:
    """A statement that does not match on the paths of the exception of a rule."""
    exception = declared.exceptions.get(rule)
    if not exception or not exception.paths:
        return statement
    return {"AndStatement": {"Statements": [statement, _none_of(exception.paths)]}}


def _none_of(paths: Sequence[str]) -> Statement:
    matches = [_path(path) for path in paths]
    one = matches[0] if len(matches) == 1 else {"OrStatement": {"Statements": matches}}
    return {"NotStatement": {"Statement": one}}


def _path(path: str) -> Statement:
    return {
        "ByteMatchStatement": {
            "FieldToMatch": {"UriPath": {}},
            "PositionalConstraint": "STARTS_WITH" if path.endswith("*") else "EXACTLY",
            "SearchString": path.removesuffix("*"),
            "TextTransformations": [{"Priority": 0, "Type": "NONE"}],
        }
    }
