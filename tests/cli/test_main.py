"""What all commands have in common: errors, questions and the version."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import orderops as package
from orderops.cli.command_tree import options_below
from orderops.cli.tree import command_for, ends_at_a_group, options_of, whole_command
from orderops.ui.commands import completed, repeating
from support.command_line import Orderops


@pytest.fixture
def orderops(capsys: pytest.CaptureFixture[str]) -> Orderops:
    return Orderops(capsys)


@pytest.mark.parametrize("words", [("status",), ("stop",), ("reset", "--yes"), ("logs",)], ids=" ".join)
def test_an_unusable_path_leads_to_an_error_without_a_traceback(
    orderops: Orderops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("ORDEROPS_LOCAL_DIRECTORY", str(file))

    refused = orderops("local", *words)

    assert refused.code == 1
    assert refused.err.startswith(f"error: {file}")
    assert " hint: " in refused.err


def test_a_question_shows_its_answers_and_an_empty_line_means_no(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    os.write(ours, b"\n")
    asked = subprocess.run(
        [sys.executable, "-m", "orderops", "local", "reset"],
        stdin=theirs,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ORDEROPS_LOCAL_DIRECTORY": str(tmp_path)},
    )
    os.close(ours)
    os.close(theirs)

    assert asked.returncode == 1
    question, _, answer = asked.stderr.partition("[y/N]")
    assert question == f"Delete everything in {tmp_path}? "
    # Versions of click differ in whether a space follows.
    assert answer.strip().startswith("error: not confirmed; nothing was changed")


def test_the_version_option_prints_the_version(orderops: Orderops) -> None:
    assert orderops("--version").out == f"orderops {package.__version__}\n"


@pytest.mark.parametrize(
    ("words", "near"),
    [(("upp",), "'up'"), (("up", "--dryrun"), "--dry-run"), (("infra", "aply"), "'apply'")],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else None,
)
def test_a_misspelled_command_or_option_leads_to_a_suggestion(
    orderops: Orderops, words: tuple[str, ...], near: str
) -> None:
    refused = orderops(*words)

    assert (refused.code, refused.out) == (2, "")
    assert "Usage: orderops" in refused.err
    assert near in refused.err


def commands_below(group: Any, name: str = "orderops") -> Iterator[tuple[str, Any]]:
    """Yield every command with its whole name."""
    for part, command in getattr(group, "commands", {}).items():
        yield f"{name} {part}", command
        yield from commands_below(command, f"{name} {part}")


COMMANDS = dict(commands_below(whole_command()))


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_help_names_only_options_that_the_command_has(command: Any) -> None:
    options = {name for parameter in command.params for name in [*parameter.opts, *parameter.secondary_opts]}
    texts = [parameter.help or "" for parameter in command.params if hasattr(parameter, "help")]

    assert {name for text in texts for name in re.findall(r"(?<![\w-])--[\w-]+", text)} <= options


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_list_of_commands_shows_no_half_of_a_command_line(command: Any) -> None:
    # The list shows the first paragraph, which breaks anywhere; a later one stands on a line of its own.
    assert not re.search(r"\borderops \w+ \w+", (command.help or "").partition("\n\n")[0])


@pytest.mark.parametrize("words", [("--help",), ("env", "show", "dev", "--json")], ids=" ".join)
def test_a_reader_that_ends_early_gets_no_traceback(words: tuple[str, ...]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)

    # Both streams, as in `orderops … 2>&1 | head -1`.
    done = subprocess.run(
        [sys.executable, "-m", "orderops", *words], stdout=theirs, stderr=subprocess.PIPE, text=True, check=False
    )
    both = subprocess.run([sys.executable, "-m", "orderops", *words], stdout=theirs, stderr=theirs, check=False)
    os.close(theirs)

    assert done.stderr == ""
    assert (done.returncode, both.returncode) == (1, 1)


@pytest.mark.parametrize("words", [("up",), ("infra", "plan"), ("doctor",), ("migrate", "apply")], ids=" ".join)
def test_a_flag_has_no_value_in_the_help(orderops: Orderops, words: tuple[str, ...]) -> None:
    shown = orderops(*words, "--help").out

    assert "<bool>" not in shown
    assert "bool" not in shown.lower()


@pytest.mark.parametrize("words", [("service",), ("-v", "queue", "dlq")], ids=" ".join)
def test_the_help_of_a_group_that_is_named_alone_is_that_of_its_option(words: tuple[str, ...]) -> None:
    # In a process of its own, since the first help page of a process sets up all of them.
    shown = [
        subprocess.run([sys.executable, "-m", "orderops", *words, *more], capture_output=True, text=True, check=False)
        for more in ((), ("--help",))
    ]

    # Typer ends the second one with a line feed more.
    assert shown[0].stdout.rstrip() == shown[1].stdout.rstrip()
    assert "--help" in shown[0].stdout
    assert "bool" not in shown[0].stdout


@pytest.mark.parametrize(
    ("line", "group"),
    [
        ([], True),
        (["service"], True),
        (["queue", "dlq"], True),
        (["queue", "dlq", "list"], False),
        (["infra", "plan"], False),
        (["infra", "plam"], False),
        (["status"], False),
        (["statsu"], False),
        (["infra", "plan", "--env", "dev"], False),
    ],
)
def test_only_a_group_that_is_named_alone_ends_a_line(line: list[str], group: bool) -> None:
    assert ends_at_a_group(line) is group


def test_a_hint_repeats_the_folder_of_the_environments(orderops: Orderops, tmp_path: Path) -> None:
    (tmp_path / "dev.toml").write_text("[databse]\n")

    refused = orderops("status", "--env", "dev", "--environments", str(tmp_path))

    assert refused.code == 2
    assert f"orderops env check --environments {tmp_path} dev\n" in refused.err


NAMES = {"up", "down", "status", "history", "doctor"}
GROUPS = {
    "infra",
    "service",
    "queue",
    "alerts",
    "report",
    "board",
    "migrate",
    "database",
    "restore",
    "waf",
    "api",
    "env",
    "ci",
    "local",
}


@pytest.mark.parametrize(
    ("line", "built"),
    [
        (["infra", "plan", "--env", "dev"], {"infra", "infra plan"}),
        (["-v", "infra", "apply", "--yes"], {"infra", "infra apply"}),
        (["status"], {"status"}),
        (["--verbose", "up", "--env", "dev"], {"up"}),
    ],
)
def test_only_the_command_of_a_command_line_is_built(line: list[str], built: set[str]) -> None:
    assert {name.removeprefix("orderops ") for name, _ in commands_below(command_for(line))} == built


@pytest.mark.parametrize("second", ["--help", "plam", "-v", ""])
def test_all_commands_of_a_group_are_built_for_a_line_that_names_none(second: str) -> None:
    group = command_for(["infra", second]).commands["infra"]

    assert set(group.commands) == set(whole_command().commands["infra"].commands)


@pytest.mark.parametrize("line", [[], ["--help"], ["infar"], ["--version"]])
def test_everything_is_built_for_a_line_that_begins_with_no_command(line: list[str]) -> None:
    assert set(command_for(line).commands) == NAMES | GROUPS


def test_completions_know_all_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_ORDEROPS_COMPLETE", "complete_bash")

    assert set(command_for(["infra"]).commands) == NAMES | GROUPS


ABOUT_AN_ENVIRONMENT = [" ".join(path) for path, options in options_below(whole_command()) if "--env" in options]


@pytest.mark.parametrize("words", ABOUT_AN_ENVIRONMENT)
def test_a_hint_of_any_command_repeats_the_environment(words: str) -> None:
    with repeating(("status", "--env", "prod"), options_of):
        assert completed(f"next: orderops {words}") == f"next: orderops {words} --env prod"


def test_each_group_and_command_is_in_the_tree() -> None:
    assert set(whole_command().commands) == NAMES | GROUPS
