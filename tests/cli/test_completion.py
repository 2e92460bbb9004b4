"""Shell completion, by the protocol that the installed scripts speak."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SHELLS = {
    "bash": lambda words: {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)},
    "zsh": lambda words: {"_TYPER_COMPLETE_ARGS": words},
}


def completed(shell: str, words: str, folder: Path) -> str:
    environment = {**os.environ, "_ORDEROPS_COMPLETE": f"complete_{shell}", **SHELLS[shell](words)}
    return subprocess.run(
        [sys.executable, "-m", "orderops"], cwd=folder, env=environment, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_are_completed(shell: str, tmp_path: Path) -> None:
    assert "restore" in completed(shell, "orderops re", tmp_path)
    assert "rehearsal" in completed(shell, "orderops migrate re", tmp_path)


@pytest.mark.parametrize("shell", SHELLS)
def test_options_are_completed(shell: str, tmp_path: Path) -> None:
    suggested = completed(shell, "orderops up --d", tmp_path)

    assert "--dry-run" in suggested
    assert "--yes" not in suggested


@pytest.mark.parametrize("shell", SHELLS)
def test_environments_are_completed_from_their_files(shell: str, tmp_path: Path) -> None:
    (tmp_path / "environments").mkdir()
    for name in ("blue", "black", "green"):
        (tmp_path / "environments" / f"{name}.toml").touch()

    suggested = completed(shell, "orderops up --env bl", tmp_path)

    assert "blue" in suggested
    assert "black" in suggested
    assert "green" not in suggested


@pytest.mark.parametrize("shell", SHELLS)
def test_the_completion_script_names_the_program(shell: str, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "orderops", "--show-completion", shell]
    # Typer finds the shell among the parents of the process, and a test has none: with this variable it reads the word.
    environment = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    shown = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=environment)

    assert "_ORDEROPS_COMPLETE" in shown.stdout, shown.stderr


@pytest.mark.parametrize("command", [[], ["migrate"], ["restore", "promote"], ["local", "psql"]])
def test_every_command_has_a_short_help_option_except_psql(command: list[str]) -> None:
    shown = subprocess.run([sys.executable, "-m", "orderops", *command, "-h"], capture_output=True, text=True)

    # `psql -h` names a host, so there the option belongs to psql.
    assert ("Usage: orderops" in shown.stdout) is (command != ["local", "psql"])
