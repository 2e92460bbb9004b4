"""Migrations written for one test of lint, after a first one that makes the tables they speak of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orderops.migrations.lint.finding import Finding
from orderops.migrations.lint.linter import lint
from orderops.migrations.sql.files import read_migrations

BASE = """\
CREATE TABLE users (id bigint PRIMARY KEY, name varchar(20), email text, legacy timestamp);
CREATE TABLE orders (number bigint PRIMARY KEY, user_id bigint, total bigint, note text);
CREATE TABLE items (order_number bigint, line int, PRIMARY KEY (order_number, line));
CREATE INDEX users_by_name ON users (name);
"""
ANYTHING = "DO $$ BEGIN END $$;\n"
"""A way back that says nothing of what it does."""


def write(folder: Path, *pairs: tuple[str, str]) -> Path:
    """Migrations from the second on, each its way forwards and its way back."""
    for version, (forwards, back) in enumerate([(BASE, ANYTHING), *pairs], 1):
        (folder / f"V{version:03}__case.sql").write_text(forwards, "utf-8")
        (folder / f"U{version:03}__case.sql").write_text(back, "utf-8")
    return folder


def linted(folder: Path, *pairs: tuple[str, str]) -> list[Finding]:
    """What is found in the migrations from the second on."""
    migrations = read_migrations(write(folder, *pairs))
    return lint(migrations, only=range(2, len(migrations) + 1))


def forwards(folder: Path, *texts: str) -> list[Finding]:
    """What is found in ways forwards."""
    return linted(folder, *((text, ANYTHING) for text in texts))


def places(findings: Sequence[Finding]) -> list[str]:
    """Each finding as rule:line."""
    return [f"{finding.rule}:{finding.line}" for finding in findings]
