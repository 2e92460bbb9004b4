"""A rehearsal on small data: each verdict once, the undo, the worst case, and their reports."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from orderops.database.connection import login_from_dsn
from orderops.errors import OrderopsError, UsageError
from orderops.migrations.schema_snapshot import schema_digest
from orderops.migrations.sql.files import read_migrations
from orderops.rehearsal.markdown import check_writable, markdown
from orderops.rehearsal.markdown import write as write_report
from orderops.rehearsal.queries import Query, QueryOrigin
from orderops.rehearsal.report import Impact, MigrationReport, Report, Verdict
from orderops.rehearsal.runner import rehearse
from orderops.ui import console
from orderops.ui import rehearsal as terminal_rehearsal

pytest_plugins = ["support.postgres_fixtures"]

TABLES = """
create table users (id uuid primary key default gen_random_uuid(), name text not null);
insert into users (name) select 'user ' || i from generate_series(1, 100) i;
create table orders (id bigint generated always as identity primary key, n int, status text not null, note text);
insert into orders (n, status) select i, 'open' from generate_series(1, 1000) i;
analyze
"""
CANARIES = """\
-- canary: all users
select id, name from users limit 10;

-- canary: the status of an order
-- values: select id
--         from orders limit 100
select status from orders where id = $1;
"""
MIGRATIONS = {
    "001__note": ("alter table orders add column a int;", "alter table orders drop column a;"),
    "002__share": ("select 1;\nlock table orders in share mode;\nselect pg_sleep(0.8);", "select 1;"),
    "003__all": ("lock table orders;\nselect pg_sleep(0.8);", "create table left_over (id int);"),
    "004__anew": ("alter table orders alter n type bigint;", "alter table orders alter n type int;"),
    "005__paid": ("create table paid (id int);\ninsert into paid values (1);", "drop table paid;"),
    "006__gone": ("alter table orders drop column status;", "alter table orders add status text not null default 'x';"),
}

PROCESS = """
import sys
from pathlib import Path
from orderops.database.connection import login_from_dsn
from orderops.migrations.sql.files import read_migrations
from orderops.rehearsal.runner import rehearse
rehearse(login_from_dsn(sys.argv[1]), read_migrations(Path(sys.argv[2])), baseline_seconds=0.1)
"""
LIVE = Query(
    "asked live", "select note, status from orders where n = $1", QueryOrigin.LIVE, rate=1.0, fingerprint="live"
)


@dataclass(frozen=True)
class Rehearsed:
    """A report, and what was told on the way."""

    report: Report
    dsn: str
    verdicts: list[str]
    watched: list[str]

    def of(self, version: int) -> MigrationReport:
        return next(migration for migration in self.report.migrations if migration.version == version)


def write(folder: Path, migrations: dict[str, tuple[str, str]], canaries: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    for name, pair in migrations.items():
        for letter, text in zip("VU", pair, strict=True):
            (folder / f"{letter}{name}.sql").write_text(text + "\n")
    if canaries:
        (folder / "canaries.sql").write_text(canaries)
    return folder


@contextmanager
def small(dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(TABLES)
        yield connection


@pytest.fixture(scope="module")
def rehearsed(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Rehearsed:
    dsn = module_database
    folder = write(tmp_path_factory.mktemp("rehearsal") / "sql", MIGRATIONS, CANARIES)
    verdicts: list[str] = []
    watched: list[str] = []
    with small(dsn) as connection:
        before = schema_digest(connection)
        report = rehearse(
            login_from_dsn(dsn),
            read_migrations(folder),
            queries=[LIVE],
            held_for=timedelta(seconds=1),
            baseline_seconds=0.5,
            on_wait=lambda _, progress: watched.append(progress),
            on_verdict=verdicts.append,
        )
    assert report.schema_before == before
    return Rehearsed(report, dsn, verdicts, watched)


def test_an_instant_change_is_safe_and_its_lock_is_reported(rehearsed: Rehearsed) -> None:
    report = rehearsed.of(1)

    assert report.verdict.seconds < 0.5, "on a machine that stands still even this one waits"
    assert [(lock.relation, lock.mode) for lock in report.statements[0].locks] == [("orders", "AccessExclusiveLock")]
    assert report.statements[0].rewritten == ()


def test_a_lock_against_writes_blocks_them_from_its_statement_on(rehearsed: Rehearsed) -> None:
    report = rehearsed.of(2)
    stalls = {stall.family: stall for stall in report.statements[1].stalls}

    assert report.verdict.impact is Impact.BLOCKS
    assert report.verdict.sentence.startswith("BLOCKS writes to orders for ")
    assert report.verdict.seconds > 0.5
    assert stalls["writes orders"].seconds > 0.5
    assert stalls["writes orders"].for_lock
    assert stalls["writes orders"].line == 2
    assert report.statements[1].locks[0].seconds > 0.7, "held until the transaction ends, two statements later"


def test_an_exclusive_lock_stops_reads_and_writes_of_its_table(rehearsed: Rehearsed) -> None:
    report = rehearsed.of(3)

    assert report.verdict.impact is Impact.STOPS
    assert report.verdict.sentence.startswith("STOPS reads and writes of orders for ")
    assert "the status of an order" in [stall.family for stall in report.statements[0].stalls]
    assert "all users" not in [stall.family for stall in report.statements[0].stalls if stall.seconds > 0.5]
    assert "remove it: each statement" in report.advice


def test_a_rewritten_table_is_reported(rehearsed: Rehearsed) -> None:
    assert "orders" in rehearsed.of(4).statements[0].rewritten


def test_a_broken_service_query_is_named_with_its_error(rehearsed: Rehearsed) -> None:
    report = rehearsed.of(6)

    assert report.verdict.impact is Impact.BREAKS
    assert {broken.query: broken.error for broken in report.broken} == {
        "the status of an order": 'column "status" does not exist',
        "asked live": 'column "status" does not exist',
    }
    assert "release a service that neither reads nor writes it" in report.advice
    assert rehearsed.report.verdict.impact is Impact.BREAKS, "the worst of all"


def test_a_failing_derived_query_breaks_nothing(rehearsed: Rehearsed) -> None:
    note_start = 'V006__gone.sql: inserts orders: column "status" of relation "orders" does not exist; no known query'
    assert [note for note in rehearsed.report.notes if note.startswith(note_start)]


def test_each_undo_is_proven_or_its_differences_are_listed(rehearsed: Rehearsed) -> None:
    undone = {migration.version: migration.undo for migration in rehearsed.report.migrations if migration.undo}

    assert [version for version, undo in undone.items() if undo.proven] == [1, 2, 4, 5]
    assert any(difference.startswith("+ relation public.left_over") for difference in undone[3].differences)
    assert not any("orders" in difference for difference in undone[3].differences), "that was the doing of another one"
    assert "- order of columns public.orders" in [difference.partition(":")[0] for difference in undone[6].differences]
    assert undone[5].lost == ("U005__paid.sql:1 removes the rows of paid",)
    assert rehearsed.report.dump == "differs"


def test_a_migration_behind_an_open_transaction_blocks_no_client(rehearsed: Rehearsed) -> None:
    worst = rehearsed.of(1).worst_case
    assert worst
    assert 0 < worst.after < worst.seconds
    assert max((stall.seconds for stall in worst.stalls), default=0.0) < worst.held
    untouched = rehearsed.of(5).worst_case
    assert untouched
    assert untouched.held == 0, "nobody else knows its table"


def test_every_migration_is_applied_at_the_end(rehearsed: Rehearsed) -> None:
    with psycopg.connect(rehearsed.dsn) as connection:
        stands = connection.execute("select version, state from orderops_ledger.migrations order by version").fetchall()

    assert stands == [(version, "applied") for version in range(1, 7)]


def test_a_rehearsal_leaves_no_session_behind(rehearsed: Rehearsed) -> None:
    with psycopg.connect(rehearsed.dsn) as connection:
        left = connection.execute(
            "select application_name from pg_stat_activity where datname = current_database()"
            " and pid <> pg_backend_pid() and application_name like 'orderops%' and state <> 'idle'"
        ).fetchall()

    assert left == []


def test_progress_and_each_verdict_are_shown_as_they_come(rehearsed: Rehearsed) -> None:
    assert [verdict.partition(":")[0] for verdict in rehearsed.verdicts] == [f"V{name}.sql" for name in MIGRATIONS]
    assert any(message.startswith("applies V001__note.sql again, while a transaction") for message in rehearsed.watched)
    assert rehearsed.watched[-1] == ""


def test_a_report_is_read_back_from_json(rehearsed: Rehearsed) -> None:
    document = json.loads(json.dumps(rehearsed.report.to_dict()))

    again = Report.from_dict(document)
    assert again.to_dict() == document
    assert again.verdict.sentence == rehearsed.report.verdict.sentence
    assert [migration.file for migration in again.migrations] == [f"V{name}.sql" for name in MIGRATIONS]
    assert again.server_major == 18


@pytest.mark.parametrize("document", [{}, {"form": 2}, {"form": 1}, {"form": 1, "started": 5}])
def test_an_invalid_report_is_an_error(document: dict[str, object]) -> None:
    with pytest.raises(OrderopsError, match="report"):
        Report.from_dict(document)


def test_the_terminal_shows_each_verdict_in_80_columns(rehearsed: Rehearsed, monkeypatch: pytest.MonkeyPatch) -> None:
    page = io.StringIO()
    # Not the property `file`: it returns the redirected stdout, which monkeypatch would put back as a fixed value.
    monkeypatch.setattr(console.out, "_file", page)
    terminal_rehearsal.show(rehearsed.report)
    lines = page.getvalue().splitlines()

    assert [line for line in lines if len(line) > 80 and "      " not in line] == []
    for name in MIGRATIONS:
        assert any(line.startswith(f"V{name}.sql") for line in lines)
    assert "".join(lines[-4:]).count("BREAKS") == 1
    assert "(V006__gone.sql)" in " ".join(lines[-4:])


def test_the_next_step_for_a_breaking_migration_is_to_fix_it(rehearsed: Rehearsed) -> None:
    report = rehearsed.report
    calm = replace(report, verdict=Verdict(Impact.SAFE, ""))

    assert terminal_rehearsal.next_step(report, "--env prod") == (
        "next: fix V006__gone.sql, then run: orderops migrate rehearsal --env prod"
    )
    assert terminal_rehearsal.next_step(calm, "--env prod") == "next: orderops migrate apply --env prod"


def test_an_unwritable_report_path_is_an_error_up_front(tmp_path: Path) -> None:
    check_writable(tmp_path / "report.md")
    for path in (tmp_path, tmp_path / "gone" / "report.md"):
        with pytest.raises(UsageError, match=r"is a folder|does not exist"):
            check_writable(path)


def test_a_report_that_cannot_be_written_names_its_receipt(rehearsed: Rehearsed, tmp_path: Path) -> None:
    with pytest.raises(OrderopsError, match="could not be written") as refused:
        write_report(tmp_path / "gone" / "report.md", rehearsed.report, "2026-11-20")

    assert refused.value.hint == "the report is shown above and stored as receipt 2026-11-20"


def test_markdown_holds_the_whole_report(rehearsed: Rehearsed) -> None:
    page = markdown(rehearsed.report)

    assert page.startswith(f"# {rehearsed.report.verdict.sentence}\n")
    assert "| 2 | `lock table orders in share mode` |" in page
    assert "\n+ relation public.left_over" in page


def test_a_failing_migration_is_named_and_later_ones_are_not_tried(database: str, tmp_path: Path) -> None:
    pairs = {
        "001__dup": ("create table t (id int);\ninsert into t select 1 / 0;", "drop table t;"),
        "002__next": ("create table u (id int);", "drop table u;"),
    }
    report = rehearse(login_from_dsn(database), read_migrations(write(tmp_path, pairs)), baseline_seconds=0.1)

    assert report.verdict.impact is Impact.FAILS
    assert report.verdict.sentence.startswith("FAILS: V001__dup.sql:2:1: division by zero")
    assert report.migrations[1].failed == "not tried, since V001__dup.sql fails"
    assert report.schema_before == report.schema_after
    assert not any(migration.undo and migration.undo.proven for migration in report.migrations)
    assert report.dump == "", "nothing was undone"
    assert [migration.advice for migration in report.migrations] == ["", ""]
    assert terminal_rehearsal.next_step(report, "--env prod --sql other") == (
        "next: fix V001__dup.sql, then run: orderops migrate rehearsal --env prod --sql other"
    )


def test_a_rehearsal_without_pending_migrations_is_an_error(database: str, tmp_path: Path) -> None:
    folder = write(tmp_path, {"001__t": ("create table t (id int);", "drop table t;")})
    rehearse(login_from_dsn(database), read_migrations(folder), baseline_seconds=0.1)

    with pytest.raises(OrderopsError, match="nothing is pending"):
        rehearse(login_from_dsn(database), read_migrations(folder), baseline_seconds=0.1)


def test_a_copy_that_disappears_is_one_error(database: str, tmp_path: Path) -> None:
    folder = write(tmp_path, {"001__a": ("alter table orders add a int;", "alter table orders drop a;")})
    with small(database) as connection:

        def watch(_: str, progress: str) -> None:
            if progress.startswith("applies"):
                connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and pid <> pg_backend_pid()"
                )

        with pytest.raises(OrderopsError, match=r"lost|ended"):
            rehearse(login_from_dsn(database), read_migrations(folder), baseline_seconds=0.1, on_wait=watch)


def test_a_killed_rehearsal_leaves_no_session_behind(database: str, tmp_path: Path) -> None:
    folder = write(tmp_path, {"001__a": ("lock table orders;\nselect pg_sleep(60);", "select 1;")})
    with small(database) as connection:
        victim = subprocess.Popen([sys.executable, "-c", PROCESS, database, str(folder)])
        sessions = (
            "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        )
        _until(connection, f"select ({sessions} and query like 'select pg_sleep%' and state = 'active') = 1")
        victim.kill()
        victim.wait()

        _until(connection, f"select ({sessions}) = 0")


def _until(connection: psycopg.Connection, question: str, within: float = 30) -> None:
    deadline = time.monotonic() + within
    while (connection.execute(question.encode()).fetchone() or (False,))[0] is not True:
        assert time.monotonic() < deadline, f"not within {within} s: {question}"
        time.sleep(0.05)
