"""A fire drill: set an alarm, see where its message arrives, and set it back, whatever happens meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from orderops.alerts.fire_drill_record import FireDrill
from orderops.alerts.reading import AlertsRead, alarms_in
from orderops.aws.client import Aws, every
from orderops.config.environment import Environment
from orderops.errors import OrderopsError
from orderops.frozen import Frozen
from orderops.infra.alarms import rules_in
from orderops.infra.alert_rule import Priority
from orderops.infra.stack import Stack
from orderops.resources.sns_topic import PENDING

DRILL, ENDED, REAL = "fire drill", "the fire drill has ended", "raised during a fire drill"
# The clock of this machine may be late.
SKEW = timedelta(minutes=5)
LONGEST_REASON = 1023
ACCEPTED, FAILED = "Successfully executed action", "Failed to execute action"


class DrillTarget(Frozen):
    """The alarm that a drill sets, and whom it notifies."""

    priority: Priority
    alarm: str
    composite: bool
    ends: Mapping[str, Mapping[str, bool]]
    """By ARN of the topic: each end, and whether it has confirmed."""

    @property
    def paged(self) -> list[str]:
        """The confirmed ends of all topics."""
        return sorted(end for ends in self.ends.values() for end, confirmed in ends.items() if confirmed)


def choose(stack: Stack, read: AlertsRead, priority: Priority) -> DrillTarget:
    """The alarm for a drill of a priority. Raises OrderopsError if a drill would hide an outage, or prove nothing."""
    env = stack.environment.name
    name = _quiet(stack, read, priority)
    raw = _raw(read, name)
    ends = {
        topic: {end: arn != PENDING for end, arn in read.ends.get(topic, {}).items()}
        for topic in raw.get("AlarmActions", [])
    }
    target = DrillTarget(priority, name, name in read.composites, ends)
    if not target.paged:
        raise OrderopsError(f"{priority} has no confirmed receiver in {env}", f"orderops alerts check --env {env}")
    if not raw.get("ActionsEnabled", True):
        raise OrderopsError(f"the actions of {name} are disabled", f"orderops infra apply --env {env}")
    return target


def _quiet(stack: Stack, read: AlertsRead, priority: Priority) -> str:
    """An alarm of the priority that is not raised. Raises OrderopsError if that would hide an outage."""
    env = stack.environment.name
    known = [name for name in _candidates(stack, priority) if name in read.alarms or name in read.composites]
    if not known:
        raise OrderopsError(f"{env} has no alarm of {priority}", f"orderops infra apply --env {env}")
    quiet = [name for name in known if not read.raised(name) and _raw(read, name)["StateValue"] != "ALARM"]
    # Each page may belong to the outage that goes on. Of other priorities, one alarm that is quiet proves the route.
    if not quiet or (priority is Priority.P0 and len(quiet) < len(known)):
        raised = next(name for name in known if name not in quiet)
        causes = ", ".join(read.raised(raised)) or raised
        raise OrderopsError(
            f"{raised} is in ALARM now ({causes}): a drill would hide the outage", f"orderops status --env {env}"
        )
    return quiet[0]


def set_alarm(aws: Aws, drill: FireDrill) -> None:
    """Set the alarm of a drill, which notifies its topics."""
    reason = f"{DRILL} {drill.run} by {drill.who}: the route of {drill.priority} is tested, this is no incident"
    aws.cloudwatch.set_alarm_state(AlarmName=drill.alarm, StateValue="ALARM", StateReason=reason[:LONGEST_REASON])


def set_back(aws: Aws, environment: Environment, drill: FireDrill) -> None:
    """Set the alarm of a drill back. Harmless to repeat, and for an alarm that is gone or back already."""
    alarms, composites = alarms_in(aws, environment)
    raw = (composites if drill.composite else alarms).get(drill.alarm)
    if raw is None:
        return
    reason = raw.get("StateReason", "")
    # AWS may have written another reason, where an alarm below it was raised during the drill and could not page.
    ours = reason.startswith(DRILL) or (drill.composite and not reason.startswith(REAL))
    if ours and raw["StateValue"] == "ALARM":
        aws.cloudwatch.set_alarm_state(AlarmName=drill.alarm, StateValue="OK", StateReason=ENDED)
    if drill.composite:
        page_for_real(aws, environment, drill.alarm)


def page_for_real(aws: Aws, environment: Environment, name: str) -> None:
    """Raise a composite alarm if one below it is raised: AWS looks again only when one of them changes."""
    alarms, composites = alarms_in(aws, environment)
    raised = AlertsRead(alarms, {}, composites).raised(name)
    if raised and name in composites and composites[name]["StateValue"] != "ALARM":
        reason = f"{REAL}: {', '.join(raised)}"
        aws.cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason=reason[:LONGEST_REASON])


def end_stuck(aws: Aws, environment: Environment, name: str) -> None:
    """Set a composite alarm back that is in ALARM for no reason."""
    aws.cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason=ENDED)
    page_for_real(aws, environment, name)


def stuck_pages(aws: Aws, environment: Environment) -> list[str]:
    """The composite alarms in ALARM although no alarm below them is."""
    alarms, composites = alarms_in(aws, environment)
    read = AlertsRead(alarms, {}, composites)
    return sorted(name for name, raw in composites.items() if raw["StateValue"] == "ALARM" and not read.raised(name))


class MessagesTaken(Frozen):
    """What the history of an alarm says about the messages of a drill: seconds until SNS accepted, by topic."""

    accepted: Mapping[str, list[float]]
    failed: frozenset[str]


def acceptance(aws: Aws, drill: FireDrill) -> MessagesTaken:
    """Read the history of a drill's alarm since it was set."""
    history = every(
        aws.cloudwatch.describe_alarm_history,
        "AlarmHistoryItems",
        AlarmName=drill.alarm,
        AlarmTypes=["CompositeAlarm" if drill.composite else "MetricAlarm"],
        StartDate=datetime.fromisoformat(drill.started) - SKEW,
        ScanBy="TimestampAscending",
    )
    began: datetime | None = None
    accepted: dict[str, list[float]] = {}
    failed: set[str] = set()
    for item in history:
        if item["HistoryItemType"] == "StateUpdate" and f"{DRILL} {drill.run} " in _reason(item):
            began = began or item["Timestamp"]
        elif began and item["HistoryItemType"] == "Action":
            topic = item["HistorySummary"].rpartition(" ")[2]
            if item["HistorySummary"].startswith(ACCEPTED):
                accepted.setdefault(topic, []).append((item["Timestamp"] - began).total_seconds())
            elif item["HistorySummary"].startswith(FAILED):
                failed.add(topic)
    return MessagesTaken(accepted, frozenset(failed))


def _candidates(stack: Stack, priority: Priority) -> Iterator[str]:
    if priority is Priority.P0:
        # Those with a suppressor wait for it, so the others come first.
        pages = [page for page in stack.pages if page.topic]
        yield from (page.name for page in sorted(pages, key=lambda page: page.suppressor is not None))
        return
    declared = {resource.name for resource in stack.infra if resource.kind == "cloudwatch-alarm"}
    yield from (name for name, _, rule in rules_in(stack.environment) if rule.priority is priority and name in declared)


def _raw(read: AlertsRead, name: str) -> Mapping[str, Any]:
    return read.composites.get(name) or read.alarms[name]


def _reason(item: Mapping[str, Any]) -> str:
    try:
        return str(json.loads(item.get("HistoryData") or "{}")["newState"]["stateReason"])
    except (KeyError, TypeError, ValueError):
        return ""
