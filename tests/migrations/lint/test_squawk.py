"""The program squawk: search, run, output, and errors for other programs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orderops.errors import OrderopsError
from orderops.migrations.lint.context import LintContext
from orderops.migrations.lint.linter import lint
from orderops.migrations.lint.schema_history import SchemaHistory
from orderops.migrations.lint.squawk import squawk, squawk_program
from orderops.migrations.sql.directives import Head
from orderops.migrations.sql.files import SqlFile, read_migrations
from orderops.migrations.sql.parser import read_script
from support.lint_folder import write


def reading(text: str, *, alone: bool = False) -> LintContext:
    file = SqlFile(Path("V001__x.sql"), text)
    return LintContext(file, False, Head(no_transaction=alone), read_script(file), SchemaHistory())


def program(folder: Path, body: str) -> Path:
    """A program that is no squawk."""
    path = folder / "squawk"
    path.write_text(f"#!{sys.executable}\nimport os, sys\n{body}\n")
    path.chmod(0o755)
    return path


def test_two_runs_of_squawk_cover_all_files(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    counting = program(
        tmp_path,
        f"open({str(calls)!r}, 'a').write('x')\n"
        f"os.execv({str(squawk_program())!r}, [{str(squawk_program())!r}, *sys.argv[1:]])",
    )

    found = squawk(
        [
            reading("DROP TABLE a;"),
            reading("SELECT 1;", alone=True),
            reading("SELECT 1;"),
            reading("CREATE INDEX i ON t (a);", alone=True),
        ],
        program=counting,
    )

    assert [[told.rule for told in each] for each in found] == [
        ["ban-drop-table"],
        [],
        [],
        ["require-concurrent-index-creation"],
    ]
    assert calls.read_text() == "xx"


def test_squawk_does_not_run_without_files(tmp_path: Path) -> None:
    assert squawk([], program=tmp_path / "missing") == []


def test_lines_count_from_one_and_columns_in_characters() -> None:
    (found,) = squawk([reading("-- Ünü.\n\n  ALTER TABLE é ADD COLUMN ö text, DROP COLUMN c;")])

    assert [(told.rule, told.line, told.column) for told in found] == [("ban-drop-column", 3, 36)]


def test_squawk_does_not_read_the_data_of_copy() -> None:
    text = "COPY t (a) FROM STDIN;\nDROP TABLE users;\n)(\n\\.\nDROP TABLE t;"

    (found,) = squawk([reading(text)])

    assert [(told.rule, told.line) for told in found] == [("ban-drop-table", 5)]


def test_a_configuration_file_of_a_parent_folder_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".squawk.toml").write_text('excluded_rules = ["ban-drop-table"]')
    monkeypatch.chdir(tmp_path)

    assert [told.rule for told in squawk([reading("DROP TABLE a;")])[0]] == ["ban-drop-table"]


def answer(said: str) -> str:
    """A program that says this about its only file."""
    return f"import sys; print('''{said}'''.replace('0.sql', sys.argv[-1]))"


def test_syntax_errors_of_squawks_parser_are_left_out(tmp_path: Path) -> None:
    said = '[{"file": "0.sql", "line": 0, "column": 0, "rule_name": "syntax-error", "message": "expected SEMICOLON"}]'

    assert squawk([reading("SELECT 1;")], program=program(tmp_path, answer(said))) == [[]]


def test_an_unknown_rule_of_squawk_keeps_its_message(tmp_path: Path) -> None:
    said = (
        '[{"file": "0.sql", "line": 0, "column": 0, "rule_name": "ban-mondays", "message": "Never on Mondays.",'
        ' "help": "Wait."}]'
    )
    folder = tmp_path / "sql"
    folder.mkdir()

    found = lint(read_migrations(write(folder)), program=program(tmp_path, answer(said)))

    assert [(each.rule, each.level, each.message, each.rewrite) for each in found] == [
        ("ban-mondays", "warning", "never on Mondays", "-- Wait.")
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("sys.exit('no such option: --config')", "exited with 1: no such option: --config"),
        ("print('{}')", "exited with 0: {}"),
        ("print('[]'); sys.exit(101)", "exited with 101"),
        ("print('[1]')", "in an unknown form: 1"),
        ('print(\'[{"file": "7.sql"}]\')', "in an unknown form"),
        ("os.kill(os.getpid(), 9)", "was terminated by signal 9"),
        ("sys.stdout.buffer.write(b'\\xff')", "cannot be run"),
    ],
    ids=lambda text: text,
)
def test_another_program_named_squawk_is_an_error(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(OrderopsError) as refused:
        squawk([reading("SELECT 1;")], program=program(tmp_path, body))

    assert message in refused.value.message
    assert "squawk" in refused.value.hint


def test_a_squawk_that_cannot_be_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OrderopsError) as refused:
        squawk([reading("SELECT 1;")], program=tmp_path / "squawk")

    assert refused.value.message == f"{tmp_path}/squawk cannot be run: no such file or directory"
    assert refused.value.hint == "install it next to orderops: pip install squawk-cli"
