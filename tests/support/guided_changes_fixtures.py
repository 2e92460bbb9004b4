"""Fixtures: the file and the database of dev, for commands that declare a value and bring the instance there.

A test module loads them with `pytest_plugins = ["support.guided_changes_fixtures"]`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.repository import ENVIRONMENTS

NAME = "orderops-dev-database"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of environments with dev.toml only."""
    (tmp_path / "dev.toml").write_text((ENVIRONMENTS / "dev.toml").read_text())
    return tmp_path


@pytest.fixture
def rds(client: Callable[[str], Any]) -> Any:
    return client("rds")


def instance(rds: Any) -> dict[str, Any]:
    """The database as RDS describes it."""
    found: dict[str, Any] = rds.describe_db_instances(DBInstanceIdentifier=NAME)["DBInstances"][0]
    return found
