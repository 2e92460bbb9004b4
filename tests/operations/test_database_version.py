"""The version of PostgreSQL of an emulated environment: declared, or that of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from orderops.cli import main
from orderops.operations.workspace import read_environment

BASE = '[network]\ncidr = "10.9.0.0/16"\n[database]\n{version}\n[services.orders]\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "undeclared": ("emulated = true", ""),
        "declared": ("emulated = true", 'engine_version = "18.2"'),
        "other": ("emulated = true", 'engine_version = "16"'),
        "cloud": ("", ""),
    }
    for name, (top, version) in files.items():
        (tmp_path / f"{name}.toml").write_text(f"{top}\n{BASE.format(version=version)}")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "version"), [("undeclared", "18"), ("declared", "18.2"), ("other", "16"), ("cloud", "16")]
)
def test_an_emulated_environment_without_a_version_has_that_of_this_machine(
    folder: Path, name: str, version: str
) -> None:
    assert read_environment(name, folder).database.engine_version == version


def check(folder: Path, capsys: pytest.CaptureFixture[str], name: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as end:
        main(["env", "check", name, "--environments", str(folder)])
    return int(str(end.value.code or 0)), capsys.readouterr().err


def test_a_version_that_this_machine_does_not_have_is_a_mistake(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = check(folder, capsys, "other")

    assert code == 2
    assert f"{folder}/other.toml: database.engine_version: '16': this laptop has PostgreSQL 18" in said
    assert 'set it to "18", or leave it out; or set ORDEROPS_PG_BIN' in said
