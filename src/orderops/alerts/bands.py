"""Alarms on a band of usual values whose anomaly detector is gone: they have no data for ever."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orderops.alerts.finding import AlertFinding
from orderops.alerts.reading import AlertsRead
from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.config.environment import Environment
from orderops.resources.cloudwatch_alarm import CloudwatchAlarm
from orderops.resources.cloudwatch_anomaly_detector import CloudwatchAnomalyDetector


def of_bands(
    aws: Aws, environment: Environment, declared: Mapping[str, CloudwatchAlarm], read: AlertsRead
) -> Iterator[AlertFinding]:
    """A finding for each declared alarm without its detector. One that still learns is none: that takes its time."""
    bands = {name: alarm.band.name for name, alarm in declared.items() if alarm.band and name in read.alarms}
    living = (
        {found.name for found in CloudwatchAnomalyDetector.listing(aws, Ownership(environment.name))}
        if bands
        else set()
    )
    for name, band in bands.items():
        if band not in living:
            what = "its anomaly detector does not exist, so the alarm never has data"
            yield AlertFinding(name, what, f"orderops infra apply --env {environment.name}")
