"""The gate of an apply: what it asks for, what it shows, and that it is checked under the migration lock again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from orderops.aws.client import Aws
from orderops.aws.documents import Bucket
from orderops.config.environment import load_environment
from orderops.database.connection import login_from_dsn
from orderops.errors import UsageError
from orderops.infra.workspace import Workspace
from orderops.migrations import migrator
from orderops.migrations.ledger.status import MigrationStatus
from orderops.migrations.ledger.table import Author, Expected
from orderops.migrations.schema_snapshot import schema_digest
from orderops.migrations.sql.files import read_migrations
from orderops.operations.gate import RehearsalGate, check_reason, settings_of
from orderops.operations.migrate import open_runner
from orderops.operations.migration_target import MigrationTarget
from orderops.rehearsal.gate import NotRehearsed
from orderops.rehearsal.receipts import Receipt, RehearsedMigration
from orderops.remote.job import CurrentJob
from orderops.remote.request import JobRequest
from support.migrate_runs import Run
from support.repository import ENVIRONMENTS

AGE = timedelta(days=3)
pytest_plugins = ["support.postgres_fixtures", "support.migrate_fixtures"]


def rehearsed(run: Run, **other: Any) -> MigrationTarget:
    """A database whose first migration was rehearsed on its current schema, three days ago; `other` are settings."""
    migration = read_migrations(run.folder)[0]
    with psycopg.connect(run.dsn, autocommit=True) as connection:
        digest, major = schema_digest(connection), connection.info.server_version // 10_000
    done = RehearsedMigration(1, migration.checksum, migration.back.checksum, 0.5, digest, "after", failed=False)
    receipt = Receipt("prod/rehearsals/one.json", datetime.now(UTC) - AGE, "ada", major, "SAFE", [done])
    settings = {
        "rehearsed": True,
        "receipt_days": 7,
        "receipts": [receipt.to_dict()],
        "max_replication_lag_seconds": 10,
        "max_waiting_sessions": 3,
        **other,
    }
    job = CurrentJob(JobRequest(("migrate", "apply"), settings=settings))
    return MigrationTarget(login_from_dsn(run.dsn), Author("ada", "here"), "prod", "--env prod", job=job)


def wanted(connection: Connection, run: Run) -> list[MigrationStatus]:
    """The pending migrations of the folder."""
    overview = migrator.overview(connection, read_migrations(run.folder))
    return list(migrator.plan(overview, to=None, out_of_order=False))


def opened(run: Run, database: MigrationTarget, reason: str = "", *, quiet: bool = False) -> dict[int, Expected]:
    """Ask the gate for all pending migrations."""
    with psycopg.connect(run.dsn, autocommit=True) as connection:
        return RehearsalGate(database, reason).opened(connection, wanted(connection, run), quiet=quiet)


def preview(run: Run, database: MigrationTarget) -> None:
    with psycopg.connect(run.dsn, autocommit=True) as connection:
        RehearsalGate(database, "").preview(connection, wanted(connection, run))


def apply(run: Run, *, meanwhile: str) -> None:
    """Apply as the command does: the gate opens, the operator decides, the lock is taken."""
    database, migrations = rehearsed(run), read_migrations(run.folder)
    gate = RehearsalGate(database, "")
    with psycopg.connect(run.dsn, autocommit=True) as connection:
        gate.opened(connection, migrator.plan(migrator.overview(connection, migrations), to=None, out_of_order=False))
    run.execute(meanwhile)
    patience = timedelta(seconds=5)
    with open_runner(database, wait=patience, budget=patience) as (runner, _):
        list(gate.apply(runner, migrations, to=None, out_of_order=False))


def test_a_schema_that_changed_after_the_question_closes_the_gate(run: Run) -> None:
    run.write("001__a", "create table a ();\n")

    with pytest.raises(NotRehearsed, match="is for another schema than the current one; nothing was applied"):
        apply(run, meanwhile="create table meanwhile ()")

    assert run.rows("select to_regclass('a')") == [(None,)]


def test_an_unchanged_schema_is_migrated_under_its_receipt(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    run.write("001__a", "create table a ();\n")

    apply(run, meanwhile="select 1")

    assert capfd.readouterr().err.count("rehearsed 3 days ago") == 1, "once, before the question"

    assert run.rows("select to_regclass('a')::text, receipt from orderops_ledger.ledger") == [("a", "rehearsed: one")]


def test_the_gate_opens_for_the_migrations_that_are_to_be_applied_only(run: Run) -> None:
    run.write("001__a", "create table a ();\n")
    run.write("002__b", "create table b ();\n")
    database, migrations = rehearsed(run), read_migrations(run.folder)
    patience = timedelta(seconds=5)

    with open_runner(database, wait=patience, budget=patience) as (runner, _):
        gate = RehearsalGate(database, "")
        with pytest.raises(NotRehearsed, match="is for V001; nothing was applied"):
            list(gate.apply(runner, migrations, to=None, out_of_order=False))
        list(gate.apply(runner, migrations, to=1, out_of_order=False))

    assert run.rows("select to_regclass('a')::text, to_regclass('b')") == [("a", None)]


def test_the_gate_opens_for_a_migration_out_of_order_if_that_was_requested(run: Run) -> None:
    run.write("002__b", "create table b ();\n")
    assert run("apply", "--yes").code == 0
    run.write("001__a", "create table a ();\n")
    database, migrations = rehearsed(run), read_migrations(run.folder)
    patience = timedelta(seconds=5)

    with open_runner(database, wait=patience, budget=patience) as (runner, _):
        list(RehearsalGate(database, "").apply(runner, migrations, to=None, out_of_order=True))

    assert run.rows("select to_regclass('a')::text, to_regclass('b')::text") == [("a", "b")]


def test_an_open_gate_names_the_rehearsal_once(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    run.write("001__a", "create table a ();\n")
    database = rehearsed(run)

    expected = opened(run, database)

    assert expected == {1: Expected("rehearsed: one", timedelta(seconds=0.5))}
    assert capfd.readouterr().err == "rehearsed 3 days ago by ada: SAFE\n"
    assert opened(run, database, quiet=True) == expected
    assert capfd.readouterr().err == ""


def test_a_preview_shows_an_open_gate_and_a_closed_one(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    run.write("001__a", "create table a ();\n")
    database = rehearsed(run)

    preview(run, database)
    open_gate = capfd.readouterr().err
    run.execute("create table meanwhile ()")
    preview(run, database)

    assert open_gate == "rehearsed 3 days ago by ada: SAFE\n"
    assert capfd.readouterr().err == (
        "apply would fail: V001__a.sql: no valid rehearsal receipt: the last one, one, "
        "is for another schema than the current one; nothing was applied\n"
    )


def test_a_receipt_beyond_the_days_of_the_environment_closes_the_gate(run: Run) -> None:
    run.write("001__a", "create table a ();\n")

    with pytest.raises(NotRehearsed, match="is 3 days old; at most 2 days are accepted") as refused:
        opened(run, rehearsed(run, receipt_days=2))

    assert refused.value.hint.startswith("rehearse first: orderops migrate rehearsal --env prod\n")


def test_an_unreadable_receipt_is_shown_before_the_gate_closes(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    run.write("001__a", "create table a ();\n")
    broken = ["s3://b/prod/rehearsals/two.json is not JSON", "show it: aws s3 cp X -\nor set it aside: aws s3 mv X ."]
    database = rehearsed(run, receipts=[], unreadable_receipts=[broken])

    with pytest.raises(NotRehearsed, match="there is none"):
        opened(run, database)

    assert capfd.readouterr().err.splitlines() == [
        "not a receipt: s3://b/prod/rehearsals/two.json is not JSON",
        "    show it: aws s3 cp X -",
        "    or set it aside: aws s3 mv X .",
    ]
    with pytest.raises(NotRehearsed):
        opened(run, database, quiet=True)
    assert capfd.readouterr().err == ""


def test_no_receipt_is_needed_without_a_gate_or_with_a_reason_or_for_nothing(run: Run) -> None:
    run.write("001__a", "create table a ();\n")
    other = MigrationTarget(login_from_dsn(run.dsn), Author("ada", "here"), "another database", "--dsn X")
    unknown: dict[str, Any] = {"receipts": []}

    assert opened(run, other) == {}
    assert opened(run, rehearsed(run, rehearsed=False, **unknown)) == {}
    assert opened(run, rehearsed(run, receipts=["not a receipt"]), "it burns") == {
        1: Expected("without a rehearsal: it burns")
    }
    with psycopg.connect(run.dsn) as connection:
        assert RehearsalGate(rehearsed(run, **unknown), "").opened(connection, []) == {}


@pytest.mark.parametrize(
    ("bypassed", "reason", "recorded"),
    [(False, None, ""), (False, "", ""), (True, "it burns", "it burns"), (True, " it\n burns ", "it burns")],
)
def test_the_reason_of_a_bypass_is_recorded_on_one_line(bypassed: bool, reason: str | None, recorded: str) -> None:
    assert check_reason(bypassed, reason) == recorded


@pytest.mark.parametrize(
    ("bypassed", "reason", "message", "hint"),
    [
        (True, None, "--without-rehearsal requires a reason, which is recorded", 'pass --reason "WHY"'),
        (True, " ", "--without-rehearsal requires a reason, which is recorded", 'pass --reason "WHY"'),
        (False, "it burns", "--reason says why there is no rehearsal", "pass --without-rehearsal as well"),
    ],
)
def test_a_bypass_and_its_reason_need_one_another(bypassed: bool, reason: str | None, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_reason(bypassed, reason)

    assert (refused.value.message, refused.value.hint) == (message, hint)


def test_a_remote_job_gets_the_receipts_of_environments_that_require_rehearsals(aws: Aws) -> None:
    for environment in ("prod", "dev"):
        Bucket(aws).put(f"{environment}/rehearsals/two.json", {"who": "ada"})

    prod, dev = (settings_of(Workspace(load_environment(name, ENVIRONMENTS), aws)) for name in ("prod", "dev"))

    [[message, hint]] = prod.pop("unreadable_receipts")
    assert "/prod/rehearsals/two.json has no key " in message
    assert "/prod/rehearsals/two.json -" in hint
    assert prod == {"rehearsed": True, "receipt_days": 7, "receipts": []}
    assert dev == {"rehearsed": False, "receipt_days": 7, "receipts": [], "unreadable_receipts": []}
