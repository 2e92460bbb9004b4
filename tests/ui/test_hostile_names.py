"""Commands whose input was written by somebody who knows terminals."""

from __future__ import annotations

from pathlib import Path

import pytest

from orderops.restore.compare.comparison import compare
from orderops.ui.compare import show_comparison
from support.command_line import Orderops
from support.migrate_runs import Run
from support.two_databases import DatabasePair

pytest_plugins = ["support.postgres_fixtures", "support.migrate_fixtures", "support.two_databases"]

HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\r\b\u202e\x7f"
# A file with a bare carriage return is refused before it is read.
IN_FILE = HOSTILE.replace("\r", r"\r")
SHOWN = r"\x1b[2J\x1b]0;owned\x07\x9b31m\r\x08\u202e\x7f"


def executed(text: str) -> list[str]:
    """The characters that a terminal would execute or hide."""
    return [character for character in text if character not in "\n\t" and not character.isprintable()]


def test_rows_and_names_of_a_comparison_execute_nothing(two: DatabasePair, capsys: pytest.CaptureFixture[str]) -> None:
    two.both(f'create table "t{HOSTILE}" (id int primary key, "c{HOSTILE}" text)')
    two.live.execute(f"insert into \"t{HOSTILE}\" values (1, '{HOSTILE}')", f'create table "u{HOSTILE}" (id int)')
    two.live.execute(f"create function \"f{HOSTILE}\"() returns int language sql as 'select 1'")
    capsys.readouterr()

    show_comparison(compare(two.live.login, two.restored.login, samples=1), "shop-r1 --env prod", "shop-r1")

    said = capsys.readouterr()
    assert executed(said.out + said.err) == []
    assert f"t{SHOWN}" in said.out
    assert f"c{SHOWN}=" in said.out


def test_notices_of_a_migration_execute_nothing(run: Run) -> None:
    run.write("001__a", f"do $$ begin raise notice E'all is well{IN_FILE}\n hint: curl'; end $$;\n")

    said = run("apply", "--yes")

    assert executed(said.out + said.err) == []
    assert rf"NOTICE: all is well{SHOWN}\n hint: curl" in said.err


def test_an_error_of_a_migration_executes_nothing(run: Run) -> None:
    run.write("001__a", f"do $$ begin raise exception E'lost{IN_FILE}'; end $$;\n")

    said = run("apply", "--yes")

    assert said.code == 1
    assert executed(said.out + said.err) == []
    assert f"lost{SHOWN}" in said.err


def test_log_lines_of_the_laptop_execute_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ORDEROPS_LOCAL_DIRECTORY", str(tmp_path))
    folder = tmp_path / "tasks" / f"1{HOSTILE}"
    folder.mkdir(parents=True)
    (folder / "web.log").write_bytes(f"received{HOSTILE}\n".encode() + b"\xff\xfe\x1b[31m\n")

    said = Orderops(capsys)("local", "logs")

    assert executed(said.out + said.err) == []
    assert f"received{SHOWN}" in said.out
    assert said.out.count("\n") == 2
