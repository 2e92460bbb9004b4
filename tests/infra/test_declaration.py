"""A value is written into the environment file once, where nobody has edited the file meanwhile."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import cast

import pytest

from orderops.aws.client import Aws
from orderops.config.environment import load_environment
from orderops.errors import OrderopsError, UsageError
from orderops.infra.declaration import Declaration, declare
from orderops.infra.workspace import Workspace
from support.repository import ENVIRONMENTS

CLASS = ("database", "instance_class")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "dev.toml"
    file.write_text((ENVIRONMENTS / "dev.toml").read_text())
    return file


def declared(file: Path, value: str) -> Declaration:
    workspace = Workspace(load_environment("dev", file.parent), cast(Aws, None), folder=file.parent)
    return declare(workspace, {CLASS: value})


def test_the_file_is_the_one_before_but_for_the_value(file: Path) -> None:
    before = file.read_text()

    declaration = declared(file, "db.t3.small")

    assert declaration.changes
    assert declaration.workspace.environment.database.instance_class == "db.t3.small"
    assert file.read_text() == before
    declaration.write()
    assert file.read_text() == before.replace("db.t3.micro", "db.t3.small")
    assert declaration.workspace.file_digest == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_value_that_the_file_has_changes_nothing(file: Path) -> None:
    before, declaration = file.read_text(), declared(file, "db.t3.micro")

    assert not declaration.changes
    declaration.write()
    assert file.read_text() == before


def test_a_default_is_not_written(file: Path) -> None:
    file.write_text(file.read_text().replace('instance_class = "db.t3.micro"\n', ""))

    assert not declared(file, "db.t3.micro").changes


def test_a_file_that_was_edited_meanwhile_is_left_alone(file: Path) -> None:
    declaration = declared(file, "db.t3.small")
    file.write_text(edited := file.read_text().replace("storage_gb = 20", "storage_gb = 30"))

    with pytest.raises(OrderopsError, match="changed meanwhile; nothing was written and nothing was changed"):
        declaration.write()
    assert file.read_text() == edited


def test_a_file_that_another_run_has_written_is_as_it_should_be(file: Path) -> None:
    first, second = declared(file, "db.t3.small"), declared(file, "db.t3.small")

    first.write()
    second.write()

    assert declared(file, "db.t3.small").changes is False


def test_a_value_that_would_be_a_mistake_is_refused(file: Path) -> None:
    with pytest.raises(UsageError, match="instance_class"):
        declared(file, "large")
