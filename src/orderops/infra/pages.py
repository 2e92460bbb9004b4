"""The composite alarms that page: one page for one outage, whatever number of P0 alarms it raises."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from orderops.config.environment import Environment
from orderops.infra.alarms import Routes
from orderops.infra.alert_rule import Priority
from orderops.infra.alert_rules import ROOT_CAUSES
from orderops.resources.cloudwatch_alarm import CloudwatchAlarm
from orderops.resources.cloudwatch_composite_alarm import MOST_CHILDREN, CloudwatchCompositeAlarm

Children = tuple[CloudwatchAlarm | CloudwatchCompositeAlarm, ...]
OUTAGE, ERRORS = "p0-outage", "p0-errors"
# Seconds. Requests fail from the first moment of an outage, and a target counts as unhealthy only after some checks:
# both alarms are judged once a minute, so the symptom is raised at most about one evaluation before its cause. A page
# for errors alone is late by that minute. Without the wait, most outages would page twice.
WAIT_FOR_CAUSE = 60
# Seconds. 3 of 5 minutes keep the alarm for errors raised for up to 5 minutes after the cause has ended.
ERRORS_END_AFTER = 360


def pages_of(
    environment: Environment, alarms: Iterable[CloudwatchAlarm], routes: Routes
) -> tuple[CloudwatchCompositeAlarm, ...]:
    """The composite alarms over the P0 alarms of an environment: root causes, and errors that have another cause."""
    p0 = [alarm for alarm in alarms if alarm.topic is None]
    status = f"next: orderops status --env {environment.name}"
    roots = [alarm for alarm in p0 if alarm.name.endswith(tuple(f"-{key}" for key in ROOT_CAUSES))]
    errors = [alarm for alarm in p0 if alarm not in roots]
    topic = routes[Priority.P0]
    groups, children = _grouped(f"{environment.prefix}-{OUTAGE}", roots)
    outage = CloudwatchCompositeAlarm(
        f"{environment.prefix}-{OUTAGE}",
        f"P0: a service of {environment.name} has no healthy task or cannot reach its database; {status}",
        children,
        topic,
    )
    more_groups, children = _grouped(f"{environment.prefix}-{ERRORS}", errors)
    failing = CloudwatchCompositeAlarm(
        f"{environment.prefix}-{ERRORS}",
        f"P0: requests to {environment.name} fail or are slow, while tasks and database are there; {status}",
        children,
        topic,
        outage,
        wait=WAIT_FOR_CAUSE,
        extension=ERRORS_END_AFTER,
    )
    return (*groups, outage, *more_groups, failing)


def _grouped(name: str, alarms: Sequence[CloudwatchAlarm]) -> tuple[Sequence[CloudwatchCompositeAlarm], Children]:
    """The alarms as children of one composite alarm, in groups if there are more than AWS allows."""
    if len(alarms) <= MOST_CHILDREN:
        return (), tuple(alarms)
    groups = tuple(_groups(name, alarms))
    return groups, groups


def _groups(name: str, alarms: Sequence[CloudwatchAlarm]) -> Iterator[CloudwatchCompositeAlarm]:
    for number, start in enumerate(range(0, len(alarms), MOST_CHILDREN), 1):
        children = tuple(alarms[start : start + MOST_CHILDREN])
        yield CloudwatchCompositeAlarm(f"{name}-{number}", "a part of the alarms that page", children)
