"""CloudWatch composite alarm, which notifies a topic when any of its children is raised."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any, ClassVar

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership, Tags, to_pairs
from orderops.engine.names import NameRule
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.resources.cloudwatch_alarm import CloudwatchAlarm
from orderops.resources.cloudwatch_mark import described, marked, owner_of, unmarked
from orderops.resources.sns_topic import SnsTopic

# PutCompositeAlarm overwrites all of these, so all of them are compared.
DEFAULTS: Mapping[str, Any] = {
    "AlarmDescription": "",
    "AlarmRule": "",
    "ActionsEnabled": True,
    "AlarmActions": [],
    "OKActions": [],
    "InsufficientDataActions": [],
    "ActionsSuppressor": None,
    "ActionsSuppressorWaitPeriod": None,
    "ActionsSuppressorExtensionPeriod": None,
}
MOST_CHILDREN = 100
CHILD = re.compile(r'ALARM\("([^"]+)"\)')


class CloudwatchCompositeAlarm(Resource):
    """Raised while any child is. Without a topic it only groups them: AWS allows 100 children.

    Its actions are held back while `suppressor` is raised: a new alarm waits `wait` seconds for that, and one that
    outlasts the suppressor by `extension` seconds notifies after all.
    """

    description: str
    children: tuple[CloudwatchAlarm | CloudwatchCompositeAlarm, ...]
    topic: SnsTopic | None = None
    suppressor: CloudwatchCompositeAlarm | None = None
    wait: int = 60
    extension: int = 60

    kind: ClassVar[str] = "cloudwatch-composite-alarm"
    name_rule: ClassVar[NameRule | None] = NameRule(255, r"[!-~ ]+", "printable ASCII characters")
    needs_unused_to_delete: ClassVar[bool] = True
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {
            "ResourceNotFound",
            "ResourceNotFoundException",
            # A child may be only seconds old; and of two that are deleted at once, one may be named by the other.
            "ValidationError: do not exist",
            "ValidationError: depending on it",
        }
    )

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in described(aws, owner.prefix, "CompositeAlarms"):
            yield Observed(raw["AlarmName"], _properties_of(raw), name=raw["AlarmName"], arn=raw["AlarmArn"])

    @classmethod
    def tags(cls, aws: Aws, observed: Observed) -> Tags:
        return owner_of(aws, observed, cls.kind)

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.cloudwatch.tag_resource(ResourceARN=observed.arn, Tags=to_pairs(tags))
        _put(aws, observed.name, observed.properties, {**(observed.tags or {}), **tags})

    def desired(self, outputs: Outputs) -> Properties:
        topics = [outputs[self.topic].arn] if self.topic else []
        suppressor = self.suppressor and {
            "ActionsSuppressor": self.suppressor.name,
            "ActionsSuppressorWaitPeriod": self.wait,
            "ActionsSuppressorExtensionPeriod": self.extension,
        }
        return {
            **DEFAULTS,
            "AlarmDescription": self.description,
            # In quotes, so that any name is allowed.
            "AlarmRule": _rule(child.name for child in self.children),
            "AlarmActions": topics,
            "OKActions": topics,
            **(suppressor or {}),
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        _put(aws, self.name, desired, owner.tags, Tags=owner.pairs)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        _put(aws, observed.name, {**observed.properties, **changed}, observed.tags or {})

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        # AWS deletes one composite alarm in a call.
        aws.cloudwatch.delete_alarms(AlarmNames=[observed.name])


def let_go(aws: Aws, owner: Ownership, leaving: Set[str]) -> Iterator[str]:
    """Take alarms out of the rules that name them, which AWS requires before it deletes them; yield what changed.

    A rule that names none any more is FALSE. One that was written by hand in another form is left as it is.
    """
    for observed in CloudwatchCompositeAlarm.listing(aws, owner):
        children = CHILD.findall(observed.properties["AlarmRule"])
        if (
            observed.name in leaving
            or leaving.isdisjoint(children)
            or _rule(children) != observed.properties["AlarmRule"]
        ):
            continue
        rule = _rule(child for child in children if child not in leaving) or "FALSE"
        _put(aws, observed.name, {**observed.properties, "AlarmRule": rule}, observed.properties["Mark"])
        yield f"{CloudwatchCompositeAlarm.kind}/{observed.name}"


def _rule(names: Iterable[str]) -> str:
    return " OR ".join(f'ALARM("{name}")' for name in names)


def _put(aws: Aws, name: str, properties: Properties, tags: Tags, **more: Any) -> None:
    given = {key: properties[key] for key in DEFAULTS if properties[key] is not None}
    given["AlarmDescription"] = marked(given["AlarmDescription"], tags)
    # AWS takes tags only when an alarm is created.
    aws.cloudwatch.put_composite_alarm(AlarmName=name, **given, **more)


def _properties_of(raw: Mapping[str, Any]) -> dict[str, Any]:
    properties = {key: raw.get(key, default) for key, default in DEFAULTS.items()}
    # AWS takes a name or an ARN.
    if properties["ActionsSuppressor"]:
        properties["ActionsSuppressor"] = properties["ActionsSuppressor"].rpartition(":")[2]
    properties["AlarmRule"] = " ".join(properties["AlarmRule"].split())
    properties["AlarmDescription"], mark = unmarked(properties["AlarmDescription"])
    return {**properties, "Mark": mark, "StateValue": raw.get("StateValue", "")}
