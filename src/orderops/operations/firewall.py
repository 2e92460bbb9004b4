"""The report on the firewall: read, and shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from orderops.infra.workspace import Workspace
from orderops.reports.firewall import firewall_report
from orderops.ui import console
from orderops.ui.firewall import show_firewall


def report_firewall(workspace: Workspace, back: timedelta, *, as_json: bool) -> None:
    """Show what the web ACL blocked and counted in that time."""
    report = firewall_report(workspace, datetime.now(UTC) - back)
    if as_json:
        console.show_json(report.to_dict())
    else:
        show_firewall(report)
