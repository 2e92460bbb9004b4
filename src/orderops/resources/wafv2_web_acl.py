"""Web ACL of AWS WAF: the rules by which requests are let through, counted or blocked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership, Tags, to_pairs
from orderops.engine.features import Feature
from orderops.engine.names import NameRule
from orderops.engine.resource import Effect, Observed, Output, Outputs, Properties, Resource
from orderops.frozen import Frozen, field, replace
from orderops.resources.wafv2_ip_set import Wafv2IpSet
from orderops.resources.wafv2_listing import FEATURE, NAME_RULE, RETRYABLE, SCOPE, listed, tags_of

# UpdateWebACL sets what it is not given to nothing, so these are sent back as they were read.
KEPT = (
    "Description",
    "DataProtectionConfig",
    "CustomResponseBodies",
    "CaptchaConfig",
    "ChallengeConfig",
    "TokenDomains",
    "AssociationConfig",
    "OnSourceDDoSProtectionConfig",
    "ApplicationConfig",
)
ACTIONS = ("Action", "OverrideAction")
GROUP, OVERRIDES = "ManagedRuleGroupStatement", "RuleActionOverrides"
# Of Bot Control's other level, which costs more; it answers with it on both.
LEARNING = "EnableMachineLearning"


class WafRule(Frozen):
    """A rule: its statement in AWS's words, in which an `Output` stands for the ARN of an IP set.

    RuleActionOverrides of a managed group are the names of rules by their action, so that a plan can be read.

    `action` is what a match does: Allow, Block or Count; for a managed group None or Count, its OverrideAction.
    """

    name: str
    statement: Mapping[str, Any]
    action: str

    @property
    def managed(self) -> bool:
        """Whether its statement is a managed rule group."""
        return GROUP in self.statement


class Wafv2WebAcl(Resource):
    """Rules in the order in which WAF tries them; a request that none ends is let through."""

    rules: tuple[WafRule, ...]
    ip_sets: tuple[Wafv2IpSet, ...] = field(default=())
    """Those that rules name."""

    kind: ClassVar[str] = "wafv2-web-acl"
    name_rule: ClassVar[NameRule | None] = NAME_RULE
    feature: ClassVar[Feature | None] = FEATURE
    retryable_errors: ClassVar[frozenset[str]] = RETRYABLE

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in listed(aws.wafv2.list_web_acls, "WebACLs"):
            if raw["Name"].startswith(owner.prefix):
                token = {"LockToken": raw["LockToken"]}
                yield Observed(raw["Id"], token, name=raw["Name"], arn=raw["ARN"])

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        answer = aws.wafv2.get_web_acl(Name=observed.name, Scope=SCOPE, Id=observed.id)
        raw = answer["WebACL"]
        found = {
            "DefaultAction": raw["DefaultAction"],
            "VisibilityConfig": raw["VisibilityConfig"],
            "Rules": {rule["Name"]: _rule_of(rule) for rule in raw.get("Rules", ())},
            "Learning": {rule["Name"]: _learning(rule) for rule in raw.get("Rules", ())},
            "Kept": {key: raw[key] for key in KEPT if raw.get(key)},
            "LockToken": answer["LockToken"],
        }
        return replace(observed, properties=found)

    @classmethod
    def tags(cls, aws: Aws, observed: Observed) -> Tags:
        return tags_of(aws, observed.arn)

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.wafv2.tag_resource(ResourceARN=observed.arn, Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {
            "DefaultAction": {"Allow": {}},
            "VisibilityConfig": _visibility(self.name),
            "Rules": {rule.name: _desired_rule(rule, place, outputs) for place, rule in enumerate(self.rules)},
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.wafv2.create_web_acl(Name=self.name, Scope=SCOPE, Tags=owner.pairs, **_request(desired))

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        whole = {**observed.properties, **changed}
        # The token of the read on which this change was decided: WAF refuses it if the ACL changed since.
        aws.wafv2.update_web_acl(
            Name=observed.name,
            Scope=SCOPE,
            Id=observed.id,
            LockToken=whole["LockToken"],
            **whole["Kept"],
            **_request(whole),
        )

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        token = observed.properties["LockToken"]
        aws.wafv2.delete_web_acl(Name=observed.name, Scope=SCOPE, Id=observed.id, LockToken=token)

    def effect(self, key: str, observed: Any, desired: Any) -> Effect:
        # Requests that went through may be blocked from now on.
        return Effect.INTERRUPTS if key == "Rules" and _blocks_more(observed, desired) else Effect.SAFE


def _desired_rule(rule: WafRule, place: int, outputs: Outputs) -> dict[str, Any]:
    action = "OverrideAction" if rule.managed else "Action"
    return {
        "Priority": place,
        "Statement": _placed(rule.statement, outputs),
        action: rule.action,
        "VisibilityConfig": _visibility(rule.name),
    }


def _visibility(name: str) -> dict[str, Any]:
    return {"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": True, "MetricName": name}


def _placed(value: Any, outputs: Outputs) -> Any:
    """A statement with the ARNs that it names."""
    if isinstance(value, Output):
        return value.read(outputs)
    if isinstance(value, Mapping):
        return {key: _placed(inner, outputs) for key, inner in value.items()}
    return [_placed(inner, outputs) for inner in value] if isinstance(value, (list, tuple)) else value


def _rule_of(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A rule as GetWebACL returns it: without its name and empty members, and with text instead of bytes.

    An action without settings is its name, so that a plan can be read.
    """
    rule = {key: _text(value) for key, value in raw.items() if key != "Name" and value not in (None, [])}
    return {key: _name_of(value) if key in ACTIONS else value for key, value in rule.items()}


def _learning(raw: Mapping[str, Any]) -> bool:
    """Whether a rule is a managed group that has this setting."""
    settings = raw["Statement"].get(GROUP, {}).get("ManagedRuleGroupConfigs", ())
    return any(value.get(LEARNING) for one in settings for value in one.values() if isinstance(value, Mapping))


def _name_of(action: Any) -> Any:
    return next(iter(action)) if isinstance(action, dict) and list(action.values()) == [{}] else action


def _by_action(overrides: list[dict[str, Any]]) -> Any:
    """The rules of a managed group by the action that each got; as they are if an action has settings."""
    found: dict[str, list[str]] = {}
    for one in overrides:
        action = _name_of(one["ActionToUse"])
        if not isinstance(action, str):
            return overrides
        found.setdefault(action, []).append(one["Name"])
    return {action: sorted(names) for action, names in found.items()}


def _sent(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule as WAF takes it."""
    sent = {key: {value: {}} if key in ACTIONS and isinstance(value, str) else value for key, value in rule.items()}
    group = rule["Statement"].get(GROUP, {})
    if isinstance(overrides := group.get(OVERRIDES), Mapping):
        listed = [{"Name": name, "ActionToUse": {action: {}}} for action, names in overrides.items() for name in names]
        sent["Statement"] = {GROUP: {**group, OVERRIDES: listed}}
    return sent


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, Mapping):
        return {
            key: _by_action(inner) if key == OVERRIDES else _text(inner)
            for key, inner in value.items()
            if key != LEARNING
        }
    return [_text(inner) for inner in value] if isinstance(value, list) else value


def _request(properties: Properties) -> dict[str, Any]:
    rules = [{"Name": name, **_sent(rule)} for name, rule in properties["Rules"].items()]
    kept = {key: properties[key] for key in ("DefaultAction", "VisibilityConfig")}
    return {**kept, "Rules": sorted(rules, key=lambda rule: rule["Priority"])}


def _blocks_more(observed: Any, desired: Any) -> bool:
    """Whether a rule blocks that is not among the observed ones as it is, apart from its place."""

    def blocking(rules: Any) -> dict[str, Any]:
        return {
            name: {key: value for key, value in rule.items() if key != "Priority"}
            for name, rule in (rules or {}).items()
            if "Block" in rule.get("Action", ()) or rule.get("OverrideAction") == "None"
        }

    before = blocking(observed)
    return any(before.get(name) != rule for name, rule in blocking(desired).items())
