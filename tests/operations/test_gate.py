"""The gate is checked under the migration lock, not only before the question."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from orderops.database.connection import login_from_dsn
from orderops.migrations import migrator
from orderops.migrations.ledger.table import Author
from orderops.migrations.schema_snapshot import schema_digest
from orderops.migrations.sql.files import read_migrations
from orderops.operations.gate import RehearsalGate
from orderops.operations.migrate import open_runner
from orderops.operations.migration_target import MigrationTarget
from orderops.rehearsal.gate import NotRehearsed
from orderops.rehearsal.receipts import Receipt, RehearsedMigration
from orderops.remote.job import CurrentJob
from orderops.remote.request import JobRequest
from support.migrate_runs import Run

pytest_plugins = ["support.postgres_fixtures", "support.migrate_fixtures"]


def rehearsed(run: Run) -> MigrationTarget:
    """A database whose pending migrations were rehearsed on its current schema."""
    [migration] = read_migrations(run.folder)
    with psycopg.connect(run.dsn, autocommit=True) as connection:
        digest, major = schema_digest(connection), connection.info.server_version // 10_000
    done = RehearsedMigration(1, migration.checksum, migration.back.checksum, 0.5, digest, "after", failed=False)
    receipt = Receipt("prod/rehearsals/one.json", datetime.now(UTC), "ada", major, "SAFE", [done])
    settings = {
        "rehearsed": True,
        "receipt_days": 7,
        "receipts": [receipt.to_dict()],
        "max_replication_lag_seconds": 10,
        "max_waiting_sessions": 3,
    }
    job = CurrentJob(JobRequest(("migrate", "apply"), settings=settings))
    return MigrationTarget(login_from_dsn(run.dsn), Author("ada", "here"), "prod", "--env prod", job=job)


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


def test_an_unchanged_schema_is_migrated_under_its_receipt(run: Run) -> None:
    run.write("001__a", "create table a ();\n")

    apply(run, meanwhile="select 1")

    assert run.rows("select to_regclass('a')::text, receipt from orderops_ledger.ledger") == [("a", "rehearsed: one")]
