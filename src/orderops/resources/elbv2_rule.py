"""Listener rule: routes paths and hosts to a target group, or to the live one of two, or sends them on to HTTPS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, ClassVar

from orderops.aws.client import Aws, every, if_found
from orderops.aws.ownership import ADDRESS, Ownership, Tags, from_pairs, to_pairs
from orderops.engine.inventory import tag_index
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.errors import AwsError, NotOurs, OrderopsError
from orderops.resources.elbv2_listener import Elbv2Listener, Redirect, action_of, listeners
from orderops.resources.elbv2_load_balancer import load_balancers, tags_of
from orderops.resources.elbv2_target_group import Elbv2TargetGroup, is_named

TAGS_A_CALL = 20
LAST_PRIORITY = 50_000


class Elbv2Rule(Resource):
    """Routes requests for one of `paths` and `hosts` to `target_group`; the lowest `priority` is evaluated first.

    With an `alternate`, ECS moves the requests from one group to the other at each release, so that only the pair is
    declared and never the weights. Named `<service>:<port>`: one rule on each listener. With a `redirect`,
    the listener for HTTP sends the same requests on, once everything in `after` exists.
    """

    listener: Elbv2Listener
    target_group: Elbv2TargetGroup
    priority: int
    paths: tuple[str, ...] = ("/*",)
    alternate: Elbv2TargetGroup | None = None
    header: tuple[str, str] | None = None
    """Name and value of a header that a request must have."""
    redirect: Redirect | None = None
    after: tuple[Resource, ...] = ()
    hosts: tuple[str, ...] = ()
    """The names in the header Host, of which a request must have one; any without them."""

    kind: ClassVar[str] = "elbv2-rule"
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {"RuleNotFound", "ListenerNotFound", "TargetGroupNotFound", "PriorityInUse"}
    )
    immutable: ClassVar[frozenset[str]] = frozenset({"ListenerArn"})

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        raws = [raw for raw in _rules(aws, owner) if raw["Priority"] != "default"]
        # The index of all tags does for an environment. It lags, so a single rule is asked for its own after a change.
        tags: dict[str, Tags] = {} if owner.address else {**tag_index(aws, owner)}
        tags |= _tags_of(aws, [raw["RuleArn"] for raw in raws if raw["RuleArn"] not in tags])
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
        groups = (self.target_group, self.alternate)
        return {
            "ListenerArn": outputs[self.listener].arn,
            "Priority": self.priority,
            "PathPatterns": sorted(self.paths),
            "Hosts": sorted(self.hosts),
            "Header": list(self.header) if self.header else [],
            # Where a rule does other things than to forward, its actions are read back here.
            "TargetGroupArns": [self.redirect.action()]
            if self.redirect
            else sorted(outputs[group].arn for group in groups if group),
        }

    def refusal(self, observed: Observed, key: str, desired: Any, environment: str) -> OrderopsError | None:
        if self.redirect:
            return None
        groups, live = observed.properties["TargetGroupArns"], observed.properties["LiveTargetGroupArn"]
        if not live:
            return None
        # Other groups were set by hand, and are set back.
        taken_away = key == "TargetGroupArns" and len(groups) == 2 and len(desired) == 1 and set(desired) <= set(groups)
        if not taken_away or live in desired:
            return None
        return live_group_taken_away(self.name.partition(":")[0], environment)

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.elbv2.create_rule(
            ListenerArn=desired["ListenerArn"],
            Priority=_free(aws, desired["ListenerArn"], desired["Priority"]),
            Conditions=_conditions(desired["PathPatterns"], desired["Hosts"], desired["Header"]),
            Actions=self._actions(aws, desired["ListenerArn"], desired["TargetGroupArns"]),
            Tags=owner.pairs,
        )

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        if "Priority" in changed:
            _move(aws, observed, changed["Priority"])
        given: dict[str, Any] = {}
        if changed.keys() & {"PathPatterns", "Hosts", "Header"}:
            given["Conditions"] = _conditions(sorted(self.paths), sorted(self.hosts), list(self.header or ()))
        if "TargetGroupArns" in changed:
            groups, live = changed["TargetGroupArns"], observed.properties["LiveTargetGroupArn"]
            listener = observed.properties["ListenerArn"]
            given["Actions"] = _actions(groups, live) if live in groups else self._actions(aws, listener, groups)
        if given:
            aws.elbv2.modify_rule(RuleArn=observed.arn, **given)

    def _actions(self, aws: Aws, listener: str, groups: list[Any]) -> list[dict[str, Any]]:
        """The actions of a rule that forwards to none of these yet."""
        if self.redirect:
            return [self.redirect.action()]
        first = next(arn for arn in groups if is_named(arn, self.target_group))
        # On another port, a release may have taken the requests to the second group already.
        live = _live_on_other_ports(aws, listener, list(self.header or ())) & set(groups) if self.alternate else set()
        return _actions(groups, min(live, default=first))

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.elbv2.delete_rule(RuleArn=observed.arn)


def live_group_taken_away(name: str, environment: str) -> OrderopsError:
    """The error for a service, by its name in AWS, that would lose the target group which its requests go to."""
    service = name.removeprefix(f"orderops-{environment}-")
    return OrderopsError(
        "the requests go to the target group that would be taken away",
        f"one release by the strategy of before brings them back: set it back, then "
        f"orderops service restart {service} --env {environment}",
    )


def live_target_group(aws: Aws, rule_arn: str) -> str:
    """The ARN of the target group that gets the most requests of a rule; "" if it forwards to none, or is gone."""
    found = if_found(aws.elbv2.describe_rules, "RuleNotFound", RuleArns=[rule_arn])
    weights = _weights(found["Rules"][0]["Actions"]) if found and found["Rules"] else {}
    return max(weights, key=lambda arn: weights[arn], default="")


def _live_on_other_ports(aws: Aws, listener: str, header: list[str]) -> set[str]:
    """The groups that get the most requests by rules with this header, on the other listeners of the load balancer."""
    balancer = listener.replace(":listener/", ":loadbalancer/").rpartition("/")[0]
    others = every(aws.elbv2.describe_listeners, "Listeners", LoadBalancerArn=balancer)
    arns = [raw["ListenerArn"] for raw in others if raw["ListenerArn"] != listener]
    rules = [raw for arn in arns for raw in every(aws.elbv2.describe_rules, "Rules", ListenerArn=arn)]
    weights = [_weights(raw["Actions"]) for raw in rules if _header(raw["Conditions"]) == header]
    return {max(weight, key=lambda arn: weight[arn]) for weight in weights if weight}


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
    arn, weights = raw["RuleArn"], _weights(raw["Actions"])
    listener = arn.replace(":listener-rule/", ":listener/").rpartition("/")[0]
    return Observed(
        arn,
        {
            "ListenerArn": raw.get("ListenerArn", listener),
            "Priority": int(raw["Priority"]) if raw["Priority"].isdigit() else raw["Priority"],
            "PathPatterns": _patterns(raw["Conditions"]),
            "Hosts": _values(raw["Conditions"], "host-header"),
            "Header": _header(raw["Conditions"]),
            "TargetGroupArns": _targets(raw["Actions"]),
            "LiveTargetGroupArn": max(weights, key=lambda arn: weights[arn], default=""),
        },
        tags=tags,
        arn=arn,
    )


def _patterns(conditions: list[dict[str, Any]]) -> list[str] | list[dict[str, Any]]:
    """The paths if the rule has no conditions of other kinds, else all of them, so that they show as a difference."""
    fields = [condition["Field"] for condition in conditions]
    # Several conditions of a kind must all match, where several values of one condition are alternatives.
    once = all(fields.count(field) <= 1 for field in ("path-pattern", "host-header"))
    if not once or not fields or not set(fields) <= {"path-pattern", "host-header", "http-header"}:
        return conditions
    return _values(conditions, "path-pattern")


def _values(conditions: list[dict[str, Any]], field: str) -> list[str]:
    """The values of the condition of a kind; empty if the rule has none."""
    config = {"path-pattern": "PathPatternConfig", "host-header": "HostHeaderConfig"}[field]
    found = [condition for condition in conditions if condition["Field"] == field]
    return sorted(value for one in found for value in one.get(config, {}).get("Values") or one.get("Values", []))


def _header(conditions: list[dict[str, Any]]) -> list[str]:
    """Name and values of the header that a request must have; empty if none."""
    configs = [condition["HttpHeaderConfig"] for condition in conditions if condition["Field"] == "http-header"]
    return [text for config in configs for text in (config["HttpHeaderName"], *config["Values"])]


def _targets(actions: list[dict[str, Any]]) -> list[str] | list[dict[str, Any]]:
    """The target groups if the rule only forwards, else all actions, so that they show as a difference."""
    weights = _weights(actions)
    return sorted(weights) if weights else [action_of(action) for action in actions]


def _weights(actions: list[dict[str, Any]]) -> dict[str, int]:
    """The weight of each target group of a rule that only forwards, else {}. AWS returns a single group twice."""
    if [action["Type"] for action in actions] != ["forward"]:
        return {}
    groups = actions[0].get("ForwardConfig", {}).get("TargetGroups") or [actions[0]]
    return {group["TargetGroupArn"]: int(group.get("Weight", 1)) for group in groups if "TargetGroupArn" in group}


def _conditions(paths: list[str], hosts: list[str], header: list[str]) -> list[dict[str, Any]]:
    conditions: list[dict[str, Any]] = []
    if paths:
        conditions.append({"Field": "path-pattern", "PathPatternConfig": {"Values": paths}})
    if hosts:
        conditions.append({"Field": "host-header", "HostHeaderConfig": {"Values": hosts}})
    if header:
        name, *values = header
        conditions.append({"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": name, "Values": values}})
    return conditions


def _actions(target_groups: list[str], live: str) -> list[dict[str, Any]]:
    """Forward to the live group."""
    if len(target_groups) == 1:
        return [{"Type": "forward", "TargetGroupArn": target_groups[0]}]
    groups = [{"TargetGroupArn": arn, "Weight": 100 if arn == live else 0} for arn in target_groups]
    return [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]
