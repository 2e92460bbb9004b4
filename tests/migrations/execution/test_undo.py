"""Undo runs U files, newest first, and restores the earlier schema."""

from __future__ import annotations

import subprocess

import pytest

from orderops.local.rds.postgres import PostgresServer
from support.migrate_runs import Run
from support.repository import SQL
from support.ten_migrations import write_ten

pytest_plugins = ["support.postgres_fixtures", "support.migrate_fixtures"]
HALF_WAY = "-- orderops: no-transaction\n"


@pytest.fixture
def three(run: Run) -> Run:
    """Three migrations, applied; each makes an empty table."""
    for number, name in enumerate("abc", 1):
        run.write(f"{number:03}__{name}", f"create table {name} ();\n", f"drop table {name};\n")
    assert run("apply", "--yes").code == 0
    return run


def tables(run: Run) -> str:
    """The tables of a test, as one word."""
    told = run.rows("select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'")
    return "".join(sorted(str(name) for (name,) in told))


def states(run: Run) -> list[str]:
    """How `info` says that each version stands."""
    return [line["state"] for line in run("info", "--json").json["migrations"]]


def test_undo_without_a_version_undoes_only_the_newest(three: Run) -> None:
    done = three("undo", "--yes")

    assert done.code == 0, done.err
    assert "migration V003__c.sql undone in " in done.err
    assert "1 undone in" in done.err
    assert "next: orderops migrate info" in done.err
    assert tables(three) == "ab"
    assert states(three) == ["applied", "applied", "pending"]


@pytest.mark.parametrize(("to", "left"), [("2", "ab"), ("1", "a"), ("0", "")])
def test_undo_to_a_version_keeps_that_version(three: Run, to: str, left: str) -> None:
    assert three("undo", "--to", to, "--yes").code == 0

    assert tables(three) == left
    assert states(three) == ["applied"] * len(left) + ["pending"] * (3 - len(left))
    undone = [
        row[0] for row in three.rows("select version from orderops_ledger.ledger where action = 'undo' order by id")
    ]
    assert undone == list(range(3, len(left), -1))


def test_an_undone_migration_can_be_applied_again(three: Run) -> None:
    three("undo", "--to", "1", "--yes")

    assert three("apply", "--yes").code == 0

    assert tables(three) == "abc"
    assert three("undo", "--yes").code == 0


def test_undo_does_nothing_if_no_version_is_applied(three: Run) -> None:
    three("undo", "--to", "0", "--yes")

    for words in ((), ("--to", "0")):
        done = three("undo", "--yes", *words)
        assert done.code == 0
        assert done.err.startswith("nothing to undo in test_")


def test_undo_to_a_version_that_is_not_applied_is_an_error(three: Run) -> None:
    for to in ("4", "-1"):
        refused = three("undo", "--to", to, "--yes")
        assert (refused.code, tables(three)) == (2, "abc")
        assert refused.err == f"error: version {to} is not applied\n hint: applied versions: 1, 2, 3\n"


def test_a_dry_run_shows_each_statement_and_changes_nothing(three: Run) -> None:
    dry = three("undo", "--to", "1", "--dry-run")

    assert dry.code == 0
    assert dry.out == (
        "+ undo with U003__c.sql\n"
        "       1  drop table c\n"
        "          AccessExclusiveLock on c, blocks reads and writes\n"
        "+ undo with U002__b.sql\n"
        "       1  drop table b\n"
        "          AccessExclusiveLock on b, blocks reads and writes\n"
    )
    assert tables(three) == "abc"


def test_undo_without_yes_and_a_terminal_changes_nothing(three: Run) -> None:
    refused = three("undo")

    assert (refused.code, tables(three)) == (2, "abc")
    assert "hint: pass --yes" in refused.err


def test_a_migration_without_a_u_file_is_an_error_before_any_connection(three: Run) -> None:
    (three.folder / "U001__a.sql").unlink()

    for verb in ("info", "apply", "undo"):
        refused = three(verb, "--dsn", "host=nowhere.invalid")
        assert (refused.code, "V001__a.sql has no U file" in refused.err) == (2, True)


def test_an_edited_migration_stops_the_undo_of_later_ones_too(three: Run) -> None:
    (three.folder / "V002__b.sql").write_text("create table b (id int);\n")

    refused = three("undo", "--to", "1", "--yes")

    assert (refused.code, tables(three)) == (1, "abc")
    assert "error: V002__b.sql was applied and has been edited since" in refused.err
    assert "hint: restore the file and make the change in a new one: git checkout -- " in refused.err
    assert three("undo", "--yes").code == 0  # the newest alone fits


def test_a_migration_without_files_is_not_undone(three: Run) -> None:
    for letter in "VU":
        (three.folder / f"{letter}003__c.sql").unlink()

    refused = three("undo", "--yes")

    assert (refused.code, tables(three)) == (1, "abc")
    assert "error: V003 'c' was applied and has no file here" in refused.err


def test_a_failed_undo_keeps_its_migration_and_the_earlier_ones(three: Run) -> None:
    (three.folder / "U002__b.sql").write_text("drop table b;\ndrop table nowhere;\n")

    refused = three("undo", "--to", "0", "--yes")

    assert refused.code == 1
    assert 'error: U002__b.sql:2:1: table "nowhere" does not exist; nothing of this file was applied' in refused.err
    assert tables(three) == "ab"
    assert states(three) == ["applied", "applied", "pending"]
    (three.folder / "U002__b.sql").write_text("drop table b;\n")
    assert three("undo", "--to", "0", "--yes").code == 0
    assert tables(three) == ""


def test_undo_is_rejected_while_a_migration_is_partly_applied(three: Run) -> None:
    file = three.write("004__d", f"{HALF_WAY}create table d ();\ncreate table nowhere.e ();\n", "drop table d;\n")
    three("apply", "--yes")

    refused = three("undo", "--yes")

    assert (refused.code, tables(three)) == (1, "abcd")
    hint = f"finish it first: orderops migrate apply --sql {three.folder}"
    message = f"error: V004__d.sql is partly applied\n hint: {hint}\n"
    assert refused.err == message
    file.write_text(file.read_text().replace("nowhere.", ""))
    assert three("apply", "--yes").code == 0
    assert tables(three) == "abcde"


def test_a_partial_undo_is_resumed_and_blocks_apply_until_then(three: Run) -> None:
    back = three.folder / "U002__b.sql"
    back.write_text(f"{HALF_WAY}create table undone ();\ndrop table b, nowhere;\ndrop table undone;\n")
    refused = three("undo", "--to", "0", "--yes")
    assert "statement 1 is applied and stay" in refused.err
    assert states(three) == ["applied", "partly undone", "pending"]

    assert three("apply", "--yes").err == (
        f"error: V002__b.sql is partly undone\n hint: finish that first: orderops migrate undo --sql {three.folder}\n"
    )
    assert three("undo", "--to", "2", "--yes").err == three("apply", "--yes").err
    assert "next: orderops migrate undo" in three("info").err
    back.write_text(back.read_text().replace(", nowhere", ""))

    assert three("undo", "--yes").code == 0
    assert tables(three) == "a"
    assert states(three) == ["applied", "pending", "pending"]
    assert three("apply", "--yes").code == 0


def test_an_empty_undo_changes_nothing_but_the_ledger(three: Run) -> None:
    (three.folder / "U003__c.sql").write_text("-- the table stays: it may be in use\n")

    assert three("undo", "--yes").code == 0

    assert tables(three) == "abc"
    assert states(three) == ["applied", "applied", "pending"]


def test_a_version_without_a_statement_is_applied_recorded_and_undone_like_others(three: Run) -> None:
    three.write("004__later", "", "")
    three.write("005__d", "create table d ();\n", "drop table d;\n")
    three.write("006__noted", "-- done by hand on live\n", "-- nothing\n;\n")

    done = three("apply", "--yes")

    assert done.code == 0, done.err
    assert states(three) == ["applied"] * 6
    assert three("undo", "--to", "3", "--yes").code == 0
    assert (tables(three), states(three)) == ("abc", ["applied"] * 3 + ["pending"] * 3)
    assert three("apply", "--yes").code == 0
    (three.folder / "V004__later.sql").write_text("create table late ();\n")
    assert states(three)[3] == "changed"


@pytest.mark.parametrize("folder", ["ten", "shipped"])
def test_each_undo_restores_the_earlier_schema(run: Run, folder: str, postgres: PostgresServer) -> None:
    run = Run(run.dsn, write_ten(run.folder) if folder == "ten" else SQL, run.orderops)
    versions = [line["version"] for line in run("info", "--json").json["migrations"]]
    all_tables = ("parts", "makers", "users", "orders", "order_items", "idempotency_keys")
    accepted = [word for table in all_tables for word in ("--accept-data-loss", table)]

    before = schema(run, postgres)
    for version in versions:
        assert run("apply", "--yes", "--to", str(version)).code == 0
        after = schema(run, postgres)
        done = run("undo", "--yes", *accepted)
        assert done.code == 0, done.err
        assert schema(run, postgres) == before, f"after U{version:03}"
        assert run("apply", "--yes", "--to", str(version)).code == 0
        assert schema(run, postgres) == after, f"after V{version:03} a second time"
        before = after

    assert run("undo", "--to", "0", "--yes", *accepted).code == 0
    assert "CREATE" not in schema(run, postgres)


def schema(run: Run, postgres: PostgresServer) -> str:
    """The schema as pg_dump writes it, without the ledger and the words that are others at each dump."""
    command = [str(postgres.bindir / "pg_dump"), "--schema-only", "--exclude-schema=orderops_ledger", run.dsn]
    dumped = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return "\n".join(line for line in dumped.splitlines() if line and not line.startswith(("--", "\\")))


def test_rows_added_during_the_lock_wait_stop_the_undo(run: Run) -> None:
    run.write("001__t", "create table t (id int);\n", "drop table t;\n")
    assert run("apply", "--yes").code == 0
    with run.holder("select * from t") as holder:
        undoing = run.process("undo", "--yes")
        assert undoing.says("waits for pid")
        run.execute("insert into t values (1)")
        holder.ends()
        assert undoing.ended() == 1, undoing.said

    assert "U001__t.sql:1 removes the rows of t" in undoing.said
    assert run.rows("select id from t") == [(1,)]
    assert run("undo", "--yes", "--accept-data-loss", "t").code == 0
