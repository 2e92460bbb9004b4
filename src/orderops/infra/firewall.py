"""The web ACL in front of the load balancer or a REST API, with its rules, its log and its associations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from orderops.config.environment import Environment
from orderops.config.waf import OWN_RULES, WafConfig
from orderops.config.waf_groups import GROUPS, group_of
from orderops.engine.resource import Output, Resource
from orderops.resources.apigateway_rest_api import STAGE
from orderops.resources.apigateway_stage import ApigatewayStage
from orderops.resources.apigatewayv2_integration import CLIENT_HEADER
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


def firewall_of(
    environment: Environment, balancer: Elbv2LoadBalancer, stage: ApigatewayStage | None = None
) -> tuple[Resource, ...]:
    """The web ACL and what belongs to it; nothing where the environment has none. `stage` is that of a REST API."""
    if not environment.firewall:
        return ()
    declared = environment.waf
    sets = {
        (purpose, version): Wafv2IpSet(f"{environment.prefix}-{purpose}-v{version}", tuple(ranges), version)
        for purpose, cidrs in (("trusted", declared.trusted_cidrs), ("blocked", declared.blocked_cidrs))
        for version, ranges in _by_version(cidrs).items()
    }
    forms = ("", f"/{STAGE}") if "api" in environment.firewall_places else ("",)
    rules = tuple(_rules(declared, sets, forms, caller_header(environment)))
    acl = Wafv2WebAcl(acl_name(environment), rules, tuple(sets.values()))
    group = LogsGroup(log_group_name(environment), declared.log_days)
    logging = Wafv2Logging(acl.name, acl, group, tuple(declared.redacted_headers))
    places = {"balancer": balancer, "api": stage}
    guarded = [one for place in environment.firewall_places if (one := places[place])]
    return (*sets.values(), acl, group, logging, *(Wafv2Association(one.name, one, acl, logging) for one in guarded))


def acl_name(environment: Environment) -> str:
    """The name of the web ACL of an environment."""
    return f"{environment.prefix}-firewall"


def caller_header(environment: Environment) -> str:
    """The header in which the web ACL finds the address of a caller; "" where requests come from callers themselves.

    Behind an API, all of them come from its VPC link. The API writes the header anew, and only it reaches an internal
    load balancer, so that no caller writes it.
    """
    return CLIENT_HEADER if environment.api.alone and environment.firewall_places == ("balancer",) else ""


def log_group_name(environment: Environment) -> str:
    """The log group of the web ACL; AWS demands how its name begins."""
    return f"aws-waf-logs-{acl_name(environment)}"


def _by_version(cidrs: Sequence[str]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for text in cidrs:
        found.setdefault(ip_network(text).version, []).append(text)
    return dict(sorted(found.items()))


def _rules(
    declared: WafConfig, sets: Mapping[tuple[str, int], Wafv2IpSet], forms: Sequence[str], header: str
) -> Iterator[WafRule]:
    """The rules in the order of their priorities: what is trusted first, what costs least next.

    `forms` is what a path may have in front: by the URL of AWS, requests to an API begin with its stage. `header` is
    where the address of a caller stands.
    """
    action = "Block" if declared.mode == "block" else "Count"
    excepted = {rule: _any_of(one.paths, forms) for rule, one in declared.exceptions.items() if one.paths}

    def own(name: str, exception: str, statement: Statement) -> WafRule:
        return WafRule(name, _off(excepted.get(exception), statement), _action(declared, exception, action))

    for (purpose, version), ip_set in sets.items():
        name = f"{purpose}-ranges-v{version}"
        caller = _caller("IPSetForwardedIPConfig", header, Position="FIRST")
        statement = {"IPSetReferenceStatement": {"ARN": Output(ip_set, "arn"), **caller}}
        yield WafRule(name, statement, "Allow") if purpose == "trusted" else own(name, BLOCKED, statement)
    if declared.blocked_countries:
        yield own(COUNTRIES, COUNTRIES, _countries(declared.blocked_countries, header))
    if declared.allowed_countries:
        allowed = _countries(declared.allowed_countries, header)
        yield own(COUNTRIES, COUNTRIES, {"NotStatement": {"Statement": allowed}})
    if declared.rate_limit:
        yield WafRule(RATE, _rate(declared, excepted.get(RATE), header), _action(declared, RATE, action))
    yield own(BODY, BODY, _larger_than(declared.max_body_bytes))
    for name in declared.managed_groups:
        yield WafRule(name, _managed(declared, name), "None" if declared.mode == "block" else "Count")
    for rule, paths in excepted.items():
        if group := group_of(rule):
            label = {"LabelMatchStatement": {"Scope": "LABEL", "Key": GROUPS[group].label(rule)}}
            yield WafRule(f"{EXCEPTED}{rule}", _off(paths, label), action)


def _action(declared: WafConfig, rule: str, action: str) -> str:
    """What a rule of ours does: without paths, its exception holds everywhere."""
    exception = declared.exceptions.get(rule)
    return "Count" if exception and not exception.paths else action


def _countries(codes: Sequence[str], header: str) -> Statement:
    return {"GeoMatchStatement": {"CountryCodes": sorted(codes), **_caller("ForwardedIPConfig", header)}}


def _caller(key: str, header: str, **more: str) -> dict[str, Any]:
    """Where a statement finds the address of a caller, under its key for that; nothing without a header."""
    # Without a match where the header holds no address, so that a fault of ours blocks nobody.
    return {key: {"HeaderName": header, "FallbackBehavior": "NO_MATCH", **more}} if header else {}


def _rate(declared: WafConfig, excepted: Statement | None, header: str) -> Statement:
    statement: dict[str, Any] = {
        "Limit": declared.rate_limit,
        "EvaluationWindowSec": declared.rate_window_seconds,
        "AggregateKeyType": "FORWARDED_IP" if header else "IP",
        **_caller("ForwardedIPConfig", header),
    }
    if excepted:
        statement["ScopeDownStatement"] = {"NotStatement": {"Statement": excepted}}
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


def _off(excepted: Statement | None, statement: Statement) -> Statement:
    """A statement that does not match on excepted paths."""
    if not excepted:
        return statement
    return {"AndStatement": {"Statements": [statement, {"NotStatement": {"Statement": excepted}}]}}


def _any_of(paths: Sequence[str], forms: Sequence[str]) -> Statement:
    matches = [_path(form + path) for path in paths for form in forms]
    return matches[0] if len(matches) == 1 else {"OrStatement": {"Statements": matches}}


def _path(path: str) -> Statement:
    return {
        "ByteMatchStatement": {
            "FieldToMatch": {"UriPath": {}},
            "PositionalConstraint": "STARTS_WITH" if path.endswith("*") else "EXACTLY",
            "SearchString": path.removesuffix("*"),
            "TextTransformations": [{"Priority": 0, "Type": "NONE"}],
        }
    }
