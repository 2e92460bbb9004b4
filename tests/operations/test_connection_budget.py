"""A release with more connections than the server allows: refused before anything is changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.command_line import Orderops
from support.proof import FIRST
from support.recorded_history import DATABASE, Dev
from support.repository import ENVIRONMENTS

# End to end.
pytestmark = pytest.mark.slow

pytest_plugins = ["support.recorded_history_fixtures"]


@pytest.mark.parametrize("command", [("up",), ("service", "deploy"), ("up", "--dry-run")])
def test_a_release_for_a_class_that_the_server_has_yet_to_get_changes_nothing(
    dev: Dev, capsys: pytest.CaptureFixture[str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    environments = Path(shutil.copytree(ENVIRONMENTS, tmp_path / "environments"))
    file = environments / "dev.toml"
    file.write_text(file.read_text().replace("db.t3.micro", "db.t3.medium").replace("max_tasks = 5", "max_tasks = 20"))
    # As in the console without "Apply immediately".
    dev.workspace.aws.rds.modify_db_instance(DBInstanceIdentifier=DATABASE, DBInstanceClass="db.t3.medium")
    dev.proxy.forget()

    said = Orderops(capsys, "--env", "dev", "--environments", str(environments))(*command, "--yes", "--image", FIRST)

    assert said.code == 1
    assert "all services open up to 160 database connections during a deployment" in said.err
    assert f"rds-instance/{DATABASE} is a db.t3.micro, has about 80" in said.err
    assert "carry out what RDS holds back (DBInstanceClass db.t3.micro -> db.t3.medium)" in said.err
    assert dev.proxy.changing == []
