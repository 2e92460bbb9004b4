"""What AWS WAF demands of the rules of a web ACL, and the capacity that they need.

Shapes and limits: API reference of AWS WAF, "Rule", "Statement", "RateBasedStatement"; capacities: developer guide,
"Web ACL capacity units", and the pages of the rule groups.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orderops.local.strict.wafv2.errors import absent, invalid

# Capacity units of the rule groups that AWS keeps, and of single statements.
GROUPS = {
    "AWSManagedRulesAdminProtectionRuleSet": 100,
    "AWSManagedRulesAmazonIpReputationList": 25,
    "AWSManagedRulesAnonymousIpList": 50,
    "AWSManagedRulesBotControlRuleSet": 50,
    "AWSManagedRulesCommonRuleSet": 700,
    "AWSManagedRulesKnownBadInputsRuleSet": 200,
    "AWSManagedRulesLinuxRuleSet": 200,
    "AWSManagedRulesPHPRuleSet": 100,
    "AWSManagedRulesSQLiRuleSet": 200,
    "AWSManagedRulesUnixRuleSet": 100,
    "AWSManagedRulesWindowsRuleSet": 200,
    "AWSManagedRulesWordPressRuleSet": 100,
}
STATEMENTS = {
    "ByteMatchStatement": 2,
    "GeoMatchStatement": 1,
    "IPSetReferenceStatement": 1,
    "LabelMatchStatement": 1,
    "RateBasedStatement": 2,
    "SizeConstraintStatement": 1,
}
TRANSFORMED = 10
MOST_CAPACITY = 5000
MOST_COUNTRIES = 50
EVALUATION_WINDOWS = (60, 120, 300, 600)
FORWARDED = frozenset({"ForwardedIPConfig", "IPSetForwardedIPConfig"})
HEADER = re.compile(r"[a-zA-Z0-9-]{1,255}")
GROUP_STATEMENTS = ("ManagedRuleGroupStatement", "RuleGroupReferenceStatement")


def check_rules(rules: Sequence[Mapping[str, Any]], ip_sets: Mapping[str, Any]) -> None:
    """Raise the error of AWS for rules that it refuses; `ip_sets` are those of the account by ARN."""
    for key in ("Name", "Priority"):
        values = [rule[key] for rule in rules]
        if len(set(values)) < len(values):
            raise invalid("RULE", f"{key} {values}", "Your rules have duplicates")
    for rule in rules:
        group = any(name in rule["Statement"] for name in GROUP_STATEMENTS)
        if ("OverrideAction" in rule) != group or ("Action" in rule) == group:
            raise invalid("RULE", rule["Name"], "A reference to a rule group takes an OverrideAction, others an Action")
        action = rule.get("OverrideAction") or rule.get("Action") or {}
        if len(action) != 1:
            raise invalid("RULE_ACTION", action)
        _check_statement(rule["Statement"], ip_sets, top=True)


def capacity_of(rules: Sequence[Mapping[str, Any]]) -> int:
    """The capacity units that rules need."""
    return sum(_cost(rule["Statement"]) for rule in rules)


def parts_of(statement: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield every statement inside a statement by its name, itself first."""
    for name, body in statement.items():
        yield name, body
        for inner in _inside(body):
            yield from parts_of(inner)


def _check_statement(statement: Mapping[str, Any], ip_sets: Mapping[str, Any], *, top: bool) -> None:
    if len(statement) != 1:
        raise invalid("STATEMENT", sorted(statement))
    name, body = next(iter(statement.items()))
    if name in (*GROUP_STATEMENTS, "RateBasedStatement") and not top:
        raise invalid("STATEMENT", name, "You can't nest this statement")
    if name == "IPSetReferenceStatement" and body["ARN"] not in ip_sets:
        raise absent()
    if name == "ManagedRuleGroupStatement" and (body["VendorName"] != "AWS" or body["Name"] not in GROUPS):
        raise absent()
    _check_values(name, body)
    for inner in _inside(body):
        _check_statement(inner, ip_sets, top=False)


def _check_values(name: str, body: Mapping[str, Any]) -> None:
    if name == "GeoMatchStatement" and not 1 <= len(body["CountryCodes"]) <= MOST_COUNTRIES:
        raise invalid("GEO_MATCH_STATEMENT", body["CountryCodes"])
    if name == "RateBasedStatement" and body.get("EvaluationWindowSec", 300) not in EVALUATION_WINDOWS:
        raise invalid("EVALUATION_WINDOW_SEC", body["EvaluationWindowSec"])
    if body.get("AggregateKeyType") == "FORWARDED_IP" and "ForwardedIPConfig" not in body:
        raise invalid("FORWARDED_IP_CONFIG", None, "FORWARDED_IP needs one")
    for key in FORWARDED & body.keys():
        _check_forwarded(key, body[key])
    if name in ("AndStatement", "OrStatement") and len(body["Statements"]) < 2:
        raise invalid(name.upper(), len(body["Statements"]), "You need at least two statements")
    if "Body" in body.get("FieldToMatch", {}) and not body["FieldToMatch"]["Body"].get("OversizeHandling"):
        raise invalid("OVERSIZE_HANDLING", body["FieldToMatch"])


def _check_forwarded(key: str, config: Mapping[str, Any]) -> None:
    if not HEADER.fullmatch(config.get("HeaderName", "")):
        raise invalid("HEADER_NAME", config.get("HeaderName"))
    if config.get("FallbackBehavior") not in ("MATCH", "NO_MATCH"):
        raise invalid("FALLBACK_BEHAVIOR", config.get("FallbackBehavior"))
    positions = ("FIRST", "LAST", "ANY") if key == "IPSetForwardedIPConfig" else (None,)
    if config.get("Position") not in positions:
        raise invalid("FORWARDED_IP_CONFIG", config.get("Position"))


def _inside(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    nested = body.get("Statements") or [body.get("Statement"), body.get("ScopeDownStatement")]
    return [one for one in nested if one]


def _cost(statement: Mapping[str, Any]) -> int:
    cost = 0
    for name, body in parts_of(statement):
        changed = [one for one in body.get("TextTransformations", ()) if one["Type"] != "NONE"]
        cost += STATEMENTS.get(name, 0) + TRANSFORMED * len(changed)
        if name == "ManagedRuleGroupStatement":
            cost += GROUPS[body["Name"]]
    return cost
