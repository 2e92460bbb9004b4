"""Listener rule: routes path patterns to a target group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ADDRESS, Ownership, Tags, from_pairs, to_pairs
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.errors import AwsError, NotOurs
from orderops.resources.elbv2_listener import Elbv2Listener, listeners
from orderops.resources.elbv2_load_balancer import load_balancers, tags_of
from orderops.resources.elbv2_target_group import Elbv2TargetGroup

TAGS_A_CALL = 20
LAST_PRIORITY = 50_000


@dataclass(frozen=True, eq=False)
class Elbv2Rule(Resource):
    """Routes requests that match one of `paths` to `target_group`; the lowest `priority` is evaluated first.

    Named `<service>:<port>`: a service has one rule on each listener.
    """

    listener: Elbv2Listener
    target_group: Elbv2TargetGroup
    priority: int
    paths: tuple[str, ...] = ("/*",)

    kind: ClassVar[str] = "elbv2-rule"
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {"RuleNotFound", "ListenerNotFound", "TargetGroupNotFound", "PriorityInUse"}
    )
    immutable: ClassVar[frozenset[str]] = frozenset({"ListenerArn"})

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        raws = [raw for raw in _rules(aws, owner) if raw["Priority"] != "default"]
        tags = _tags_of(aws, [raw["RuleArn"] for raw in raws])
        for raw in raws:
            yield _observed(raw, tags.get(raw["RuleArn"], {}))

    def occupant(self, aws: Aws, desired: Properties) -> Observed | None:
        raw = _at(aws, desired["ListenerArn"], desired["Priority"])
        tags = tags_of(aws, raw["RuleArn"]) if raw else {}
        # A rule with an address tag is owned, and moves by its own update.
        return _observed(raw, tags) if raw and ADDRESS not in tags else None

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.elbv2.add_tags(ResourceArns=[observed.arn], Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {
            "ListenerArn": outputs[self.listener].arn,
            "Priority": self.priority,
            "PathPatterns": sorted(self.paths),
            "TargetGroupArn": outputs[self.target_group].arn,
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.elbv2.create_rule(
            ListenerArn=desired["ListenerArn"],
            Priority=_free(aws, desired["ListenerArn"], desired["Priority"]),
            Conditions=_conditions(desired["PathPatterns"]),
            Actions=_actions(desired["TargetGroupArn"]),
            Tags=owner.pairs,
        )

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        if "Priority" in changed:
            _move(aws, observed, changed["Priority"])
        given: dict[str, Any] = {}
        if "PathPatterns" in changed:
            given["Conditions"] = _conditions(changed["PathPatterns"])
        if "TargetGroupArn" in changed:
            given["Actions"] = _actions(changed["TargetGroupArn"])
        if given:
            aws.elbv2.modify_rule(RuleArn=observed.arn, **given)

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.elbv2.delete_rule(RuleArn=observed.arn)


def _at(aws: Aws, listener: str, priority: int) -> dict[str, Any] | None:
    found = every(aws.elbv2.describe_rules, "Rules", ListenerArn=listener)
    return next((raw for raw in found if raw["Priority"] == str(priority)), None)


def _free(aws: Aws, listener: str, wanted: int) -> int:
    """The wanted priority, or the last free one while another rule has it; `update` then moves the rule."""
    taken = {raw["Priority"] for raw in every(aws.elbv2.describe_rules, "Rules", ListenerArn=listener)}
    return next(priority for priority in chain([wanted], range(LAST_PRIORITY, 0, -1)) if str(priority) not in taken)


def _move(aws: Aws, observed: Observed, priority: int) -> None:
    """Swap priorities with the other rule. In one call, so that every request is routed all the time."""
    moves = {observed.arn: priority}
    other = _at(aws, observed.properties["ListenerArn"], priority)
    if other and ADDRESS not in tags_of(aws, other["RuleArn"]):
        raise NotOurs(
            f"priority {priority} is taken by a rule without an owner: {other['RuleArn']}",
            "delete that rule in the AWS console, or give the service another priority",
        )
    if other:
        moves[other["RuleArn"]] = observed.properties["Priority"]
    aws.elbv2.set_rule_priorities(RulePriorities=[{"RuleArn": arn, "Priority": to} for arn, to in moves.items()])


def _rules(aws: Aws, owner: Ownership) -> Iterator[dict[str, Any]]:
    for balancer in load_balancers(aws, owner):
        for listener in listeners(aws, balancer):
            arn = listener["ListenerArn"]
            try:
                found = list(every(aws.elbv2.describe_rules, "Rules", ListenerArn=arn))
            except AwsError as error:
                if error.code != "ListenerNotFound":
                    raise
                continue
            yield from ({**raw, "ListenerArn": arn} for raw in found)


def _tags_of(aws: Aws, arns: list[str]) -> dict[str, Tags]:
    chunks = [arns[start : start + TAGS_A_CALL] for start in range(0, len(arns), TAGS_A_CALL)]
    descriptions = [
        description
        for chunk in chunks
        for description in aws.elbv2.describe_tags(ResourceArns=chunk)["TagDescriptions"]
    ]
    return {description["ResourceArn"]: from_pairs(description["Tags"]) for description in descriptions}


def _observed(raw: Mapping[str, Any], tags: Tags) -> Observed:
    arn = raw["RuleArn"]
    listener = arn.replace(":listener-rule/", ":listener/").rpartition("/")[0]
    return Observed(
        arn,
        {
            "ListenerArn": raw.get("ListenerArn", listener),
            "Priority": int(raw["Priority"]) if raw["Priority"].isdigit() else raw["Priority"],
            "PathPatterns": _patterns(raw["Conditions"]),
            "TargetGroupArn": _target(raw["Actions"]),
        },
        tags=tags,
        arn=arn,
    )


def _patterns(conditions: list[dict[str, Any]]) -> list[str] | list[dict[str, Any]]:
    """The paths if the rule has no other conditions, else all conditions, so that they show as a difference."""
    if [condition["Field"] for condition in conditions] == ["path-pattern"]:
        condition = conditions[0]
        return sorted(condition.get("PathPatternConfig", {}).get("Values") or condition.get("Values", []))
    return conditions


def _target(actions: list[dict[str, Any]]) -> Any:
    """The target group. AWS also returns an equivalent ForwardConfig."""
    if [action["Type"] for action in actions] == ["forward"] and "TargetGroupArn" in actions[0]:
        return actions[0]["TargetGroupArn"]
    groups = actions[0].get("ForwardConfig", {}).get("TargetGroups", []) if len(actions) == 1 else []
    return groups[0]["TargetGroupArn"] if len(groups) == 1 else actions


def _conditions(paths: list[str]) -> list[dict[str, Any]]:
    return [{"Field": "path-pattern", "PathPatternConfig": {"Values": paths}}]


def _actions(target_group: str) -> list[dict[str, Any]]:
    return [{"Type": "forward", "TargetGroupArn": target_group}]
