"""The report of a week: configuration, trends, drills, releases, migrations and alarms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from orderops.alerts.fire_drill import DRILL
from orderops.alerts.fire_drill_record import FireDrills, fire_drills
from orderops.aws.client import Aws, every
from orderops.aws.documents import Bucket
from orderops.aws.ownership import Ownership
from orderops.config.environment import Environment
from orderops.drift.report import drift_of
from orderops.errors import AwsError
from orderops.frozen import Frozen
from orderops.infra.workspace import Workspace
from orderops.reports.line import ReportLine, judged, unknown
from orderops.reports.trends import WEEK, trends
from orderops.resources.cloudwatch_anomaly_detector import TRAINED, CloudwatchAnomalyDetector
from orderops.restore.drill_record import Drills, drills
from orderops.runs.history import in_seconds
from orderops.text.durations import in_words
from orderops.text.lists import counted

# A restore and a page are to be proven each quarter.
OLDEST_DRILL = 13 * WEEK
# More runs in a week than any team makes.
MOST_RUNS = 500
RELEASES = ("up", "service deploy", "service rollback", "service promote")
SHOWN = 5


class WeeklyReport(Frozen):
    """What the report says."""

    environment: str
    since: datetime
    until: datetime
    lines: Sequence[ReportLine]

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return {
            "environment": self.environment,
            "since": in_seconds(self.since),
            "until": in_seconds(self.until),
            "lines": [line.to_dict() for line in self.lines],
        }


def weekly_report(workspace: Workspace, now: datetime) -> WeeklyReport:
    """Read everything for the week that ends now."""
    environment, aws, since = workspace.environment, workspace.aws, now - WEEK
    bucket = Bucket(aws)
    runs = _since(workspace.runs.history(last=MOST_RUNS), since)
    lines = (
        _drift(workspace),
        *trends(aws, workspace.stack, now),
        _restore_drill(drills(bucket, environment.name), environment.name, now),
        _fire_drill(fire_drills(bucket, environment.name), environment.name, now),
        *_runs(runs, environment.name),
        _alarms(aws, environment, since),
        *_bands(aws, environment),
    )
    return WeeklyReport(environment.name, since, now, lines)


def _drift(workspace: Workspace) -> ReportLine:
    env, subject = workspace.environment.name, "configuration drift"
    command = f"orderops infra drift --env {env}"
    try:
        report = drift_of(workspace)
    except AwsError as error:
        return unknown(subject, command, f"cannot be read: {error.code}")
    keys: dict[str, list[str]] = {}
    for drift in report.drift:
        keys.setdefault(drift.address, []).append(drift.key)
    changed = [f"{address} ({', '.join(sorted(names))})" for address, names in keys.items()]
    other = [owned.address for owned in report.plan.undeclared]
    parts = [
        *([f"{counted(len(changed), 'resource')} unlike the file: {_few(changed)}"] if changed else []),
        *([f"{counted(len(other), 'resource')} not declared: {_few(other)}"] if other else []),
    ]
    return judged(subject, "; ".join(parts) or "none", command, look=bool(parts))


def _restore_drill(found: Drills, env: str, now: datetime) -> ReportLine:
    subject, command = "last restore drill", f"orderops restore drill --env {env}"
    if found.last is None:
        return judged(subject, "never", command, look=True)
    age = now - found.last.started
    took = f"{in_words(age)} ago, recovered in {in_words(found.last.recovery)}"
    return judged(subject, took, command, look=age > OLDEST_DRILL or bool(found.last.findings))


def _fire_drill(found: FireDrills, env: str, now: datetime) -> ReportLine:
    subject, command = "last fire drill", f"orderops alerts fire-drill --env {env}"
    ended = [drill for drill in found.drills if drill.ended]
    if not ended:
        return judged(subject, "never", command, look=True)
    last = ended[0]
    age = now - datetime.fromisoformat(last.started)
    outcome = "reached every receiver" if last.passed else "did not reach every receiver"
    fact = f"{last.priority}, {in_words(age)} ago, {outcome}"
    return judged(subject, fact, command, look=age > OLDEST_DRILL or not last.passed)


def _runs(runs: Sequence[Mapping[str, Any]], env: str) -> Iterator[ReportLine]:
    command = f"orderops history --env {env}"
    releases = [run for run in runs if _is(run, RELEASES)]
    migrations = sum(1 for run in runs for step in run["steps"] if "migration" in step)
    bad = [run for run in runs if run["outcome"] not in ("done", "running")]
    failed = [run for run in releases if run in bad]
    fact = f"{len(releases)}, {counted(len(failed), 'failed run')}" if releases else "none"
    yield judged("releases", fact, f"orderops service releases --env {env}", look=bool(failed))
    yield judged("migrations", str(migrations or "none"), f"orderops migrate history --env {env}", look=False)
    commands = Counter(f"{run['command'].partition(' --env')[0]} {run['outcome']}" for run in bad)
    unfinished = _few([f"{name} ({number})" for name, number in commands.most_common()]) or "none"
    yield judged("runs that failed or were interrupted", unfinished, command, look=bool(bad))


def _alarms(aws: Aws, environment: Environment, since: datetime) -> ReportLine:
    subject, command = "alarms raised", f"orderops alerts list --env {environment.name}"
    history = every(
        aws.cloudwatch.describe_alarm_history,
        "AlarmHistoryItems",
        AlarmTypes=["MetricAlarm", "CompositeAlarm"],
        HistoryItemType="StateUpdate",
        StartDate=since,
    )
    prefix = f"{environment.prefix}-"
    raised = Counter(
        item["AlarmName"].removeprefix(prefix)
        for item in history
        if item["AlarmName"].startswith(prefix)
        and item["HistorySummary"].endswith(" to ALARM")
        and f'"{DRILL} ' not in item.get("HistoryData", "")
    )
    shown = [f"{name} ({counted(number, 'time')})" for name, number in raised.most_common()]
    return judged(subject, _few(shown) or "none", command, look=bool(raised))


def _bands(aws: Aws, environment: Environment) -> Iterator[ReportLine]:
    """How many anomaly detectors have learned what is usual; no line where none is declared."""
    if not environment.anomaly_detection:
        return
    subject, command = "bands of usual values", f"orderops alerts list --env {environment.name}"
    states = [found.status for found in CloudwatchAnomalyDetector.listing(aws, Ownership(environment.name))]
    learned = states.count(TRAINED)
    # A band that still learns needs weeks of data, and nothing of an operator.
    fact = f"{learned} of {len(states)} learned" if states else "none"
    yield judged(subject, fact, command, look=not states)


def _since(runs: Iterable[Mapping[str, Any]], since: datetime) -> list[Mapping[str, Any]]:
    """The newest runs, until one that is older. One that cannot be read has a time, too."""
    found = []
    for run in runs:
        if datetime.fromisoformat(run["started"]) < since:
            break
        found.append(run)
    return found


def _is(run: Mapping[str, Any], commands: Sequence[str]) -> bool:
    return any(run["command"] == name or run["command"].startswith(f"{name} ") for name in commands)


def _few(words: Sequence[str]) -> str:
    more = [f"and {len(words) - SHOWN} more"] if len(words) > SHOWN else []
    return ", ".join([*words[:SHOWN], *more])
