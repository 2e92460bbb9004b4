"""Findings as SARIF 2.1.0, which code hosting services show next to the changed line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from orderops import __version__
from orderops.migrations.lint.catalog import LintRule, rule
from orderops.migrations.lint.finding import Finding

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
VERSION = "2.1.0"
ROOT = "%SRCROOT%"
"""Base of relative URIs: the working directory of the command."""


def sarif(findings: Sequence[Finding], *, root: Path | None = None) -> dict[str, Any]:
    """Build a SARIF document with one run; files outside the root keep absolute URIs."""
    root = (root or Path.cwd()).resolve()
    names = list(dict.fromkeys(finding.rule for finding in findings))
    return {
        "$schema": SCHEMA,
        "version": VERSION,
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "orderops migrate lint",
                        "version": __version__,
                        "rules": [_rule(name, findings) for name in names],
                    }
                },
                # SARIF's default is UTF-16 code units, which differ for characters outside the BMP.
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {ROOT: {"description": {"text": "the folder in which the command was run"}}},
                "results": [_result(finding, names, root) for finding in findings],
            }
        ],
    }


def _rule(name: str, findings: Sequence[Finding]) -> dict[str, Any]:
    first = next(finding for finding in findings if finding.rule == name)
    known = rule(name) or LintRule(first.level, first.message[:1].upper() + first.message[1:] + ".")
    silence = f"If the statement is safe, silence the rule with a comment above it: -- squawk-ignore {name}"
    return {
        "id": name,
        "shortDescription": {"text": known.about},
        "help": {"text": f"{known.about}\n\n{silence}"},
        "defaultConfiguration": {"level": str(known.level)},
    }


def _result(finding: Finding, names: Sequence[str], root: Path) -> dict[str, Any]:
    instead = f"\n\nInstead:\n{finding.rewrite}" if finding.rewrite else ""
    return {
        "ruleId": finding.rule,
        "ruleIndex": names.index(finding.rule),
        "level": str(finding.level),
        "message": {"text": finding.message + instead},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": _address(finding.file, root),
                    "region": {"startLine": finding.line, "startColumn": finding.column},
                }
            }
        ],
    }


def _address(file: Path, root: Path) -> dict[str, str]:
    whole = file.resolve()
    if whole.is_relative_to(root):
        return {"uri": quote(whole.relative_to(root).as_posix()), "uriBaseId": ROOT}
    return {"uri": whole.as_uri()}
