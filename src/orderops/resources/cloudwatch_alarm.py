"""CloudWatch alarm on one metric, which notifies a topic."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import quote, unquote

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ADDRESS, ENVIRONMENT, Ownership, Tags, from_pairs, to_pairs
from orderops.engine.names import NameRule
from orderops.engine.resource import Observed, Output, Outputs, Properties, Resource
from orderops.resources.sns_topic import SnsTopic

LONGEST_DESCRIPTION = 1024
MARK = re.compile(rf" ?\[({ENVIRONMENT}=[^\]]*)\]$")
# PutMetricAlarm overwrites all of these, so all of them are compared. AWS computes the others.
DEFAULTS: Mapping[str, Any] = {
    "AlarmDescription": "",
    "Namespace": None,
    "MetricName": None,
    "Dimensions": {},
    "Statistic": None,
    "ExtendedStatistic": None,
    "Unit": None,
    "Threshold": None,
    "ComparisonOperator": None,
    "Period": None,
    "EvaluationPeriods": None,
    "DatapointsToAlarm": None,
    "TreatMissingData": "missing",
    "ActionsEnabled": True,
    "AlarmActions": [],
    "OKActions": [],
    "InsufficientDataActions": [],
}


@dataclass(frozen=True, eq=False)
class CloudwatchAlarm(Resource):
    """Notifies the topic when the metric exceeds `threshold` for `periods` times `period` seconds, and on recovery.

    The owner is stored in the tags, and also after the description, so that one listing shows the owners of all alarms.
    """

    description: str
    namespace: str
    metric: str
    statistic: str
    threshold: float
    comparison: str = "GreaterThanThreshold"
    period: int = 60
    periods: int = 5
    dimensions: Mapping[str, str | Output] = field(default_factory=dict)
    missing: str = "missing"
    topic: SnsTopic = field(kw_only=True)

    kind: ClassVar[str] = "cloudwatch-alarm"
    name_rule: ClassVar[NameRule | None] = NameRule(255, r"[!-~ ]+", "printable ASCII characters")
    retryable_errors: ClassVar[frozenset[str]] = frozenset({"ResourceNotFound", "ResourceNotFoundException"})

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        call = aws.cloudwatch.describe_alarms
        for raw in every(
            call, "MetricAlarms", AlarmNamePrefix=owner.prefix, AlarmTypes=["MetricAlarm"], MaxRecords=100
        ):
            yield Observed(raw["AlarmName"], _properties_of(raw), name=raw["AlarmName"], arn=raw["AlarmArn"])

    @classmethod
    def tags(cls, aws: Aws, observed: Observed) -> Tags:
        marked: Tags = observed.properties["Mark"]
        # An alarm copied in the console has the mark of its original.
        if marked.get(ADDRESS) == f"{cls.kind}/{observed.name}":
            return {**marked, "Name": observed.name}
        return from_pairs(aws.cloudwatch.list_tags_for_resource(ResourceARN=observed.arn).get("Tags"))

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.cloudwatch.tag_resource(ResourceARN=observed.arn, Tags=to_pairs(tags))
        _put(aws, observed.name, observed.properties, {**(observed.tags or {}), **tags})

    def desired(self, outputs: Outputs) -> Properties:
        topic = [outputs[self.topic].arn]
        # Percentiles, such as p99, are extended statistics.
        statistic = "Statistic" if self.statistic.isalpha() else "ExtendedStatistic"
        return {
            **DEFAULTS,
            "AlarmDescription": self.description,
            "Namespace": self.namespace,
            "MetricName": self.metric,
            "Dimensions": {
                key: value.read(outputs) if isinstance(value, Output) else value
                for key, value in self.dimensions.items()
            },
            statistic: self.statistic,
            "Threshold": float(self.threshold),
            "ComparisonOperator": self.comparison,
            "Period": self.period,
            "EvaluationPeriods": self.periods,
            "TreatMissingData": self.missing,
            "AlarmActions": topic,
            "OKActions": topic,
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        _put(aws, self.name, desired, owner.tags, Tags=owner.pairs)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        _put(aws, observed.name, {**observed.properties, **changed}, observed.tags or {})

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.cloudwatch.delete_alarms(AlarmNames=[observed.name])


def _put(aws: Aws, name: str, properties: Properties, tags: Tags, **more: Any) -> None:
    given = {key: properties[key] for key in DEFAULTS if properties[key] is not None}
    given["Dimensions"] = to_pairs(given["Dimensions"], "Name")
    given["AlarmDescription"] = _marked(given["AlarmDescription"], tags)
    # AWS takes tags only when an alarm is created.
    aws.cloudwatch.put_metric_alarm(AlarmName=name, **given, **more)


def _properties_of(raw: Mapping[str, Any]) -> dict[str, Any]:
    properties = {key: raw.get(key, default) for key, default in DEFAULTS.items()}
    properties["Dimensions"] = from_pairs(raw.get("Dimensions"), "Name")
    mark = MARK.search(properties["AlarmDescription"])
    if mark:
        properties["AlarmDescription"] = properties["AlarmDescription"][: mark.start()]
    return {**properties, "Mark": _tags_in(mark[1]) if mark else {}, "StateValue": raw.get("StateValue", "")}


def _marked(description: str, tags: Tags) -> str:
    """The description that the alarm's email shows, followed by the owner if there is room."""
    if ENVIRONMENT not in tags or ADDRESS not in tags:
        return description
    ordered = {ENVIRONMENT: tags[ENVIRONMENT], ADDRESS: tags[ADDRESS], **tags}
    parts = [f"{quote(key, safe=':/@+')}={quote(text, safe=':/@+')}" for key, text in ordered.items() if key != "Name"]
    marked = f"{description} [{' '.join(parts)}]"
    return marked if len(marked) <= LONGEST_DESCRIPTION else description


def _tags_in(mark: str) -> dict[str, str]:
    pairs = (word.partition("=") for word in mark.split(" "))
    return {unquote(key): unquote(text) for key, _, text in pairs}
