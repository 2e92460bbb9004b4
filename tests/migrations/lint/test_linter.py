"""Lint as a whole: ignore comments, selected versions and output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from orderops.cli.migrate_lint import lint as command
from orderops.errors import OrderopsError, UsageError
from orderops.migrations.lint.linter import chosen, lint
from orderops.migrations.sql.files import read_migrations, sql_folder
from support.command_line import Said
from support.lint_folder import ANYTHING, forwards, linted, places, write
from support.repository import SQL

# name: the file, and what is still found in it
SILENCED = {
    "one rule of squawk's": (
        "-- squawk-ignore ban-drop-table\nDROP TABLE users;\nDROP TABLE users;",
        ["ban-drop-table:3"],
    ),
    "one rule of ours": (
        "-- squawk-ignore update-without-where\nUPDATE users SET name = 'x';\nUPDATE users SET name = 'y';",
        ["update-without-where:3"],
    ),
    "one rule for a statement of many lines": (
        "-- squawk-ignore ban-drop-column\n-- It was seen to.\n\nALTER TABLE users\n  DROP email,\n  DROP legacy;",
        [],
    ),
    "one line in a statement": (
        "ALTER TABLE users\n  DROP email, -- squawk-ignore ban-drop-column\n  ADD b text,\n  DROP legacy;",
        ["ban-drop-column:4"],
    ),
    "beside a statement": ("TRUNCATE users; -- squawk-ignore truncate\nTRUNCATE users;", ["truncate:2"]),
    "two rules": (
        "/* squawk-ignore update-without-where, schema-and-data-mixed */\nUPDATE users SET name = 'x';\n"
        "ALTER TABLE orders ADD b text;",
        [],
    ),
    "all rules": ("-- squawk-ignore\nTRUNCATE users;\nTRUNCATE users;", ["truncate:3"]),
    "a file": (
        "-- squawk-ignore-file truncate\nTRUNCATE users;\nDELETE FROM users;\nTRUNCATE users;",
        ["delete-without-where:3"],
    ),
    "another rule": ("-- squawk-ignore ban-drop-column\nTRUNCATE users;", ["truncate:2"]),
    "a rule that there is none": ("-- squawk-ignore trunkate\nTRUNCATE users;", ["unused-ignore:1", "truncate:2"]),
    "what apply refuses": ("-- squawk-ignore-file\nBEGIN;", ["transaction-control:2"]),
    "a comment that only speaks of it": ("-- Not for squawk-ignore.\nTRUNCATE users;", ["truncate:2"]),
    "a comment in a text": ("UPDATE users SET name = '-- squawk-ignore';", ["update-without-where:1"]),
}


@pytest.mark.parametrize("name", SILENCED)
def test_an_ignore_comment_silences_the_rules_it_names(tmp_path: Path, name: str) -> None:
    text, left = SILENCED[name]

    assert places(forwards(tmp_path, text)) == left


def test_the_shipped_migrations_have_no_findings() -> None:
    assert lint(read_migrations(sql_folder(SQL))) == []


def test_an_invalid_file_is_one_finding_and_the_others_are_read(tmp_path: Path) -> None:
    found = forwards(tmp_path, "SELECT 1;\nALTER TABEL users ADD COLUM b;\nDROP TABLE x;", "DROP TABLE users;")

    assert places(found) == ["syntax-error:2", "ban-drop-table:1"]
    assert (found[0].column, found[0].message) == (7, 'syntax error at or near "TABEL": ALTER TABEL users ADD COLUM b;')


def test_a_command_of_psql_is_one_finding(tmp_path: Path) -> None:
    (found,) = forwards(tmp_path, "\\set x 1\nSELECT 1;")

    assert (found.rule, found.line, found.message) == ("syntax-error", 1, r"\set is a command of psql, not SQL")


def test_gaps_and_inconsistent_names_are_found(tmp_path: Path) -> None:
    write(tmp_path, ("SELECT 1;", ANYTHING))
    (tmp_path / "V5__later.sql").write_text("SELECT 1;")
    (tmp_path / "U005__sooner.sql").write_text(ANYTHING)

    found = lint(read_migrations(tmp_path), only=[5])

    assert [(each.file.name, each.rule) for each in found] == [
        ("V5__later.sql", "version-digits"),
        ("V5__later.sql", "version-gap"),
        ("U005__sooner.sql", "undo-named-otherwise"),
    ]
    assert "V3 to V4" in found[1].message


def test_earlier_migrations_are_read_but_not_linted(tmp_path: Path) -> None:
    folder = write(tmp_path, ("TRUNCATE users;", ANYTHING), ("DELETE FROM orders;", ANYTHING))
    migrations = read_migrations(folder)

    found = lint(migrations, only=chosen(migrations, since="V2"))

    assert places(found) == ["delete-without-where:1"]
    assert "by number" in found[0].rewrite


@pytest.mark.parametrize(
    ("only", "since", "versions"),
    [
        ((), None, {1, 2, 3}),
        (("V2",), None, {2}),
        (("2", "v003"), None, {2, 3}),
        (("sql/U002__case.sql",), None, {2}),
        ((), "1", {2, 3}),
        (("V1", "V3"), "V2", {3}),
    ],
)
def test_versions_can_be_given_as_number_version_or_file_name(
    tmp_path: Path, only: tuple[str, ...], since: str | None, versions: set[int]
) -> None:
    migrations = read_migrations(write(tmp_path, ("SELECT 1;", ANYTHING), ("SELECT 1;", ANYTHING)))

    assert chosen(migrations, only=only, since=since) == versions


@pytest.mark.parametrize("text", ["V9", "x", "", "V", "latest"])
def test_an_unknown_version_is_an_error(tmp_path: Path, text: str) -> None:
    migrations = read_migrations(write(tmp_path))

    with pytest.raises(UsageError) as refused:
        chosen(migrations, only=[text])

    assert (refused.value.message, refused.value.hint) == (f"there is no migration {text!r}", "the latest are V001")


class Linting:
    """`lint` as a command, by itself."""

    def __init__(self, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self._capsys, self._folder = capsys, folder

    def __call__(self, *words: str) -> Said:
        commands = typer.Typer()
        commands.command()(command)
        code = 0
        try:
            commands([*words, "--sql", str(self._folder)])
        except SystemExit as end:
            code = int(end.code or 0)
        except OrderopsError as error:
            code = error.exit_code
        said = self._capsys.readouterr()
        return Said(code, said.out, said.err)


@pytest.fixture
def orderops(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Linting:
    return Linting(capsys, tmp_path)


def test_a_finding_is_one_line_followed_by_its_rewrite(orderops: Linting, tmp_path: Path) -> None:
    write(tmp_path, ("-- [Note]\nTRUNCATE users;", ANYTHING))

    said = orderops("--only", "V2")

    assert said.code == 3
    first, *rest = said.out.splitlines()
    assert first.startswith(f"{tmp_path}/V002__case.sql:2:1: error truncate: TRUNCATE takes every row of users")
    assert rest == ["    fix: -- orderops: batch 5000 by id", "         DELETE FROM users;"]
    assert said.err.splitlines()[0] == "1 migration: 1 error, 0 warnings"


def test_the_output_without_findings_names_the_next_step(orderops: Linting, tmp_path: Path) -> None:
    write(tmp_path, ("ALTER TABLE users ADD COLUMN b text;", "ALTER TABLE users DROP COLUMN b;"))

    said = orderops("--since", "V1")

    assert (said.code, said.out) == (0, "")
    assert said.err.splitlines() == [
        "1 migration: 0 errors, 0 warnings",
        "next: orderops migrate apply --dry-run",
    ]


@pytest.mark.parametrize(("words", "version"), [((), "15"), (("--pg-version", "17"), "17")])
def test_files_are_read_as_the_oldest_postgresql_of_the_environments_does(
    orderops: Linting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], version: str
) -> None:
    squawk = tmp_path / "squawk"
    squawk.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/arguments\necho []\n')
    squawk.chmod(0o755)
    monkeypatch.setattr("sysconfig.get_path", lambda _name: str(tmp_path))
    environments = tmp_path / "environments"
    environments.mkdir()
    for name, declared in {"dev": "17", "qa": "15.4"}.items():
        text = f'[database]\nengine_version = "{declared}"\n[services.orders]\n'
        (environments / f"{name}.toml").write_text(text)
    write(tmp_path, ("ALTER TABLE users ADD COLUMN b text;", ANYTHING))

    orderops(*words, "--environments", str(environments))

    assert f"--pg-version={version}" in (tmp_path / "arguments").read_text().split()


def test_warnings_fail_only_with_the_option_strict(orderops: Linting, tmp_path: Path) -> None:
    write(tmp_path, ("DROP VIEW v;", ANYTHING))

    assert orderops("--only", "2").code == 0
    assert orderops("--only", "2", "--strict").code == 3


def test_json_and_sarif_have_the_same_findings(orderops: Linting, tmp_path: Path) -> None:
    write(tmp_path, ("TRUNCATE users;", ANYTHING))

    listed, document = orderops("--only", "V2", "--json"), orderops("--only", "V2", "--sarif")

    (finding,) = listed.json
    assert list(finding) == ["file", "line", "column", "rule", "level", "message", "rewrite", "executed"]
    (result,) = json.loads(document.out)["runs"][0]["results"]
    assert result["ruleId"] == finding["rule"] == "truncate"
    assert (listed.code, document.code) == (3, 3)
    assert orderops("--json", "--sarif").code == 2


def test_an_empty_version_is_a_warning(tmp_path: Path) -> None:
    (found,) = linted(tmp_path, ("-- Later.\n", ""))

    assert (found.rule, found.level) == ("version-empty", "warning")


def test_an_empty_undo_gets_a_proposal(tmp_path: Path) -> None:
    text = "CREATE TABLE a (id bigint); CREATE INDEX ON a (id); ALTER TABLE users ADD b text;"

    (found,) = linted(tmp_path, (text, "-- Later.\n"))

    assert (found.rule, found.rewrite) == ("undo-empty", "ALTER TABLE users DROP COLUMN b;\nDROP TABLE a;")
