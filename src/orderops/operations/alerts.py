"""The rules for alarms: their states and routes, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orderops.alerts.findings import findings
from orderops.alerts.reading import AlertsRead
from orderops.errors import OrderopsError
from orderops.infra.alarms import rules_in, runbook_of
from orderops.infra.workspace import Workspace
from orderops.resources.cloudwatch_alarm import CloudwatchAlarm
from orderops.text.lists import counted
from orderops.ui import console
from orderops.ui.alerts import show_findings, show_rules


def list_alerts(workspace: Workspace, *, as_json: bool) -> None:
    """Show each rule that has an alarm, the most urgent first."""
    environment = workspace.environment
    read = AlertsRead.of(workspace.aws, environment)
    declared = {alarm.name: alarm for alarm in workspace.stack.infra if isinstance(alarm, CloudwatchAlarm)}
    rows: dict[str, dict[str, Any]] = {}
    for name, part, rule in rules_in(environment):
        if name in declared:
            raw = read.alarms.get(name, {})
            rows[name] = {
                "alarm": name,
                "priority": str(rule.priority),
                "state": raw.get("StateValue", "ABSENT"),
                "since": since.strftime("%Y-%m-%dT%H:%M:%SZ") if (since := raw.get("StateUpdatedTimestamp")) else None,
                "threshold": raw.get("Threshold", declared[name].threshold),
                "route": read.route(name),
                "next": runbook_of(environment, part, rule),
            }
    document = sorted(rows.values(), key=lambda row: (row["priority"], row["alarm"]))
    if as_json:
        console.show_json(document)
    else:
        show_rules(document)
        console.info(f"next: orderops alerts check --env {environment.name}")


def check_alerts(workspace: Workspace, exists: Callable[[str], bool], *, as_json: bool) -> None:
    """Show what is wrong with the alarms, each with its next step. Raises OrderopsError if anything is."""
    found = list(findings(workspace.aws, workspace.stack, exists))
    if as_json:
        console.show_json([vars(finding) for finding in found])
    else:
        show_findings(found)
    if found:
        name = workspace.environment.name
        raise OrderopsError(f"the alarms of {name} have {counted(len(found), 'fault')}", "take the steps shown above")
    if not as_json:
        console.info("every rule has an alarm, and every alarm a route")
