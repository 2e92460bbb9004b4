"""Repair corrects the ledger after showing what it will write; the schema is not changed."""

from __future__ import annotations

import psycopg
import pytest

from orderops.errors import OrderopsError
from orderops.migrations import migrator
from orderops.migrations.execution.sessions import Sessions
from orderops.migrations.ledger.table import Author
from orderops.migrations.sql.files import read_migrations
from support.migrate_runs import Run

pytest_plugins = ["support.postgres_fixtures", "support.migrate_fixtures"]


@pytest.fixture
def two(run: Run) -> Run:
    """Two migrations, applied."""
    for number, name in enumerate("ab", 1):
        run.write(f"{number:03}__{name}", f"create table {name} ();\n", f"drop table {name};\n")
    assert run("apply", "--yes").code == 0
    return run


def edit(run: Run) -> None:
    """Change what was applied."""
    file = run.folder / "V002__b.sql"
    file.write_text(f"-- the second\n{file.read_text()}")


def remove(run: Run) -> None:
    """Take the files of the second away."""
    for letter in "VU":
        (run.folder / f"{letter}002__b.sql").unlink()


def attempts(run: Run) -> list[tuple[object, ...]]:
    """What was done since both were applied."""
    return run.rows("select version, action, state, note from orderops_ledger.ledger where id > 2 order by id")


def test_repair_does_nothing_if_files_and_ledger_match(two: Run) -> None:
    for words in ((), ("--version", "2", "--as", "applied")):
        said = two("repair", *words)
        assert (said.code, said.out) == (0, "")
        assert said.err == "nothing to repair: files and ledger match\n"
    assert attempts(two) == []


def test_repair_accepts_an_edited_file_as_applied(two: Run) -> None:
    edit(two)
    shown = "~ V002__b.sql: applied, but its file was edited; the file counts as applied\n"

    dry = two("repair", "--dry-run")
    assert (dry.code, dry.out, attempts(two)) == (0, shown, [])
    asked = two("repair")
    assert (asked.code, asked.out, attempts(two)) == (2, shown, [])
    assert "hint: pass --yes" in asked.err
    done = two("repair", "--yes")

    assert (done.code, done.out) == (0, shown)
    assert f"1 repaired\nnext: orderops migrate info --sql {two.folder}\n" in done.err
    assert attempts(two) == [(2, "baseline", "done", f"repair: {shown[2:-1]}")]
    assert two("apply", "--yes").err.startswith("0 pending")
    assert two("undo", "--yes").code == 0


def test_repair_forgets_a_removed_file_and_keeps_its_tables(two: Run) -> None:
    remove(two)
    assert "or remove it from the ledger: orderops migrate repair" in two("apply", "--yes").err

    done = two("repair", "--yes")

    assert done.out == "~ V002 b: applied, but has no file; counts as pending, the database is not changed\n"
    assert [line[:3] for line in attempts(two)] == [(2, "forget", "done")]
    assert two.rows("select to_regclass('b')") == [("b",)]
    assert [line["version"] for line in two("info", "--json").json["migrations"]] == [1]
    assert two("repair", "--yes").err == "nothing to repair: files and ledger match\n"


def test_several_repairs_are_written_in_one_transaction(two: Run) -> None:
    edit(two)
    (two.folder / "V001__a.sql").write_text("create table a (id int);\n")

    assert two("repair", "--yes").code == 0

    assert [line[0] for line in attempts(two)] == [1, 2]
    assert two("repair", "--yes").err.startswith("nothing to repair")


def test_repair_sets_the_status_of_one_version(two: Run) -> None:
    two.execute("drop table b")

    pending = two("repair", "--version", "2", "--as", "pending", "--yes")
    assert (pending.code, pending.out) == (0, "~ V002__b.sql: applied, counts as pending\n")
    assert two("apply", "--yes").code == 0
    assert two.rows("select to_regclass('b')") == [("b",)]

    two("undo", "--yes")
    two.execute("create table b ()")
    applied = two("repair", "--version", "2", "--as", "applied", "--yes")
    assert (applied.code, applied.out) == (0, "~ V002__b.sql: pending, counts as applied\n")
    assert two("apply", "--yes").err.startswith("0 pending")


@pytest.mark.parametrize(
    "words",
    [["--version", "2"], ["--as", "applied"], ["--version", "2", "--as", "done"]],
    ids=["no state", "no version", "another word"],
)
def test_a_version_without_a_status_is_an_error(two: Run, words: list[str]) -> None:
    refused = two("repair", *words)

    assert refused.code == 2
    assert "error: pass the version and its true status: applied or pending" in refused.err
    assert f"hint: orderops migrate repair --version {2 if '2' in words else 'N'} --as applied" in refused.err


def test_repair_of_an_unknown_version_is_an_error(two: Run) -> None:
    refused = two("repair", "--version", "7", "--as", "applied", "--yes")

    assert (refused.code, refused.err) == (
        2,
        "error: neither the files nor the ledger have version 7\n"
        f" hint: show the versions: orderops migrate info --sql {two.folder}\n",
    )


@pytest.mark.parametrize("stands", ["pending", "applied"])
def test_the_hint_repairs_a_partly_applied_version_without_a_file(two: Run, stands: str) -> None:
    two.write("003__c", "-- orderops: no-transaction\ncreate table c ();\ncreate table nowhere.d ();\n")
    two("apply", "--yes")
    for letter in "VU":
        (two.folder / f"{letter}003__c.sql").unlink()
    refused = two("apply", "--yes")
    assert "error: V003 'c' is partly applied and has no file here" in refused.err
    assert "orderops migrate repair --version 3 --as pending" in refused.err
    assert two("undo", "--yes").err == refused.err
    assert two("repair", "--yes").err.startswith("nothing to repair")

    said = two("repair", "--version", "3", "--as", stands, "--yes")

    assert said.out == f"~ V003 c: partly applied, counts as {stands}\n"
    assert two("apply", "--yes").code == (0 if stands == "pending" else 1)


def test_repair_stops_if_the_version_has_a_new_attempt(two: Run) -> None:
    edit(two)
    with psycopg.connect(two.dsn, autocommit=True) as connection:
        decided = migrator.to_repair(migrator.overview(connection, read_migrations(two.folder)), None)
        two("repair", "--yes")

        with pytest.raises(
            OrderopsError, match="V002 has a new attempt since this repair was planned; nothing was written"
        ):
            migrator.repair(Sessions(connection, connection, Author("ada", "here")), decided)

    assert len(attempts(two)) == 1
