"""The entry point of a task that a schedule starts."""

from __future__ import annotations

import pytest

from orderops.cli.scheduled_entrypoint import main

NAME, FILE = "ORDEROPS_ENVIRONMENT", "ORDEROPS_ENVIRONMENT_FILE"
TEXT = 'region = "ap-southeast-2"\n[database]\n[services.shop]\nmax_tasks = 2\n'


@pytest.mark.parametrize("missing", [NAME, FILE])
def test_a_process_that_carries_no_environment_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    for name, value in {NAME: "dev", FILE: TEXT}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(missing)

    with pytest.raises(SystemExit) as end:
        main(["board", "publish"])

    assert end.value.code == 1
    assert "this process carries no environment" in capsys.readouterr().err


def test_the_command_runs_on_the_environment_that_the_task_carries(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(NAME, "carried")
    monkeypatch.setenv(FILE, TEXT)

    with pytest.raises(SystemExit) as end:
        main(["board", "publish"])

    assert end.value.code == 2
    assert "carried.toml names no bucket for the board" in capsys.readouterr().err
