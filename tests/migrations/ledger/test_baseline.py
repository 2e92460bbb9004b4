"""A baseline of an existing database, by version or from another tool's ledger, runs no file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from support.migrate_runs import Run

pytest_plugins = ["support.postgres_fixtures", "support.migrate_fixtures"]
FLYWAY = (
    "create table flyway_schema_history (installed_rank int primary key, version varchar(50),"
    " description varchar(200) not null, type varchar(20) not null, script varchar(1000) not null, checksum int,"
    " installed_by varchar(100) not null, installed_on timestamp not null default now(), execution_time int not null,"
    " success boolean not null)"
)
DBMATE = "create table schema_migrations (version varchar(128) primary key)"
YOYO = (
    "create table _yoyo_migration (migration_hash varchar(64), migration_id varchar(255), applied_at_utc timestamp,"
    " primary key (migration_hash))"
)
GOLANG_MIGRATE = "create table schema_migrations (version bigint not null primary key, dirty boolean not null)"
RAILS = (
    "create table ar_internal_metadata (key varchar primary key, value varchar, created_at timestamp(6) not null,"
    " updated_at timestamp(6) not null)"
)


@pytest.fixture
def three(run: Run) -> Run:
    """Three migrations, of which two are in the database already by other means."""
    for number, name in enumerate("abc", 1):
        run.write(f"{number:03}__{name}", f"create table {name} ();\n", f"drop table {name};\n")
    run.execute("create table a ()", "create table b ()")
    return run


def flyway(*rows: str) -> str:
    """Rows of Flyway's, `1 a` each; `1 a failed` for one that was not done."""
    told = []
    for rank, row in enumerate(rows, 1):
        version, description, *failed = row.split()
        told.append(f"({rank}, '{version}', '{description}', 'SQL', 's', 1, 'me', now(), 5, {not failed})")
    return f"{FLYWAY}; insert into flyway_schema_history values {', '.join(told)}"


def ledger(run: Run) -> list[tuple[object, ...]]:
    """What the ledger holds."""
    return run.rows("select version, action, state, note from orderops_ledger.ledger order by id")


def test_a_baseline_marks_versions_and_apply_runs_the_rest(three: Run) -> None:
    dry = three("baseline", "--version", "2", "--dry-run")
    assert (dry.code, dry.out) == (0, "~ V001__a.sql counts as applied\n~ V002__b.sql counts as applied\n")
    assert three.rows("select to_regnamespace('orderops_ledger')") == [(None,)]

    done = three("baseline", "--version", "2", "--yes")

    assert (done.code, done.out) == (0, dry.out)
    assert f"2 marked as applied: baseline at 2\nnext: orderops migrate info --sql {three.folder}\n" in done.err
    assert ledger(three) == [(number, "baseline", "done", "baseline at 2") for number in (1, 2)]
    assert three("apply", "--yes").code == 0
    assert [line[:2] for line in ledger(three)] == [(1, "baseline"), (2, "baseline"), (3, "apply")]
    assert three.rows("select to_regclass('c')") == [("c",)]


def test_a_baselined_version_can_be_undone(three: Run) -> None:
    three("baseline", "--version", "2", "--yes")

    assert three("undo", "--to", "0", "--yes").code == 0

    assert three.rows("select to_regclass('a'), to_regclass('b')") == [(None, None)]


def test_a_baseline_at_an_unknown_version_is_an_error(three: Run) -> None:
    for version in ("4", "-1"):
        refused = three("baseline", "--version", version, "--yes")
        assert refused.code == 2
        assert refused.err.startswith(f"error: no migration has version {version}\n hint: ")


def test_a_baseline_needs_a_version_or_a_tool(three: Run) -> None:
    for words in ((), ("--version", "1", "--from", "auto")):
        refused = three("baseline", *words)
        assert (refused.code, "give either --version or --from" in refused.err) == (2, True)


def test_a_baseline_without_yes_and_a_terminal_marks_nothing(three: Run) -> None:
    refused = three("baseline", "--version", "2")

    assert refused.code == 2
    assert "hint: pass --yes" in refused.err
    assert three.rows("select to_regnamespace('orderops_ledger')") == [(None,)]


def test_a_baseline_needs_an_empty_ledger(three: Run) -> None:
    three("baseline", "--version", "1", "--yes")

    refused = three("baseline", "--version", "2", "--yes")

    assert refused.code == 1
    assert "error: the ledger knows 1 version already" in refused.err
    assert "orderops migrate repair --version N --as applied" in refused.err
    assert three("repair", "--version", "2", "--as", "applied", "--yes").code == 0
    assert three("apply", "--yes").code == 0


def test_the_hint_of_an_apply_on_existing_tables_is_a_baseline_that_works(three: Run) -> None:
    refused = three("apply", "--yes")
    assert 'relation "a" already exists' in refused.err
    assert "if it existed before orderops was used: orderops migrate baseline --version N" in refused.err

    assert three("baseline", "--version", "2", "--yes").code == 0
    assert three("apply", "--yes").code == 0


@dataclass(frozen=True)
class Case:
    """A tool's own ledger, in which 1 and 2 are applied."""

    made: str
    tool: str
    table: str
    last: str = "2"
    said: str = ""
    """What is said in place of its name."""


TOOLS = {
    "flyway": Case(flyway("1 a", "2 b"), "flyway", "public.flyway_schema_history", said="auto"),
    "dbmate": Case(f"{DBMATE}; insert into schema_migrations values ('001'), ('002')", "dbmate", "", "002"),
    "yoyo": Case(
        f"{YOYO}; insert into _yoyo_migration values ('x', '0001.a', '2026-01-01'), ('y', '0002.b', '2026-01-02')",
        "yoyo",
        "public._yoyo_migration",
        "0002",
    ),
    "golang-migrate": Case(
        f"{GOLANG_MIGRATE}; insert into schema_migrations values (2, false)", "golang-migrate", "", said="AUTO"
    ),
}


@pytest.mark.parametrize("case", TOOLS.values(), ids=TOOLS)
def test_the_ledger_of_another_tool_is_taken_over_and_new_files_are_applied(case: Case, three: Run) -> None:
    three.execute(case.made)
    entries = 1 if case.tool == "golang-migrate" else 2
    refused = three("apply", "--yes")
    assert refused.code == 1
    assert refused.err == (
        f"error: this database was migrated by {case.tool}: {entries} applied, the last {case.last};"
        " nothing was applied\n"
        f" hint: take over its ledger: orderops migrate baseline --from {case.tool} --sql {three.folder}\n"
    )
    info = three("info")
    assert f"next: orderops migrate baseline --from {case.tool}" in info.err
    assert three("info", "--json").json["foreign"][0]["tool"] == case.tool

    done = three("baseline", "--from", case.said or case.tool, "--yes")

    assert done.code == 0, done.err
    table = case.table or "public.schema_migrations"
    assert ledger(three) == [(number, "baseline", "done", f"from {table} of {case.tool}") for number in (1, 2)]
    assert three("apply", "--yes").code == 0
    assert three.rows("select version, action from orderops_ledger.ledger where version > 2") == [(3, "apply")]
    assert three("info", "--json").json["foreign"] == []


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ([FLYWAY], ["--from", "flyway"]),
        ([FLYWAY], ["--version", "0"]),
        ([DBMATE, RAILS], ["--version", "0"]),
    ],
    ids=["an empty ledger", "told to begin at nothing", "a ledger that is not read"],
)
def test_an_empty_baseline_is_recorded_and_everything_is_applied(
    made: Sequence[str], words: Sequence[str], run: Run
) -> None:
    run.execute(*made)
    run.write("001__a", "create table a ();\n", "drop table a;\n")
    assert run("apply", "--yes").code == 1

    assert run("baseline", *words, "--yes").code == 0

    assert [line[:3] for line in ledger(run)] == [(0, "baseline", "done")]
    assert "nothing yet" in run("history").out
    assert [line["version"] for line in run("info", "--json").json["migrations"]] == [1]
    assert run("undo", "--yes").err.startswith("nothing to undo")
    assert run("apply", "--yes").code == 0
    assert run("undo", "--to", "0", "--yes").code == 0


def test_a_baseline_at_a_version_can_follow_an_empty_one(three: Run) -> None:
    three("baseline", "--version", "0", "--yes")

    assert three("baseline", "--version", "2", "--yes").code == 0
    assert three("apply", "--yes").code == 0


REFUSALS = {
    "a tool that nobody reads": (
        [],
        "liquibase",
        "orderops does not read the ledger of 'liquibase'",
        "known tools: flyway, dbmate, yoyo, golang-migrate, auto; or: orderops migrate baseline --version N",
    ),
    "none is there": (
        [],
        "auto",
        "this database has no ledger of another tool",
        "pass the version it is migrated to: orderops migrate baseline --version N",
    ),
    "another one is there": (
        [flyway("1 a")],
        "yoyo",
        "this database has no ledger of yoyo",
        "existing ledgers: public.flyway_schema_history of flyway",
    ),
    "two are there": (
        [flyway("1 a"), DBMATE],
        "auto",
        "this database has 2 ledgers of other tools: public.flyway_schema_history of flyway,"
        " public.schema_migrations of dbmate",
        "choose one: --from TOOL; or pass a version: --version N",
    ),
    "it says that one failed": (
        [flyway("1 a", "2 b failed")],
        "flyway",
        "2 b failed according to flyway",
        "repair it with flyway first",
    ),
    "it knows what has no file here": (
        [flyway("1 a", "2 b", "7 carts", "8 baskets")],
        "flyway",
        "flyway applied migrations without a file here: 7 carts, 8 baskets",
        "add a pair of files for each, such as V7__add_carts.sql,"
        " or mark by version: orderops migrate baseline --version N",
    ),
}


@pytest.mark.parametrize(("made", "tool", "message", "hint"), REFUSALS.values(), ids=REFUSALS)
def test_a_ledger_that_does_not_match_the_files_is_an_error(
    made: Sequence[str], tool: str, message: str, hint: str, three: Run
) -> None:
    three.execute(*made)

    refused = three("baseline", "--from", tool, "--yes")

    # Hints repeat the folder, which tests/ui/test_commands.py compares.
    assert refused.err.replace(f" --sql {three.folder}", "") == f"error: {message}\n hint: {hint}\n"
    assert three.rows("select to_regnamespace('orderops_ledger')") == [(None,)]


def test_the_named_one_of_two_ledgers_is_used(three: Run) -> None:
    three.execute(flyway("1 a"), DBMATE, "insert into schema_migrations values ('1'), ('2')")

    assert three("baseline", "--from", "dbmate", "--yes").code == 0

    assert [line[0] for line in ledger(three)] == [1, 2]
