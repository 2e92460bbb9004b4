"""CloudWatch alarm on one metric or on an expression over several, which notifies a topic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership, Tags, from_pairs, to_pairs
from orderops.engine.names import NameRule
from orderops.engine.resource import Observed, Output, Outputs, Properties, Resource
from orderops.frozen import Frozen, field
from orderops.resources.cloudwatch_anomaly_detector import CloudwatchAnomalyDetector
from orderops.resources.cloudwatch_mark import described, marked, owner_of, unmarked
from orderops.resources.sns_topic import SnsTopic

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
    "Metrics": None,
    "ThresholdMetricId": None,
    "EvaluationPeriods": None,
    "DatapointsToAlarm": None,
    "TreatMissingData": "missing",
    "EvaluateLowSampleCountPercentile": None,
    "ActionsEnabled": True,
    "AlarmActions": [],
    "OKActions": [],
    "InsufficientDataActions": [],
}
# The id of an expression; its metrics have the ids that it names them by.
RESULT = "result"
# The ids of a metric that is compared with its band, and of the band.
MEASURED, BAND = "measured", "band"


class Metric(Frozen):
    """A metric of an expression, and the statistic of it, such as Sum or p95."""

    namespace: str
    name: str
    statistic: str
    dimensions: Mapping[str, str | Output]

    def desired(self, outputs: Outputs, period: int) -> dict[str, Any]:
        """The members of MetricStat, without their nesting."""
        return {
            "Namespace": self.namespace,
            "MetricName": self.name,
            "Dimensions": _placed(self.dimensions, outputs),
            "Period": period,
            "Stat": self.statistic,
        }


class CloudwatchAlarm(Resource):
    """Notifies the topic when the metric exceeds `threshold` for `periods` times `period` seconds, and on recovery.

    With an `expression`, its value over `metrics` is compared in place of a metric. With a `band`, its metric is
    compared with the upper edge of the band, `threshold` standard deviations away. With `datapoints`, that many of the
    periods are enough. The owner is stored in the tags, and also after the description, so that one listing shows the
    owners of all alarms.
    """

    description: str
    topic: SnsTopic | None
    """None for a child of a composite alarm, which notifies in its place."""
    namespace: str = ""
    metric: str = ""
    statistic: str = ""
    threshold: float = 0
    comparison: str = "GreaterThanThreshold"
    period: int = 60
    periods: int = 5
    dimensions: Mapping[str, str | Output] = field(default_factory=dict)
    missing: str = "missing"
    datapoints: int | None = None
    expression: str = ""
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    band: CloudwatchAnomalyDetector | None = None
    """Needed, and so made before: PutMetricAlarm makes a missing one by itself, and deleting the alarm leaves it."""

    kind: ClassVar[str] = "cloudwatch-alarm"
    name_rule: ClassVar[NameRule | None] = NameRule(255, r"[!-~ ]+", "printable ASCII characters")
    needs_unused_to_delete: ClassVar[bool] = True
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        # The last while a composite alarm that names it is not deleted yet.
        {"ResourceNotFound", "ResourceNotFoundException", "ValidationError: depending on it"}
    )

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in described(aws, owner.prefix, "MetricAlarms"):
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
        return {
            **DEFAULTS,
            "Threshold": float(self.threshold),
            **self._compared(outputs),
            "AlarmDescription": self.description,
            "ComparisonOperator": self.comparison,
            "EvaluationPeriods": self.periods,
            "DatapointsToAlarm": self.datapoints,
            "TreatMissingData": self.missing,
            "AlarmActions": topics,
            "OKActions": topics,
        }

    def _compared(self, outputs: Outputs) -> Properties:
        if self.band:
            return self._with_band(self.band, outputs)
        return self._expression(outputs) if self.expression else self._metric(outputs)

    def _with_band(self, band: CloudwatchAnomalyDetector, outputs: Outputs) -> Properties:
        metric = Metric(band.namespace, band.metric, band.statistic, band.desired(outputs)["Dimensions"])
        return {
            "Metrics": {
                MEASURED: metric.desired(outputs, self.period),
                BAND: {"Expression": f"ANOMALY_DETECTION_BAND({MEASURED}, {self.threshold:g})"},
            },
            "ThresholdMetricId": BAND,
            "Threshold": None,
        }

    def _metric(self, outputs: Outputs) -> Properties:
        # Percentiles, such as p99, are extended statistics.
        percentile = not self.statistic.isalpha()
        return {
            "Namespace": self.namespace,
            "MetricName": self.metric,
            "Dimensions": _placed(self.dimensions, outputs),
            "ExtendedStatistic" if percentile else "Statistic": self.statistic,
            "Period": self.period,
        }

    def _expression(self, outputs: Outputs) -> Properties:
        metrics = {key: metric.desired(outputs, self.period) for key, metric in self.metrics.items()}
        return {"Metrics": {RESULT: {"Expression": self.expression}, **metrics}}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        _put(aws, self.name, desired, owner.tags, Tags=owner.pairs)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        _put(aws, observed.name, {**observed.properties, **changed}, observed.tags or {})

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.cloudwatch.delete_alarms(AlarmNames=[observed.name])


def _put(aws: Aws, name: str, properties: Properties, tags: Tags, **more: Any) -> None:
    given = {key: properties[key] for key in DEFAULTS if properties[key] is not None}
    if "Metrics" in given:
        del given["Dimensions"]
        given["Metrics"] = queries(given["Metrics"])
        if "ThresholdMetricId" in given:
            # Both the metric and its band.
            given["Metrics"] = [{**query, "ReturnData": True} for query in given["Metrics"]]
    else:
        given["Dimensions"] = to_pairs(given["Dimensions"], "Name")
    given["AlarmDescription"] = marked(given["AlarmDescription"], tags)
    # AWS takes tags only when an alarm is created.
    aws.cloudwatch.put_metric_alarm(AlarmName=name, **given, **more)


def queries(metrics: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The queries, by id, as PutMetricAlarm and GetMetricData take them; only an expression returns data."""
    return [
        {"Id": key, "ReturnData": "Expression" in query, **(query if "Expression" in query else _stat(query))}
        for key, query in metrics.items()
    ]


def _stat(query: Mapping[str, Any]) -> dict[str, Any]:
    metric = {
        "Namespace": query["Namespace"],
        "MetricName": query["MetricName"],
        "Dimensions": to_pairs(query["Dimensions"], "Name"),
    }
    return {"MetricStat": {"Metric": metric, "Period": query["Period"], "Stat": query["Stat"]}}


def _by_id(raw: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]] | None:
    found = {}
    for query in raw:
        stat = query.get("MetricStat", {})
        metric = stat.get("Metric", {})
        found[query["Id"]] = (
            {
                "Namespace": metric["Namespace"],
                "MetricName": metric["MetricName"],
                "Dimensions": from_pairs(metric.get("Dimensions"), "Name"),
                "Period": stat["Period"],
                "Stat": stat["Stat"],
            }
            if stat
            else {"Expression": query.get("Expression", "")}
        )
    return found or None


def _placed(dimensions: Mapping[str, str | Output], outputs: Outputs) -> dict[str, str]:
    return {key: value.read(outputs) if isinstance(value, Output) else value for key, value in dimensions.items()}


def _properties_of(raw: Mapping[str, Any]) -> dict[str, Any]:
    properties = {key: raw.get(key, default) for key, default in DEFAULTS.items()}
    properties["Dimensions"] = from_pairs(raw.get("Dimensions"), "Name")
    properties["Metrics"] = _by_id(raw.get("Metrics") or ())
    properties["AlarmDescription"], mark = unmarked(properties["AlarmDescription"])
    return {**properties, "Mark": mark, "StateValue": raw.get("StateValue", "")}
