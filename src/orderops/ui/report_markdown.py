"""The weekly report as Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# What would begin a cell, a link, HTML or emphasis.
SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#])")


def report_markdown(report: Mapping[str, Any]) -> list[str]:
    """The lines of the report; what needs attention comes first."""
    order = {"look": 0, "no data": 1, "fine": 2}
    rows = sorted(report["lines"], key=lambda line: order[line["verdict"]])
    number = sum(line["verdict"] == "look" for line in rows)
    return [
        f"# Week of {_cell(report['environment'])}, {report['since'][:10]} to {report['until'][:10]}",
        "",
        f"{number} of {len(rows)} lines need a look." if number else "Nothing needs a look.",
        "",
        "| verdict | subject | this week | next |",
        "| --- | --- | --- | --- |",
        *(
            f"| {line['verdict']} | {_cell(line['subject'])} | {_cell(line['fact'])} | `{line['next']}` |"
            for line in rows
        ),
    ]


def _cell(text: str) -> str:
    """External text on one line, without markup."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))
