"""Watching: log groups, alarms, dashboards, topics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orderops.export.hcl import Json, blocks
from orderops.export.part import Found, Part
from orderops.resources.cloudwatch_mark import marked
from orderops.resources.sns_topic import THIS_ACCOUNT, THIS_TOPIC


def log_group(found: Found) -> Iterator[Part]:
    """A log group."""
    body = {"name": found.name, "retention_in_days": found.properties["retentionInDays"], "tags": found.tags}
    yield Part("aws_cloudwatch_log_group", found.observed.id, body)


def _notified(found: Found) -> dict[str, Any]:
    properties = found.properties
    return {
        "alarm_name": found.name,
        "alarm_description": marked(properties["AlarmDescription"] or "", properties["Mark"] or {}),
        "actions_enabled": properties["ActionsEnabled"],
        "alarm_actions": found.place(properties["AlarmActions"]) or None,
        "ok_actions": found.place(properties["OKActions"]) or None,
        "insufficient_data_actions": found.place(properties["InsufficientDataActions"]) or None,
        "tags": found.tags,
    }


def alarm(found: Found) -> Iterator[Part]:
    """An alarm on a metric, or on an expression over metrics."""
    properties = found.properties
    band = properties["ThresholdMetricId"]
    body = {
        **_notified(found),
        "comparison_operator": properties["ComparisonOperator"],
        "threshold": None if band else properties["Threshold"],
        "threshold_metric_id": band,
        "evaluation_periods": properties["EvaluationPeriods"],
        "datapoints_to_alarm": properties["DatapointsToAlarm"],
        "treat_missing_data": properties["TreatMissingData"],
        "evaluate_low_sample_count_percentiles": properties["EvaluateLowSampleCountPercentile"],
        "namespace": properties["Namespace"],
        "metric_name": properties["MetricName"],
        "dimensions": properties["Dimensions"] or None,
        "statistic": properties["Statistic"],
        "extended_statistic": properties["ExtendedStatistic"],
        "unit": properties["Unit"],
        "period": properties["Period"],
        "metric_query": blocks(
            *(_query(key, query, band=bool(band)) for key, query in (properties["Metrics"] or {}).items())
        ),
    }
    yield Part("aws_cloudwatch_metric_alarm", found.observed.id, body)


def _query(key: str, query: Mapping[str, Any], *, band: bool) -> dict[str, Any]:
    if "Expression" in query:
        return {"id": key, "expression": query["Expression"], "return_data": True}
    metric = {
        "namespace": query["Namespace"],
        "metric_name": query["MetricName"],
        "dimensions": query["Dimensions"] or None,
        "period": query["Period"],
        "stat": query["Stat"],
    }
    # An alarm on a band compares the metric itself with it.
    return {"id": key, "return_data": band, "metric": blocks(metric)}


def composite_alarm(found: Found) -> Iterator[Part]:
    """An alarm over other alarms."""
    properties = found.properties
    suppressor = properties["ActionsSuppressor"] and {
        "alarm": properties["ActionsSuppressor"],
        "wait_period": properties["ActionsSuppressorWaitPeriod"],
        "extension_period": properties["ActionsSuppressorExtensionPeriod"],
    }
    body = {**_notified(found), "alarm_rule": properties["AlarmRule"], "actions_suppressor": blocks(suppressor or None)}
    yield Part("aws_cloudwatch_composite_alarm", found.observed.id, body)


def dashboard(found: Found) -> Iterator[Part]:
    """A dashboard."""
    body = {"dashboard_name": found.name, "dashboard_body": Json(found.properties["Body"])}
    yield Part("aws_cloudwatch_dashboard", found.name, body)


def topic(found: Found) -> Iterator[Part]:
    """A topic with its policy."""
    known = {THIS_TOPIC: found.observed.arn, THIS_ACCOUNT: found.account}
    policy = _filled(found.properties["Policy"], known)
    body = {"name": found.name, "policy": Json(policy) if policy else None, "tags": found.tags}
    yield Part("aws_sns_topic", found.observed.arn, body)


def _filled(value: Any, texts: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _filled(part, texts) for key, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, texts) for part in value]
    return texts.get(value, value) if isinstance(value, str) else value
