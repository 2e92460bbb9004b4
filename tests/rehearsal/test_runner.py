"""A rehearsal on small data: each verdict once, the way back, the worst case, and what is said of all that."""

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

from orderops.database.connection import login_by
from orderops.errors import OrderopsError, UsageError
from orderops.local.rds.postgres import PostgresServer
from orderops.migrations.schema_snapshot import schema_digest
from orderops.migrations.sql.files import read_migrations
from orderops.rehearsal.markdown import check_writable, markdown
from orderops.rehearsal.markdown import write as write_report
from orderops.rehearsal.queries import Origin, Query
from orderops.rehearsal.report import Kind, MigrationReport, Report, Verdict
from orderops.rehearsal.runner import rehearse
from orderops.ui import console as terminal
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
from orderops.database.connection import login_by
from orderops.migrations.sql.files import read_migrations
from orderops.rehearsal.runner import rehearse
rehearse(login_by(sys.argv[1]), read_migrations(Path(sys.argv[2])), seconds_before=0.1)
"""
LIVE = Query("asked live", "select note, status from orders where n = $1", Origin.LIVE, rate=1.0, fingerprint="live")


@dataclass(frozen=True)
class Rehearsed:
    """A report, and what was told on the way."""

    report: Report
    dsn: str
    said: list[str]
    watched: list[str]

    def of(self, version: int) -> MigrationReport:
        return next(each for each in self.report.migrations if each.version == version)


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
def rehearsed(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Rehearsed:
    dsn = postgres.create_database("test_rehearse")
    folder = write(tmp_path_factory.mktemp("rehearsal") / "sql", MIGRATIONS, CANARIES)
    said: list[str] = []
    watched: list[str] = []
    with small(dsn) as connection:
        before = schema_digest(connection)
        report = rehearse(
            login_by(dsn),
            read_migrations(folder),
            queries=[LIVE],
            holder=timedelta(seconds=1),
            seconds_before=0.5,
            watch=lambda _, told: watched.append(told),
            say=said.append,
        )
    assert report.schema_before == before
    return Rehearsed(report, dsn, said, watched)


def test_an_instant_change_is_safe_and_its_lock_is_told(rehearsed: Rehearsed) -> None:
    report = rehearsed.of(1)

    assert report.verdict.seconds < 0.5, "on a machine that stands still even this one waits"
    assert [(each.relation, each.mode) for each in report.statements[0].locks] == [("orders", "AccessExclusiveLock")]
    assert report.statements[0].rewritten == ()


def test_a_lock_against_writes_blocks_writes_from_the_statement_on_that_takes_it(rehearsed: Rehearsed) -> None:
    report = rehearsed.of(2)
    stalls = {each.family: each for each in report.statements[1].stalls}

    assert report.verdict.kind is Kind.BLOCKS
    assert report.verdict.sentence.startswith("BLOCKS writes to orders for ")
    assert report.verdict.seconds > 0.5
    assert stalls["writes orders"].seconds > 0.5
    assert stalls["writes orders"].for_lock
    assert stalls["writes orders"].line == 2
    assert report.statements[1].locks[0].seconds > 0.7, "held until the transaction ends, two statements later"


def test_a_lock_against_all_stops_reads_and_writes_of_that_table(rehearsed: Rehearsed) -> None:
    report = rehearsed.of(3)

    assert report.verdict.kind is Kind.STOPS
    assert report.verdict.sentence.startswith("STOPS reads and writes of orders for ")
    assert "the status of an order" in [each.family for each in report.statements[0].stalls]
    assert "all users" not in [each.family for each in report.statements[0].stalls if each.seconds > 0.5]
    assert "leave it out" in report.advice


def test_what_is_written_anew_is_told(rehearsed: Rehearsed) -> None:
    assert "orders" in rehearsed.of(4).statements[0].rewritten


def test_a_query_of_the_service_that_no_longer_works_is_named_with_the_error(rehearsed: Rehearsed) -> None:
    report = rehearsed.of(6)

    assert report.verdict.kind is Kind.BREAKS
    assert {each.query: each.error for each in report.broken} == {
        "the status of an order": 'column "status" does not exist',
        "asked live": 'column "status" does not exist',
    }
    assert "a release that neither reads nor writes it" in report.advice
    assert rehearsed.report.verdict.kind is Kind.BREAKS, "the worst of all"


def test_what_nobody_is_known_to_ask_breaks_nobody(rehearsed: Rehearsed) -> None:
    told = 'V006__gone.sql: inserts orders: column "status" of relation "orders" does not exist; nobody is known'
    assert [each for each in rehearsed.report.notes if each.startswith(told)]


def test_each_undo_is_proven_or_says_what_it_leaves(rehearsed: Rehearsed) -> None:
    undone = {each.version: each.undo for each in rehearsed.report.migrations if each.undo}

    assert [version for version, undo in undone.items() if undo.proven] == [1, 2, 4, 5]
    assert any(each.startswith("+ relation public.left_over") for each in undone[3].differences)
    assert not any("orders" in each for each in undone[3].differences), "that was the doing of another one"
    assert "- order of columns public.orders" in [each.partition(":")[0] for each in undone[6].differences]
    assert undone[5].lost == ("U005__paid.sql:1 takes away the rows of paid",)
    assert rehearsed.report.dump == "differs"


def test_behind_an_open_transaction_it_waits_without_making_others_wait(rehearsed: Rehearsed) -> None:
    worst = rehearsed.of(1).worst_case
    assert worst
    assert 0 < worst.after < worst.seconds
    assert max((each.seconds for each in worst.stalls), default=0.0) < worst.held
    untouched = rehearsed.of(5).worst_case
    assert untouched
    assert untouched.held == 0, "nobody else knows its table"


def test_in_the_end_all_is_applied(rehearsed: Rehearsed) -> None:
    with psycopg.connect(rehearsed.dsn) as connection:
        stands = connection.execute("select version, state from orderops.migrations order by version").fetchall()

    assert stands == [(version, "applied") for version in range(1, 7)]


def test_nothing_of_it_stays_behind(rehearsed: Rehearsed) -> None:
    with psycopg.connect(rehearsed.dsn) as connection:
        left = connection.execute(
            "select application_name from pg_stat_activity where datname = current_database()"
            " and pid <> pg_backend_pid() and application_name like 'orderops%' and state <> 'idle'"
        ).fetchall()

    assert left == []


def test_the_operator_is_told_what_goes_on_and_each_verdict_as_it_falls(rehearsed: Rehearsed) -> None:
    assert [each.partition(":")[0] for each in rehearsed.said] == [f"V{name}.sql" for name in MIGRATIONS]
    assert any(each.startswith("applies V001__note.sql again, while a transaction") for each in rehearsed.watched)
    assert rehearsed.watched[-1] == ""


def test_the_report_can_be_read_back(rehearsed: Rehearsed) -> None:
    told = json.loads(json.dumps(rehearsed.report.told()))

    again = Report.from_told(told)
    assert again.told() == told
    assert again.verdict.sentence == rehearsed.report.verdict.sentence
    assert [each.file for each in again.migrations] == [f"V{name}.sql" for name in MIGRATIONS]
    assert again.server_major == 18


@pytest.mark.parametrize("told", [{}, {"form": 2}, {"form": 1}, {"form": 1, "started": 5}])
def test_what_is_no_report_is_refused(told: dict[str, object]) -> None:
    with pytest.raises(OrderopsError, match="report"):
        Report.from_told(told)


def test_the_terminal_shows_each_verdict_in_80_columns_and_ends_with_the_whole(
    rehearsed: Rehearsed, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = io.StringIO()
    monkeypatch.setattr(terminal.out, "_file", page)  # the property would be given back what it told, and keep it
    terminal_rehearsal.show(rehearsed.report)
    lines = page.getvalue().splitlines()

    assert [line for line in lines if len(line) > 80 and "      " not in line] == []
    for name in MIGRATIONS:
        assert any(line.startswith(f"V{name}.sql") for line in lines)
    assert "".join(lines[-4:]).count("BREAKS") == 1
    assert "(V006__gone.sql)" in " ".join(lines[-4:])


def test_what_breaks_somebody_is_mended_and_not_applied(rehearsed: Rehearsed) -> None:
    report = rehearsed.report
    calm = replace(report, verdict=Verdict(Kind.SAFE, ""))

    assert terminal_rehearsal.next_step(report, "--env prod") == (
        "next: mend V006__gone.sql, then orderops migrate rehearsal --env prod"
    )
    assert terminal_rehearsal.next_step(calm, "--env prod") == "next: orderops migrate apply --env prod"


def test_a_place_for_the_report_is_looked_at_first(tmp_path: Path) -> None:
    check_writable(tmp_path / "report.md")
    for path in (tmp_path, tmp_path / "gone" / "report.md"):
        with pytest.raises(UsageError, match="folder"):
            check_writable(path)


def test_a_report_that_cannot_be_written_is_not_lost(rehearsed: Rehearsed, tmp_path: Path) -> None:
    with pytest.raises(OrderopsError, match="could not be written") as refused:
        write_report(tmp_path / "gone" / "report.md", rehearsed.report, "2026-11-20")

    assert refused.value.hint == "it is told above, and kept as the receipt 2026-11-20"


def test_markdown_holds_all_of_it(rehearsed: Rehearsed) -> None:
    page = markdown(rehearsed.report)

    assert page.startswith(f"# {rehearsed.report.verdict.sentence}\n")
    assert "| 2 | `lock table orders in share mode` |" in page
    assert "\n+ relation public.left_over" in page


def test_what_fails_is_told_with_its_place_and_the_rest_is_not_tried(database: str, tmp_path: Path) -> None:
    pairs = {
        "001__dup": ("create table t (id int);\ninsert into t select 1 / 0;", "drop table t;"),
        "002__next": ("create table u (id int);", "drop table u;"),
    }
    report = rehearse(login_by(database), read_migrations(write(tmp_path, pairs)), seconds_before=0.1)

    assert report.verdict.kind is Kind.FAILS
    assert report.verdict.sentence.startswith("FAILS: V001__dup.sql:2:1: division by zero")
    assert report.migrations[1].failed == "not tried, since V001__dup.sql fails"
    assert report.schema_before == report.schema_after
    assert not any(each.undo and each.undo.proven for each in report.migrations)
    assert report.dump == "", "nothing was undone"
    assert [each.advice for each in report.migrations] == ["", ""]
    assert terminal_rehearsal.next_step(report, "--env prod --sql other") == (
        "next: mend V001__dup.sql, then orderops migrate rehearsal --env prod --sql other"
    )


def test_nothing_pending_is_refused(database: str, tmp_path: Path) -> None:
    folder = write(tmp_path, {"001__t": ("create table t (id int);", "drop table t;")})
    rehearse(login_by(database), read_migrations(folder), seconds_before=0.1)

    with pytest.raises(OrderopsError, match="nothing is pending"):
        rehearse(login_by(database), read_migrations(folder), seconds_before=0.1)


def test_a_copy_that_goes_away_in_the_middle_is_one_refusal(database: str, tmp_path: Path) -> None:
    folder = write(tmp_path, {"001__a": ("alter table orders add a int;", "alter table orders drop a;")})
    with small(database) as connection:

        def watch(_: str, told: str) -> None:
            if told.startswith("applies"):
                connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and pid <> pg_backend_pid()"
                )

        with pytest.raises(OrderopsError, match=r"lost|ended"):
            rehearse(login_by(database), read_migrations(folder), seconds_before=0.1, watch=watch)


def test_a_rehearsal_that_is_killed_leaves_no_session_behind(database: str, tmp_path: Path) -> None:
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
