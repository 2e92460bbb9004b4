"""Firewall: IP sets, the web ACL with its rules, its log, and its association."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from orderops.export.hcl import Blocks, blocks
from orderops.export.part import Found, Part
from orderops.resources.wafv2_listing import SCOPE
from orderops.resources.wafv2_web_acl import LEARNING

ACTIONS = ("Action", "OverrideAction")
OVERRIDES = "RuleActionOverrides"
SINGULAR = {
    "Statements": "statement",
    "TextTransformations": "text_transformation",
    "RuleLabels": "rule_label",
    "CustomKeys": "custom_key",
    OVERRIDES: "rule_action_override",
}
"""Lists that are repeated blocks, which the provider names by one of them."""
WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def ip_set(found: Found) -> Iterator[Part]:
    """A set of ranges."""
    body = {
        "name": found.name,
        "scope": SCOPE,
        "ip_address_version": found.properties["IPAddressVersion"],
        "addresses": found.properties["Addresses"],
        "tags": found.tags,
    }
    yield Part("aws_wafv2_ip_set", _import_id(found), body)


def web_acl(found: Found) -> Iterator[Part]:
    """A web ACL with its rules."""
    properties = found.properties
    rules = sorted(properties["Rules"].items(), key=lambda pair: int(pair[1]["Priority"]))
    body = {
        "name": found.name,
        "description": properties["Kept"].get("Description"),
        "scope": SCOPE,
        "default_action": blocks(_words(properties["DefaultAction"])),
        "visibility_config": blocks(_visibility(properties["VisibilityConfig"])),
        "rule": blocks(*(_rule(found, name, rule) for name, rule in rules)),
        "tags": found.tags,
    }
    yield Part("aws_wafv2_web_acl", _import_id(found), body)


def _rule(found: Found, name: str, rule: Mapping[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in rule.items() if key not in (*ACTIONS, "VisibilityConfig")}
    learning = found.properties["Learning"].get(name, False)
    return {
        "name": name,
        **_words(found.place(_with_learning(rest, learning=learning))),
        **{_word(key): blocks(_action(rule[key])) for key in ACTIONS if key in rule},
        "visibility_config": blocks(_visibility(rule["VisibilityConfig"])),
    }


def _with_learning(value: Any, *, learning: bool) -> Any:
    """A rule with the setting of Bot Control that is not compared; left out, the provider would turn it on."""
    if isinstance(value, Mapping):
        whole = {key: _with_learning(part, learning=learning) for key, part in value.items()}
        return {**whole, LEARNING: learning} if value.keys() == {"InspectionLevel"} else whole
    return [_with_learning(part, learning=learning) for part in value] if isinstance(value, list) else value


def _visibility(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "cloudwatch_metrics_enabled": raw["CloudWatchMetricsEnabled"],
        "metric_name": raw["MetricName"],
        "sampled_requests_enabled": raw["SampledRequestsEnabled"],
    }


def _action(action: Any) -> dict[str, Any]:
    """An action: its name, or one with settings."""
    return _words({action: {}} if isinstance(action, str) else action)


def _words(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A statement in the provider's words: its members in snake case, and every object a block."""
    return {SINGULAR.get(key, _word(key)): _value(key, value) for key, value in raw.items()}


def _value(key: str, value: Any) -> Any:
    if key == OVERRIDES and isinstance(value, Mapping):
        listed = [(name, action) for action, names in value.items() for name in names]
        return blocks(*({"name": name, "action_to_use": blocks(_action(action))} for name, action in listed))
    if isinstance(value, Mapping):
        return blocks(_words(value))
    if isinstance(value, list) and all(isinstance(part, Mapping) for part in value):
        return Blocks(tuple(_words(part) for part in value))
    return value


def _word(name: str) -> str:
    return WORDS.sub("_", name).lower()


def association(found: Found) -> Iterator[Part]:
    """The association of the web ACL with a load balancer or a stage."""
    acl, guarded = found.properties["WebACLArn"], found.properties["ResourceArn"]
    body = {"resource_arn": found.place(guarded), "web_acl_arn": found.place(acl)}
    yield Part("aws_wafv2_web_acl_association", f"{acl},{guarded}", body)


def logging(found: Found) -> Iterator[Part]:
    """Which requests are written to the log group."""
    properties = found.properties
    headers = [{"single_header": blocks({"name": name})} for name in properties["RedactedHeaders"]]
    body = {
        "resource_arn": found.place(properties["ResourceArn"]),
        "log_destination_configs": found.place(properties["LogDestinationConfigs"]),
        "redacted_fields": blocks(*headers),
        "logging_filter": blocks(_filter(properties["LoggingFilter"])),
    }
    yield Part("aws_wafv2_web_acl_logging_configuration", properties["ResourceArn"], body)


def _filter(raw: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not raw:
        return None
    filters = [
        {
            "behavior": one["Behavior"],
            "requirement": one["Requirement"],
            "condition": blocks(*(_words(condition) for condition in one["Conditions"])),
        }
        for one in raw["Filters"]
    ]
    return {"default_behavior": raw["DefaultBehavior"], "filter": blocks(*filters)}


def _import_id(found: Found) -> str:
    return f"{found.observed.id}/{found.name}/{SCOPE}"
