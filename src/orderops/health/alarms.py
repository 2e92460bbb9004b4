"""The alarms of an environment: what is raised, how urgent it is, and which component it is about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from orderops.alerts.reading import alarms_of
from orderops.frozen import Frozen
from orderops.health.component import ComponentState, ComponentStatus
from orderops.infra.alarms import WatchedPart, limit_of, rules_in, runbook_of
from orderops.infra.alert_rule import AlertRule, Priority, Source
from orderops.infra.workspace import Workspace
from orderops.text.outside import plain

LABEL = "alarms"


class RaisedAlarm(Frozen):
    """An alarm in the state ALARM; without priority and component if no rule made it."""

    name: str
    since: datetime
    words: str = ""
    priority: Priority | None = None
    component: str = ""
    command: str = "orderops alerts list"


class AlarmsSeen(Frozen):
    """How many alarms there are, and those that are raised, the most urgent first."""

    known: int
    raised: Sequence[RaisedAlarm] = ()

    def of(self, *components: str) -> list[RaisedAlarm]:
        """Those that are about these components."""
        return [alarm for alarm in self.raised if alarm.component in components]


def read_alarms(workspace: Workspace) -> AlarmsSeen:
    """Read the alarms of the environment."""
    prefix = f"{workspace.environment.prefix}-"
    alarms = alarms_of(workspace.aws, workspace.environment, "MetricAlarms")
    rules = {name: (part, rule) for name, part, rule in rules_in(workspace.environment)}
    raised = [
        _raised(workspace, prefix, name, raw["StateUpdatedTimestamp"], *rules.get(name, (None, None)))
        for name, raw in alarms.items()
        if raw["StateValue"] == "ALARM"
    ]
    return AlarmsSeen(len(alarms), sorted(raised, key=lambda alarm: (str(alarm.priority or "~"), alarm.since)))


def alarms_status(seen: AlarmsSeen) -> ComponentStatus:
    """The component for the alarms that are raised. What they are about explains them."""
    if seen.raised:
        first = seen.raised[0]
        names = ", ".join(plain(alarm.name) for alarm in seen.raised)
        words = f": {first.words}" if first.words else ""
        return ComponentStatus(
            LABEL,
            ComponentState.DEGRADED,
            f"{len(seen.raised)} raised: {names}{words}",
            first.command,
            priority=first.priority,
            since=first.since,
            follows=tuple(dict.fromkeys(alarm.component for alarm in seen.raised if alarm.component)),
        )
    if not seen.known:
        return ComponentStatus(LABEL, ComponentState.ABSENT, "no alarm", priority=Priority.P2)
    return ComponentStatus(LABEL, ComponentState.OK, f"{seen.known} quiet")


def _raised(
    workspace: Workspace, prefix: str, name: str, since: datetime, part: WatchedPart | None, rule: AlertRule | None
) -> RaisedAlarm:
    short = name.removeprefix(prefix)
    if part is None or rule is None:
        return RaisedAlarm(short, since)
    command = runbook_of(workspace.environment, part, rule).removesuffix(f" --env {workspace.environment.name}")
    if command == "orderops status":
        # Which is where this is shown.
        command = "orderops alerts list"
    words = rule.sentence.format(name=part.name, limit=f"{limit_of(part, rule):g}")
    return RaisedAlarm(short, since, words, rule.priority, _component_of(part, rule), command)


def _component_of(part: WatchedPart, rule: AlertRule) -> str:
    """The component that a rule is about, by where its metric is measured."""
    source = next(iter(rule.measures.values())).source
    # The log lines of a service that are counted are those about its database.
    if source in (Source.DATABASE, Source.LOGS):
        return "database"
    if source in (Source.BALANCER, Source.FIREWALL):
        return "balancer"
    if source is Source.FAILED_SCHEDULES:
        return "schedules"
    if source is Source.CERTIFICATE:
        return "certificate"
    if source is Source.REPLICA:
        return f"replica {part.key}"
    return f"queue {part.key}" if source in (Source.QUEUE, Source.DEAD_LETTERS) else f"service {part.key}"
