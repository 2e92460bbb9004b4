"""The weekly report: read, and written as Markdown or JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from orderops.infra.workspace import Workspace
from orderops.reports.weekly import weekly_report
from orderops.ui import console
from orderops.ui.report_markdown import report_markdown


def report_week(workspace: Workspace, file: Path | None, *, as_json: bool) -> None:
    """Show the report of the last seven days, or write it to a file."""
    report = weekly_report(workspace, datetime.now(UTC)).to_dict()
    if as_json:
        console.show_json(report)
    lines = report_markdown(report)
    if file:
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        console.info(f"{file} is written")
    elif not as_json:
        for line in lines:
            console.data(line)
