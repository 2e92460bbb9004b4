"""Reports of saves, in words for an operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def saving_problems(report: Mapping[str, Any]) -> list[str]:
    """Return what is not saved of the local environment and why; empty when everything is."""
    problems = []
    if report.get("problem"):
        problems.append(f"changes are not saved since {report['failing_since']}: {report['problem']}")
    if report.get("left_out"):
        problems.append(f"the state is saved without: {', '.join(report['left_out'])}")
    return problems
