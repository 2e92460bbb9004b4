"""Pairs of migrations run on a server: what an execution shows, and what it overrules of what lint reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from orderops.database.connection import login_from_dsn
from orderops.errors import Interrupted
from orderops.migrations.lint.finding import Finding
from orderops.migrations.lint.linter import lint
from orderops.migrations.sql.files import Migration, read_migrations
from orderops.migrations.trial.run import execute
from orderops.migrations.trial.scratch_database import scratch_database

pytest_plugins = ["support.postgres_fixtures"]
ALONE = "-- orderops: no-transaction\n"
BASE = "create table base (id int primary key, name text not null default '', kind text, age int);\n"
BASE += "create table lines (base_id int references base deferrable initially deferred)"


@dataclass(frozen=True)
class Pair:
    """A pair of files, and the findings about its undo and its execution."""

    name: str
    forwards: str
    back: str
    found: tuple[str, ...] = ()
    """Each as rule:line of the file."""
    words: str = ""
    """A part of the message of the first one."""


# In the order of their versions: the ones that are not executed come last, since a later failure is put down to them.
PAIRS = (
    Pair("base", BASE, "drop table lines; drop table base"),
    Pair("right", "create table right_one (id int)", "drop table right_one"),
    Pair("two_columns", "create table pair (a int, b int)", "drop table pair"),
    Pair(
        "reading_suspects_a_replaced_column",
        "alter table pair drop column a; alter table pair rename b to a",
        "alter table pair add column b int",
    ),
    Pair("a_column_comes_back_last", "alter table base drop column kind", "alter table base add column kind text"),
    Pair("not_null_has_another_name", "alter table base rename age to years", "alter table base rename years to age"),
    Pair(
        "a_function_is_left",
        "do $$ begin create table in_do (id int); create function left_over() returns int return 1; end $$",
        "drop table in_do",
        ("undo-incomplete:1",),
        "executed, this leaves function public.left_over()",
    ),
    Pair(
        "a_column_comes_back_otherwise",
        "create table another (id int);\nalter table base drop column years",
        "select 1;\ndrop table another;\nalter table base add column years int default 5",
        ("undo-incomplete:3",),
        "does not leave as it was: column public.base.years (was null, is 5)",
    ),
    Pair(
        "a_table_of_another_version_goes",
        "create table own (id int)",
        "drop table own;\ndo $$ begin drop table lines; end $$",
        ("undo-removes-more:2",),
        "what was the same before and after the V file: relation public.lines",
    ),
    Pair("the_next_is_not_disturbed", "alter table base add column more int", "alter table base drop column more"),
    Pair(
        "the_undo_fails",
        "create table kept (id int)",
        "-- another name\n  drop table kept_as_well",
        ("undo-fails:2", "undo-incomplete:2", "undo-removes-more:2"),
        'table "kept_as_well" does not exist',
    ),
    Pair(
        "the_undo_fails_at_its_commit",
        "create table late (id int primary key)",
        "drop table late;\ninsert into lines values (99);\n",
        ("undo-fails:2",),
        'insert or update on table "lines" violates foreign key constraint',
    ),
    Pair(
        "rows_are_left",
        "create table if not exists rows (id int primary key);\ninsert into base (id) values (7)",
        "drop table rows",
        ("apply-fails:2",),
        "after its undo, it cannot be applied again: duplicate key value",
    ),
    Pair("their_table_is_there_again", "alter table rows add column b int", "alter table rows drop column b"),
    Pair(
        "outside_a_transaction",
        ALONE + "create index concurrently by_name on base (name)",
        ALONE + "drop index concurrently by_name",
    ),
    Pair(
        "an_index_is_left_outside_a_transaction",
        ALONE + "create index concurrently one on base (id, name);\ncreate index concurrently two on base (name, id)",
        ALONE + "drop index concurrently two",
        ("undo-incomplete:2",),
        "executed, this leaves index public.one",
    ),
    Pair("it_is_there_again", "alter index two rename to second", "alter index second rename to two"),
    Pair(
        "half_of_it_stays_outside_a_transaction",
        ALONE + "create index concurrently three on base (id, name)",
        ALONE + "drop index concurrently three;\ndrop index concurrently four",
        ("undo-fails:3",),
        'index "four" does not exist',
    ),
    Pair("the_other_is_there_again", "alter index three rename to third", "alter index third rename to three"),
    Pair(
        "in_batches",
        "-- orderops: batch 100 by id\nupdate base set name = 'a' where name = ''",
        "-- orderops: batch 100 by id\nupdate base set name = '' where name = 'a'",
    ),
    Pair("an_empty_undo_that_is_right", "analyze base", ""),
    Pair("an_empty_undo_of_rows", "update base set name = 'b' where id = 2", "", ("undo-empty:1",)),
    Pair("an_empty_undo_that_is_wrong", "comment on table base is 'x'", "", ("undo-empty:1",)),
    Pair(
        "silenced",
        "create table silenced (id int)",
        "-- squawk-ignore undo-incomplete\nselect 1",
    ),
    Pair(
        "it_fails",
        "create table no_more (id int);\nselect 1;\n alter table nowhere add column a int",
        "drop table no_more;\nalter table nowhere drop column a",
        ("apply-fails:3",),
        'executed, the server refuses it: relation "nowhere" does not exist',
    ),
    Pair(
        "it_fails_for_want_of_the_last",
        "alter table no_more add column a int",
        "alter table no_more drop column a",
        ("not-executed:1",),
        'relation "no_more" does not exist, maybe since V025__it_fails.sql was not executed',
    ),
    Pair("a_role", "create role lint_trial_role", "drop role lint_trial_role", ("not-executed:1",), "changes roles"),
    Pair(
        "a_role_in_a_block",
        "do $$ begin if false then execute 'create  ROLE lint_trial_role'; end if; end $$",
        "select 1",
        ("not-executed:1",),
        "line 1 changes roles, which belong to the whole server",
    ),
    Pair(
        "a_role_in_parts",
        "do $$ begin execute 'create ' || 'role ' || 'lint_trial_role'; end $$",
        "select 1",
        ("not-executed:1",),
        "pg_authid, which belongs to the whole server",
    ),
    Pair(
        "a_role_in_an_undo",
        "create table with_role (id int)",
        "drop table with_role; drop role lint_trial_role",
        ("not-executed:1",),
        "changes roles",
    ),
    Pair(
        "a_grant_on_the_database",
        "do $$ begin execute format('grant connect on database %I to public', current_database()); end $$",
        "select 1",
        ("not-executed:1",),
        "changes databases",
    ),
    Pair(
        "a_role_that_the_server_lacks",
        "alter table base owner to lint_trial_role",
        "select 1",
        ("not-executed:1",),
        'line 1: role "lint_trial_role" does not exist',
    ),
    Pair(
        "an_owner_that_the_server_lacks",
        "-- orderops: owner lint_trial_role\ncreate table owned (id int)",
        "drop table owned",
        ("not-executed:1",),
        'role "lint_trial_role" does not exist',
    ),
    Pair(
        "an_extension_that_the_server_lacks",
        "create extension lint_trial_extension",
        "drop extension lint_trial_extension",
        ("not-executed:1",),
        'extension "lint_trial_extension" is not available',
    ),
    Pair(
        "it_commits_by_itself",
        ALONE.replace("\n", " repeatable\n") + "do $$ begin commit; end $$",
        "select 1",
        ("not-executed:1",),
        "line 2 commits by itself",
    ),
    Pair("a_tablespace", "alter table base set tablespace lint_trial", "select 1", ("not-executed:1",), "tablespace"),
    Pair("apply_refuses_it", "set role postgres", "select 1", ("not-executed:1",), "apply refuses the file"),
    Pair("right_after_all_that", "create table final (id int)", "drop table final"),
)
ABOUT_EXECUTION = (
    "undo-empty",
    "undo-incomplete",
    "undo-removes-more",
    "undo-fails",
    "apply-fails",
    "not-executed",
)


def write(folder: Path) -> list[Migration]:
    for version, pair in enumerate(PAIRS, 1):
        (folder / f"V{version:03}__{pair.name}.sql").write_text(pair.forwards)
        (folder / f"U{version:03}__{pair.name}.sql").write_text(pair.back)
    return read_migrations(folder)


@pytest.fixture(scope="module")
def found(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[Finding]]:
    """The findings about each pair, by its name."""
    migrations = write(tmp_path_factory.mktemp("pairs"))
    versions = {migration.version for migration in migrations}
    with scratch_database(login_from_dsn(module_database)) as scratch:
        executions = execute(scratch, migrations, only=versions)
    findings = lint(migrations, executions=executions)
    return {
        pair.name: [
            finding
            for finding in findings
            if finding.rule in ABOUT_EXECUTION and finding.file.stem.partition("__")[2] == pair.name
        ]
        for pair in PAIRS
    }


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_a_pair_is_judged_by_what_the_server_does(pair: Pair, found: Mapping[str, list[Finding]]) -> None:
    findings = found[pair.name]

    assert sorted(f"{finding.rule}:{finding.line}" for finding in findings) == sorted(pair.found)
    assert not pair.words or any(pair.words in finding.message for finding in findings), findings


def test_reading_alone_suspects_an_undo_that_execution_proves_right(tmp_path: Path) -> None:
    rules = {finding.rule for finding in lint(write(tmp_path), only={4})}

    assert PAIRS[3].found == ()
    assert "undo-incomplete" in rules


def test_a_finding_says_whether_it_was_executed(found: Mapping[str, list[Finding]]) -> None:
    executed = {name: [finding.to_dict()["executed"] for finding in findings] for name, findings in found.items()}

    assert executed["a_function_is_left"] == executed["it_fails"] == executed["rows_are_left"] == [True]
    assert executed["an_empty_undo_of_rows"] == executed["a_role"] == [False]


def test_what_is_not_executed_is_a_note_that_fails_no_pipeline(found: Mapping[str, list[Finding]]) -> None:
    assert {str(finding.level) for finding in found["a_role"]} == {"note"}


def test_no_file_reaches_the_rest_of_the_server(found: Mapping[str, list[Finding]], module_database: str) -> None:
    assert found
    with psycopg.connect(module_database) as connection:
        assert connection.execute("select from pg_roles where rolname like 'lint_trial%'").fetchall() == []
        assert connection.execute("select from pg_class where relname = 'base'").fetchall() == []
        scratch = "select from pg_database where datname like 'orderops_lint%'"
        assert connection.execute(scratch).fetchall() == []


def test_versions_that_are_not_chosen_are_applied_and_not_undone(database: str, tmp_path: Path) -> None:
    migrations = write(tmp_path)[:3]
    ran: list[str] = []

    with scratch_database(login_from_dsn(database)) as scratch:
        executions = execute(scratch, migrations, only={3}, on_file=lambda name: ran.append(name[:4]))

    assert ran == ["V001", "V002", "V003", "U003", "V003"]
    assert {version: execution.proven for version, execution in executions.items()} == {3: True}


def test_ctrl_c_drops_the_scratch_database(database: str, tmp_path: Path) -> None:
    migrations = write(tmp_path)[:3]

    def interrupt(name: str) -> None:
        if name.startswith("U002"):
            raise KeyboardInterrupt

    with pytest.raises(Interrupted), scratch_database(login_from_dsn(database)) as scratch:
        execute(scratch, migrations, only={2}, on_file=interrupt)

    with psycopg.connect(database) as connection:
        assert connection.execute("select from pg_database where datname ~ '^orderops_lint'").fetchall() == []
