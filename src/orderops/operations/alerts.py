"""The rules for alarms: their states and routes, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orderops.alerts.findings import findings
from orderops.alerts.fire_drill_record import fire_drills
from orderops.alerts.reading import AlertsRead, band_of
from orderops.aws.documents import Bucket
from orderops.errors import OrderopsError
from orderops.frozen import as_dict
from orderops.infra.alarms import rules_in, runbook_of
from orderops.infra.workspace import Workspace
from orderops.resources.cloudwatch_alarm import CloudwatchAlarm
from orderops.runs.history import in_seconds
from orderops.text.lists import counted
from orderops.ui import console
from orderops.ui.alerts import show_findings, show_rules


def list_alerts(workspace: Workspace, *, as_json: bool) -> None:
    """Show each rule that has an alarm, and the alarms that page; the most urgent first."""
    environment = workspace.environment
    read = AlertsRead.of(workspace.aws, environment)
    declared = {alarm.name: alarm for alarm in workspace.stack.infra if isinstance(alarm, CloudwatchAlarm)}
    rows: dict[str, dict[str, Any]] = {}
    for name, part, rule in rules_in(environment):
        if name in declared:
            raw = read.alarms.get(name, {})
            threshold = None if rule.band else raw.get("Threshold", declared[name].threshold)
            row = _row(name, raw, read, str(rule.priority), threshold, runbook_of(environment, part, rule))
            rows[name] = {**row, "band": band_of(raw)}
    for page in workspace.stack.pages:
        if page.topic:
            next_ = page.description.rpartition("next: ")[2]
            rows[page.name] = _row(page.name, read.composites.get(page.name, {}), read, "P0", None, next_)
    document = sorted(rows.values(), key=lambda row: (row["priority"], row["alarm"]))
    if as_json:
        console.show_json(document)
    else:
        show_rules(document)
        console.info(f"next: orderops alerts check --env {environment.name}")


def _row(
    name: str, raw: Mapping[str, Any], read: AlertsRead, priority: str, threshold: float | None, next_: str
) -> dict[str, Any]:
    since = raw.get("StateUpdatedTimestamp")
    return {
        "alarm": name,
        "priority": priority,
        "state": raw.get("StateValue", "ABSENT"),
        "since": in_seconds(since) if since else None,
        "threshold": threshold,
        "band": None,
        "route": read.route(name),
        "next": next_,
    }


def check_alerts(workspace: Workspace, exists: Callable[[str], bool], *, as_json: bool) -> None:
    """Show what is wrong with the alarms, each with its next step. Raises OrderopsError if anything is."""
    holders = workspace.runs.under_way().holders
    drills = fire_drills(Bucket(workspace.aws), workspace.environment.name, [holder.run for holder in holders])
    found = list(findings(workspace.aws, workspace.stack, exists, drills=drills))
    if as_json:
        console.show_json([as_dict(finding) for finding in found])
    else:
        show_findings(found)
    if found:
        name = workspace.environment.name
        raise OrderopsError(f"the alarms of {name} have {counted(len(found), 'fault')}", "take the steps shown above")
    if not as_json:
        console.info("every rule has an alarm, and every alarm a route")
