"""Fixtures: the commands of `migrate` on an empty database and an empty folder of a test's own.

A test module asks for them with `pytest_plugins = ["postgres_fixtures", "run_fixtures"]`, and takes `run`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from command import Orderops
from runs import Run


@pytest.fixture
def run(database: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("apply", "--yes")` in this process; `run.process` in one of its own."""
    monkeypatch.setenv("ORDEROPS_DSN", database)
    return Run(database, tmp_path / "sql", Orderops(capfd))
