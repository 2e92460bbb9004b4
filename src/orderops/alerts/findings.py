"""What is wrong with the alarms of an environment: it would page nobody, or page in vain."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from orderops.alerts.bands import of_bands
from orderops.alerts.dimensions import of_dimensions
from orderops.alerts.finding import AlertFinding
from orderops.alerts.fire_drill_record import FireDrills
from orderops.alerts.pages import of_pages
from orderops.alerts.reading import AlertsRead, band_of
from orderops.aws.client import Aws, every
from orderops.config.environment import Environment
from orderops.infra.alarms import lacking, rules_in, runbook_of
from orderops.infra.alert_rule import CHOICES
from orderops.infra.stack import Stack
from orderops.resources.cloudwatch_alarm import CloudwatchAlarm
from orderops.resources.sns_topic import PENDING

NO_DRILLS = FireDrills()
DAY = timedelta(days=1)
COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
LIMITS = {
    "Threshold": "threshold",
    "ComparisonOperator": "comparison",
    "EvaluationPeriods": "periods",
    "DatapointsToAlarm": "datapoints",
    "TreatMissingData": "missing",
}


def findings(
    aws: Aws,
    stack: Stack,
    exists: Callable[[str], bool],
    now: datetime | None = None,
    drills: FireDrills = NO_DRILLS,
) -> Iterator[AlertFinding]:
    """All findings. `exists` answers whether a command of orderops exists."""
    read = AlertsRead.of(aws, stack.environment)
    declared = {alarm.name: alarm for alarm in stack.infra if isinstance(alarm, CloudwatchAlarm)}
    yield from _of_rules(stack.environment, declared, read, exists)
    yield from _of_routes(stack.environment, read)
    yield from of_pages(stack, read, [drill.alarm for drill in drills.under_way])
    yield from _of_drills(stack.environment, drills)
    yield from of_dimensions(aws, stack.environment, read)
    yield from of_bands(aws, stack.environment, declared, read)
    for name, raw in read.alarms.items():
        yield from _of_alarm(stack.environment, raw, declared.get(name), read)
        if periods := _crossed(aws, raw, now or datetime.now(UTC)):
            what = (
                f"the data of the last 24 hours is beyond {raw['Threshold']:g} in {periods} periods, enough to raise it"
            )
            cause = f"find the cause: orderops status --env {stack.environment.name}"
            yield AlertFinding(name, what, f"{cause}; if this load is normal, raise the limit")


def _of_rules(
    environment: Environment,
    declared: Mapping[str, CloudwatchAlarm],
    read: AlertsRead,
    exists: Callable[[str], bool],
) -> Iterator[AlertFinding]:
    for name, part, rule in rules_in(environment):
        if missing := lacking(environment, part, rule):
            if not CHOICES.issuperset(missing) and name not in declared:
                needed = f"set {missing[0]} in {environment.name}.toml"
                yield AlertFinding(name, "the rule has no alarm: its metric is not recorded", needed)
            continue
        if name in declared and name not in read.alarms:
            yield AlertFinding(name, "the rule has no alarm", f"orderops infra apply --env {environment.name}")
        if not exists(command := runbook_of(environment, part, rule)):
            yield AlertFinding(name, f"its next command does not exist: {command}", "correct the rule's runbook")


def _of_routes(environment: Environment, read: AlertsRead) -> Iterator[AlertFinding]:
    every_alarm = (*read.alarms.values(), *read.composites.values())
    for topic in sorted({topic for raw in every_alarm for topic in raw.get("AlarmActions", [])}):
        name, ends = topic.rpartition(":")[2], read.ends.get(topic, {})
        if not ends:
            table = {"p0": "[alerts.p0]", "p2": "[alerts.p2]"}.get(name.rpartition("-")[2], "[alerts]")
            add = f"add a receiver to {table} in {environment.name}.toml"
            then = f"{add}, then: orderops infra apply --env {environment.name}"
            yield AlertFinding(name, "the topic of alarms has no receiver", then)
        for end, arn in ends.items():
            if arn == PENDING:
                confirm = "follow the link that AWS sent there; it is valid for 48 hours"
                yield AlertFinding(name, f"{end} has not confirmed its subscription", confirm)


def _of_drills(environment: Environment, drills: FireDrills) -> Iterator[AlertFinding]:
    for drill in drills.left:
        what = f"a fire drill of {drill.who}, begun {drill.started}, did not end, and may have left the alarm set"
        yield AlertFinding(drill.alarm, what, f"orderops alerts fire-drill --set-back --env {environment.name}")
    for broken in drills.unreadable:
        yield AlertFinding("fire drill", broken.message, broken.hint.replace("\n", "; "))


def _of_alarm(
    environment: Environment, raw: Mapping[str, Any], declared: CloudwatchAlarm | None, read: AlertsRead
) -> Iterator[AlertFinding]:
    name, apply = raw["AlarmName"], f"orderops infra apply --env {environment.name}"
    if not read.topics(name):
        yield AlertFinding(name, "the alarm has no route", apply if declared else "give it a topic, or delete it")
    if not raw.get("ActionsEnabled", True):
        yield AlertFinding(name, "its actions are disabled", apply if declared else "enable its actions, or delete it")
    if raw.get("TreatMissingData", "missing") == "missing":
        decide = "decide what missing data means: breaching, notBreaching or ignore"
        yield AlertFinding(name, "missing data is left at the default", apply if declared else decide)
    for key, field in LIMITS.items() if declared else ():
        wanted, found = getattr(declared, field), raw.get(key, "missing" if field == "missing" else None)
        if key == "Threshold" and declared and declared.band:
            key, found = "the width of its band", band_of(raw)
        if found != wanted:
            yield AlertFinding(name, f"{key} was set by hand to {found}; declared is {wanted}", apply)


def _crossed(aws: Aws, raw: Mapping[str, Any], now: datetime) -> int:
    """The number of periods of the last day beyond the threshold, if enough are together to raise the alarm; else 0."""
    beyond, queries = COMPARISONS.get(raw.get("ComparisonOperator", "")), _queries(raw)
    if beyond is None or not queries:
        return 0
    call = aws.cloudwatch.get_metric_data
    results = every(call, "MetricDataResults", MetricDataQueries=queries, StartTime=now - DAY, EndTime=now)
    times = sorted(
        time.timestamp()
        for result in results
        for time, value in zip(result["Timestamps"], result["Values"], strict=True)
        if beyond(value, raw["Threshold"])
    )
    period = max((query["MetricStat"]["Period"] for query in queries if "MetricStat" in query), default=60)
    needed, span = raw.get("DatapointsToAlarm") or raw["EvaluationPeriods"], raw["EvaluationPeriods"] * period
    together = any(last - first < span for first, last in zip(times, times[needed - 1 :], strict=False))
    return len(times) if together else 0


def _queries(raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    if raw.get("Metrics"):
        return [dict(query) for query in raw["Metrics"]]
    statistic = raw.get("Statistic") or raw.get("ExtendedStatistic")
    if not statistic:
        return []
    metric = {key: raw[key] for key in ("Namespace", "MetricName", "Dimensions") if key in raw}
    return [{"Id": "metric", "MetricStat": {"Metric": metric, "Period": raw["Period"], "Stat": statistic}}]
