"""The rules of a web ACL, one statement at a time."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from orderops.local.elb import firewall
from orderops.local.elb.firewall import Firewall, WebAcl, WebRequest

NONE = [{"Priority": 0, "Type": "NONE"}]
ARN = "arn:aws:wafv2:ap-southeast-2:123456789012:regional/webacl/front/1"
GROUP = "arn:aws:logs:ap-southeast-2:123456789012:log-group:aws-waf-logs-front"
RANGES = {"here": (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))}
REQUEST = WebRequest("192.0.2.7", "POST", "/orders/7", "a=b", "1.1", (("Cookie", "c=1"), ("host", "shop")), 100)
HERE: dict[str, Any] = {"IPSetReferenceStatement": {"ARN": "here"}}
ELSEWHERE: dict[str, Any] = {"IPSetReferenceStatement": {"ARN": "unknown"}}
SECRET: dict[str, Any] = {"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": "AWSManagedRulesCommonRuleSet"}}
BLOCK: dict[str, Any] = {"Block": {}}
COUNT: dict[str, Any] = {"Count": {}}
ALLOW: dict[str, Any] = {"Allow": {}}


def path(text: str, how: str = "EXACTLY", kind: str = "NONE", part: str = "UriPath") -> dict[str, Any]:
    return {
        "ByteMatchStatement": {
            "FieldToMatch": {part: {}},
            "PositionalConstraint": how,
            "SearchString": b64encode(text.encode()).decode(),
            "TextTransformations": [{"Priority": 0, "Type": kind}],
        }
    }


def size(comparison: str, limit: int, handling: str = "CONTINUE", part: str = "Body") -> dict[str, Any]:
    return {
        "SizeConstraintStatement": {
            "FieldToMatch": {part: {"OversizeHandling": handling}},
            "ComparisonOperator": comparison,
            "Size": limit,
            "TextTransformations": NONE,
        }
    }


def rate(limit: int, **more: Any) -> dict[str, Any]:
    return {"RateBasedStatement": {"Limit": limit, "EvaluationWindowSec": 60, "AggregateKeyType": "IP", **more}}


def all_of(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"AndStatement": {"Statements": list(statements)}}


def any_of(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"OrStatement": {"Statements": list(statements)}}


def none_of(statement: dict[str, Any]) -> dict[str, Any]:
    return {"NotStatement": {"Statement": statement}}


def acl(*rules: tuple[str, dict[str, Any], dict[str, Any]], **more: Any) -> WebAcl:
    listed = tuple({"Name": name, "Statement": statement, "Action": action} for name, statement, action in rules)
    return WebAcl(ARN, "app/front/1", listed, RANGES, log_group=GROUP, **more)


def blocks(statement: dict[str, Any], request: WebRequest = REQUEST) -> bool:
    return not Firewall().lets_in(acl(("rule", statement, BLOCK)), request, 1000.0)


@pytest.mark.parametrize(
    ("statement", "matches"),
    [
        (HERE, True),
        (ELSEWHERE, False),
        (path("/orders/7"), True),
        (path("/orders"), False),
        (path("/orders", "STARTS_WITH"), True),
        (path("/7", "STARTS_WITH"), False),
        (path("/7", "ENDS_WITH"), True),
        (path("/orders", "ENDS_WITH"), False),
        (path("ders", "CONTAINS"), True),
        (path("xx", "CONTAINS"), False),
        (size("GT", 99), True),
        (size("GT", 100), False),
        (size("GE", 100), True),
        (size("GE", 101), False),
        (size("LT", 101), True),
        (size("LT", 100), False),
        (size("LE", 100), True),
        (size("LE", 99), False),
        (size("EQ", 100), True),
        (size("EQ", 99), False),
        (size("NE", 99), True),
        (size("NE", 100), False),
        (none_of(HERE), False),
        (none_of(ELSEWHERE), True),
        (all_of(HERE, path("/orders/7")), True),
        (all_of(HERE, ELSEWHERE), False),
        (any_of(ELSEWHERE, HERE), True),
        (any_of(ELSEWHERE, ELSEWHERE), False),
        # What only AWS knows, and what is certain nevertheless.
        (SECRET, False),
        (none_of(SECRET), False),
        ({"GeoMatchStatement": {"CountryCodes": ["AU"]}}, False),
        (none_of({"GeoMatchStatement": {"CountryCodes": ["AU"]}}), False),
        (all_of(HERE, SECRET), False),
        (none_of(all_of(ELSEWHERE, SECRET)), True),
        (any_of(HERE, SECRET), True),
        (none_of(any_of(ELSEWHERE, SECRET)), False),
        (none_of(path("/x", kind="LOWERCASE")), False),
        (none_of(path("/x", part="QueryString")), False),
        (none_of(path("/x", "CONTAINS_WORD")), False),
        (none_of(size("GT", 1000, part="Cookies")), False),
    ],
)
def test_a_statement_matches_or_is_not_judged(statement: dict[str, Any], matches: bool) -> None:
    assert blocks(statement) is matches


FORWARDED = {"HeaderName": "X-Client-Ip", "FallbackBehavior": "NO_MATCH"}


def behind(**more: str) -> dict[str, Any]:
    config = {**FORWARDED, "Position": "FIRST", **more}
    return {"IPSetReferenceStatement": {"ARN": "here", "IPSetForwardedIPConfig": config}}


SENT = {
    "the header": (("x-client-ip", "192.0.2.9"), behind(), True),
    "of several, the first": (("X-Client-Ip", "192.0.2.9, 203.0.113.1"), behind(), True),
    "an address elsewhere": (("X-Client-Ip", "203.0.113.1"), behind(), False),
    "no address": (("X-Client-Ip", "nobody"), behind(), False),
    "no address, which is to match": (("X-Client-Ip", "nobody"), behind(FallbackBehavior="MATCH"), True),
    "no header": (("host", "shop"), behind(FallbackBehavior="MATCH"), False),
    "no header, and the opposite": (("host", "shop"), none_of(behind()), False),
}


@pytest.mark.parametrize(("header", "statement", "matches"), SENT.values(), ids=SENT)
def test_a_range_may_be_compared_with_the_address_in_a_header(
    header: tuple[str, str], statement: dict[str, Any], matches: bool
) -> None:
    request = replace(REQUEST, address="10.0.0.1", headers=(header,))

    assert Firewall().lets_in(acl(("r", statement, BLOCK)), request, 0) is not matches


def test_a_rate_behind_an_api_is_that_of_the_address_in_its_header() -> None:
    limited = rate(10, AggregateKeyType="FORWARDED_IP", ForwardedIPConfig=FORWARDED)
    guard, front = Firewall(), acl(("r", limited, BLOCK))
    one, other = (
        replace(REQUEST, address="10.0.0.1", headers=(("X-Client-Ip", f"192.0.2.{number}"),)) for number in (1, 2)
    )

    assert [guard.lets_in(front, one, now) for now in range(12)] == [True] * 10 + [False] * 2
    assert guard.lets_in(front, other, 12)


def test_a_range_of_ipv6_matches_its_addresses() -> None:
    assert blocks(HERE, replace(REQUEST, address="2001:db8::1"))
    assert not blocks(HERE, replace(REQUEST, address="2001:db9::1"))


@pytest.mark.parametrize(("handling", "matches"), [("MATCH", True), ("NO_MATCH", False), ("CONTINUE", False)])
def test_a_body_beyond_what_waf_sees_is_judged_as_the_rule_says(handling: str, matches: bool) -> None:
    large = replace(REQUEST, body_size=firewall.SEEN + 1)

    assert blocks(size("GT", firewall.SEEN, handling), large) is matches
    # Eight kilobytes are seen of it.
    assert blocks(size("EQ", firewall.SEEN, "CONTINUE"), large)


def test_the_first_rule_that_ends_decides_and_counting_goes_on() -> None:
    guard = Firewall()
    rules = acl(("seen", HERE, COUNT), ("ours", HERE, ALLOW), ("late", HERE, BLOCK), ("later", HERE, COUNT))

    assert guard.lets_in(rules, REQUEST, 1000.0)

    [record] = guard.taken()
    document = json.loads(record.message)
    assert (document["action"], document["terminatingRuleId"]) == ("ALLOW", "ours")
    assert [rule["ruleId"] for rule in document["nonTerminatingMatchingRules"]] == ["seen"]
    assert guard.taken() == []


def test_a_request_that_no_rule_ends_has_the_default_action() -> None:
    assert Firewall().lets_in(acl(("rule", ELSEWHERE, BLOCK)), REQUEST, 1000.0)
    assert not Firewall().lets_in(acl(("rule", ELSEWHERE, BLOCK), blocks=True), REQUEST, 1000.0)


def test_a_rate_is_that_of_an_address_in_the_window() -> None:
    guard, rules = Firewall(), acl(("rate", rate(3), BLOCK))

    def ask(now: float, address: str = "192.0.2.7") -> bool:
        return guard.lets_in(rules, replace(REQUEST, address=address), now)

    assert [ask(1000 + second) for second in range(5)] == [True, True, True, False, False]
    assert ask(1004, "192.0.2.8")
    # The window has three of them again when the others are older than a minute.
    assert not ask(1060)
    assert ask(1200)
    # Another setting counts anew.
    slower = acl(("rate", rate(4), BLOCK))
    assert [guard.lets_in(slower, REQUEST, 1200) for _ in range(5)] == [True] * 4 + [False]


def test_a_rate_counts_what_its_scope_lets_through_only() -> None:
    guard = Firewall()
    scoped = acl(("rate", rate(2, ScopeDownStatement=none_of(path("/health"))), BLOCK))
    health = replace(REQUEST, path="/health")

    assert all(guard.lets_in(scoped, health, 1000.0) for _ in range(9))
    assert [guard.lets_in(scoped, REQUEST, 1000.0) for _ in range(3)] == [True, True, False]
    unknown = acl(("rate", rate(1, ScopeDownStatement=SECRET), BLOCK))
    assert all(guard.lets_in(unknown, REQUEST, 1000.0) for _ in range(3))
    by_header = acl(("rate", rate(1, AggregateKeyType="CUSTOM_KEYS"), BLOCK))
    assert all(guard.lets_in(by_header, REQUEST, 1000.0) for _ in range(3))


def test_the_rates_of_a_flood_of_addresses_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firewall, "MOST_ADDRESSES", 2)
    guard, rules = Firewall(), acl(("rate", rate(1), BLOCK))
    for number in range(9):
        guard.lets_in(rules, replace(REQUEST, address=f"192.0.2.{number}"), 1000.0)

    [known] = guard._rates.values()
    assert list(known) == ["192.0.2.7", "192.0.2.8"]


def kept(*actions: str, requirement: str = "MEETS_ANY", behavior: str = "KEEP", rest: str = "DROP") -> dict[str, Any]:
    conditions = [{"ActionCondition": {"Action": action}} for action in actions]
    only = {"Behavior": behavior, "Requirement": requirement, "Conditions": conditions}
    return {"Filters": [only], "DefaultBehavior": rest}


@pytest.mark.parametrize(
    ("log_filter", "action", "logged"),
    [
        ({}, ALLOW, True),
        (kept("BLOCK", "COUNT"), BLOCK, True),
        (kept("BLOCK", "COUNT"), COUNT, True),
        (kept("BLOCK", "COUNT"), ALLOW, False),
        (kept("BLOCK", rest="KEEP"), ALLOW, True),
        (kept("ALLOW", "COUNT", requirement="MEETS_ALL"), COUNT, True),
        (kept("BLOCK", "COUNT", requirement="MEETS_ALL"), COUNT, False),
        (kept("BLOCK", behavior="DROP", rest="KEEP"), BLOCK, False),
    ],
)
def test_the_filter_says_what_is_logged(log_filter: dict[str, Any], action: dict[str, Any], logged: bool) -> None:
    guard = Firewall()
    guard.lets_in(acl(("rule", HERE, action), log_filter=log_filter), REQUEST, 1000.0)

    assert bool(guard.taken()) is logged


def test_a_web_acl_without_a_log_writes_nothing() -> None:
    guard = Firewall()
    guard.lets_in(replace(acl(("rule", HERE, BLOCK)), log_group=""), REQUEST, 1000.0)

    assert guard.taken() == []


def test_a_record_has_the_fields_of_aws_without_the_values_of_secret_headers() -> None:
    guard = Firewall()
    guard.lets_in(acl(("rate", rate(0), BLOCK), redacted=frozenset({"cookie"})), REQUEST, 1000.5)

    [record] = guard.taken()

    assert (record.acl, record.log_group, record.timestamp) == ("front", GROUP, 1_000_500)
    document = json.loads(record.message)
    assert document["timestamp"] == 1_000_500
    assert (document["terminatingRuleId"], document["terminatingRuleType"]) == ("rate", "RATE_BASED")
    assert (document["webaclId"], document["httpSourceName"], document["httpSourceId"]) == (ARN, "ALB", "app/front/1")
    request = document["httpRequest"]
    assert (request["clientIp"], request["uri"], request["args"]) == ("192.0.2.7", "/orders/7", "a=b")
    assert (request["httpMethod"], request["httpVersion"], request["country"]) == ("POST", "HTTP/1.1", "-")
    assert request["headers"] == [{"name": "Cookie", "value": "REDACTED"}, {"name": "host", "value": "shop"}]


def test_only_rules_on_bodies_need_their_size() -> None:
    assert acl(("size", all_of(HERE, size("GT", 1)), BLOCK)).sees_bodies
    assert not acl(("here", HERE, BLOCK)).sees_bodies
