"""Backfills: each row is changed once, for any key, after any interruption, at a limited pace."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import psycopg
import pytest

from orderops.migrations.sql.batches import BatchLimits, Pace, Rate
from support.migrate_runs import Run, until

pytest_plugins = ["support.postgres_fixtures", "support.migrate_fixtures"]
TABLE = "create table t (id bigint primary key, n int not null default 0)"


def batch(statement: str, size: int = 3, key: str = "id") -> str:
    """A file that runs in pieces."""
    return f"-- orderops: batch {size} by {key}\n{statement};\n"


# keys

KEYS = {
    "bigint": ("bigint", "select 1000000000000 + i * i from generate_series(1, 20) i"),
    "negative and beside zero": ("int", "select i from generate_series(-10, 9) i"),
    "smallint at its ends": ("smallint", "select i from generate_series(-32768, 32767, 3449) i"),
    "uuid": ("uuid", "select gen_random_uuid() from generate_series(1, 20)"),
    "text that looks alike": (
        "text",
        "values (''), (' '), ('  '), ('a'), ('A'), ('a '), ('ä'), ('10'), ('9'), (E'it''s'), (E'\\\\'), (E'a\\nb'),"
        " ('%s'), ('$1'), ('null'), ('é'), ('zz'), ('1e0'), ('1.0'), ('\U0001f600')",
    ),
    "text by a collation of its own": ('text collate "C"', "select chr(64 + i) from generate_series(1, 20) i"),
    "char that is padded": ("char(4)", "select repeat('x', i % 3) || i from generate_series(1, 20) i"),
    "timestamptz down to the microsecond": (
        "timestamptz",
        "select timestamptz '2026-10-25 00:30:00+00' + i * interval '1 microsecond' from generate_series(1, 18) i"
        " union all select unnest(array['-infinity', 'infinity']::timestamptz[])",
    ),
    "date": ("date", "select date '0001-01-01 BC' + i * 40000 from generate_series(1, 20) i"),
    "numeric": ("numeric", "select i / 3.0 from generate_series(-9, 9) i union all select 'NaN'"),
    "double precision": (
        "double precision",
        "select i / 3.0::float8 from generate_series(-9, 9) i union all select 'NaN'",
    ),
    "an enum": ("mood", "values ('sad'), ('well'), ('glad')"),
    "a domain": ("number", "select i from generate_series(1, 20) i"),
}


def test_each_row_is_changed_once_for_any_type_of_key(run: Run) -> None:
    run.execute("create type mood as enum ('sad', 'well', 'glad')", "create domain number as int")
    for number, (kind, keys) in enumerate(KEYS.values(), 1):
        run.execute(f"create table t{number} (k {kind} primary key, n int not null default 0)")
        run.execute(f"insert into t{number} (k) {keys}")
        run.write(f"{number:03}__t", batch(f"update t{number} set n = n + 1", key="k"))

    done = run("apply", "--yes")

    assert done.code == 0, done.err
    changed = "(select rows_changed from orderops_ledger.ledger where version = {0})"
    wanted = f"select count(*) > 2, min(n), max(n), count(*) = {changed} from t{{0}}"
    found = {name: run.rows(wanted.format(number))[0] for number, name in enumerate(KEYS, 1)}
    assert found == dict.fromkeys(KEYS, (True, 1, 1, True))


def test_a_key_recorded_by_another_session_is_read_back_exactly(run: Run) -> None:
    """Where a piece ended is a text in the ledger: it means the same under any settings of dates and zones."""
    run.execute(
        "create table t (k timestamptz primary key, n int not null default 0)",
        "insert into t (k) select timestamptz '2026-02-01' + i * interval '25 hours' from generate_series(0, 19) i",
        "alter table t add constraint low check (n < 1 or k < '2026-02-09') not valid",
    )
    run.write("001__t", batch("update t set n = n + 1", key="k"))
    ((name,),) = run.rows("select current_database()")
    run.execute(
        f"alter database {name} set datestyle = 'ISO, DMY'", f"alter database {name} set timezone = 'Asia/Tokyo'"
    )
    assert run("apply", "--yes").code == 1
    run.execute("alter table t drop constraint low", f"alter database {name} set datestyle = 'ISO, MDY'")
    run.execute(f"alter database {name} set timezone = 'America/New_York'")

    assert run("apply", "--yes").code == 0

    assert run.rows("select min(n), max(n), sum(n) from t") == [(1, 1, 20)]


# statements

STATEMENTS = {
    "UPDATE of all": ("update {t} set n = 1", [1] * 8),
    "UPDATE with a condition": ("update {t} set n = 1 where id > 2 and id <= 4", [0, 0, 1, 1, 0, 0, 0, 0]),
    "a condition of two ways": ("update {t} set n = 1 where id = 2 or id = 7", [0, 1, 0, 0, 0, 0, 1, 0]),
    "UPDATE FROM": (
        "update {t} set n = o.w from others o where o.t = {t}.id",
        [0, 20, 0, 40, 0, 60, 0, 80],
    ),
    "UPDATE FROM a subquery with a condition of its own": (
        'update public."{t}" as x set n = o.w from (select * from others where w > 50) o where o.t = x.id',
        [0, 0, 0, 0, 0, 60, 0, 80],
    ),
    "UPDATE of rows that no longer meet the condition": ("update {t} set n = n + 1 where n = 0", [1] * 8),
    "a comment at the end": ("update {t} set n = 1 where id < 3 -- where it is said", [1, 1, 0, 0, 0, 0, 0, 0]),
    "a comment in place of a condition": ("update {t} set n = 1 -- where id < 3", [1] * 8),
    "a block comment within": ("update {t} set /* where */ n = 1 where /* all but */ id <> 8", [1] * 7 + [0]),
    "the word in a value and in a name": (
        'update {t} set n = length(\' where \') from (select 1 as "where") w where w."where" = id',
        [7, 0, 0, 0, 0, 0, 0, 0],
    ),
    "a percent sign": ("update {t} set n = 1 where id % 2 = 0 and 'a%s' like 'a%%'", [0, 1] * 4),
    "DELETE": ("delete from {t} where id between 3 and 6", [0] * 4),
    "DELETE of all": ("delete from {t}", []),
    "DELETE USING with an alias": ("delete from {t} as x using others o where o.t = x.id", [0] * 4),
}


def test_a_statement_in_batches_has_the_same_result_as_a_whole(run: Run) -> None:
    run.execute("create table others as select i * 2 as t, i * 20 as w from generate_series(1, 4) i")
    for number, (statement, _) in enumerate(STATEMENTS.values(), 1):
        run.execute(TABLE.replace(" t ", f" t{number} "))
        run.execute(f"insert into t{number} select i from generate_series(1, 8) i")
        run.write(f"{number:03}__t", batch(statement.format(t=f"t{number}")))

    done = run("apply", "--yes")

    assert done.code == 0, done.err
    for number, (name, (_, left)) in enumerate(STATEMENTS.items(), 1):
        assert [n for (n,) in run.rows(f"select n from t{number} order by id")] == left, name


def test_names_in_a_batch_are_quoted_if_needed(run: Run) -> None:
    run.execute(
        'create schema "Old Shop"',
        'create table "Old Shop"."Order ""Lines""" ("Line No" int primary key, "Where" int)',
        'insert into "Old Shop"."Order ""Lines""" select i from generate_series(1, 7) i',
    )
    run.write("001__t", batch('update "Old Shop"."Order ""Lines""" set "Where" = 1', key='"Line No"'))

    done = run("apply", "--yes")

    assert done.code == 0, done.err
    assert run.rows('select sum("Where") from "Old Shop"."Order ""Lines"""') == [(7,)]


def test_a_small_table_is_changed_in_one_batch(run: Run) -> None:
    few = [0, 1, 3, 4]
    for number, rows in enumerate(few, 1):
        run.execute(TABLE.replace(" t ", f" t{rows} "))
        run.execute(f"insert into t{rows} select i * 1000000 from generate_series(1, {rows}) i")
        run.write(f"{number:03}__t", batch(f"update t{rows} set n = n + 1"))

    assert run("apply", "--yes").code == 0

    counted = [run.rows(f"select count(*), count(*) filter (where n = 1) from t{rows}")[0] for rows in few]
    assert counted == [(rows, rows) for rows in few]


def test_an_undo_can_run_in_batches(run: Run) -> None:
    run.execute(TABLE, "insert into t select i from generate_series(1, 10) i")
    run.write("001__t", batch("update t set n = n + 1"), batch("update t set n = n - 1"))
    run("apply", "--yes")

    assert run("undo", "--yes").code == 0

    assert run.rows("select max(n) from t") == [(0,)]
    assert run("history", "--json").json[0]["rows_changed"] == 10


def test_keys_are_read_as_the_owner_of_the_file(run: Run) -> None:
    run.execute(
        "drop role if exists keeper, clerk", "create role keeper", "create role clerk login password 'x' in role keeper"
    )
    run.execute(TABLE, "insert into t select i from generate_series(1, 10) i", "alter table t owner to keeper")
    ((name,),) = run.rows("select current_database()")
    run.execute(f"grant create on database {name} to clerk", "alter role clerk noinherit")
    run.execute("revoke keeper from clerk", "grant keeper to clerk with inherit false")
    run.write("001__t", "-- orderops: owner keeper\n" + batch("update t set n = n + 1"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORDEROPS_DSN", psycopg.conninfo.make_conninfo(run.dsn, user="clerk", password="x"))
        done = run("apply", "--yes")
    rows = run.rows("select min(n), max(n) from t")
    run.execute("reassign owned by keeper, clerk to postgres", "drop owned by keeper, clerk", "drop role keeper, clerk")

    assert done.code == 0, done.err
    assert rows == [(1, 1)]


def test_a_batch_that_changes_its_own_key_is_an_error(run: Run) -> None:
    run.execute(TABLE)
    file = run.write("001__t", batch("update t set id = id + 1000, n = 1"))

    refused = run("apply", "--yes")

    assert (refused.code, refused.err) == (
        2,
        f"error: {file}:2: it changes the batch column id: some rows would be changed twice\n"
        " hint: batch by another column that is NOT NULL and UNIQUE\n",
    )


# cut, failing, mended


def test_new_rows_are_reached_and_a_killed_run_repeats_no_row(run: Run) -> None:
    run.execute(
        TABLE,
        "insert into t select i from generate_series(1, 400) i",
        "create function slowly() returns trigger language plpgsql as"
        " $$ begin perform pg_sleep(0.002); return new; end $$",
        "create trigger slowly before update on t for each row execute function slowly()",
    )
    run.write("001__t", batch("update t set n = n + 1", 20))
    first = run.process("apply", "--yes")
    until(lambda: run.rows("select count(*) > 60 from t where n = 1") == [(True,)], "some pieces done")
    first.kill()
    half_way = run.rows(
        "select batch_after::int, rows_changed::int, (select count(*) from t where n = 1) from orderops_ledger.ledger"
    )
    run.execute("insert into t select i from generate_series(401, 430) i", "drop trigger slowly on t")

    info = run("info")
    done = run("apply", "--yes")

    ((after, changed, rows),) = half_way
    assert after == changed == rows
    assert ("partly applied" in info.out, "-> resume" in info.out) == (True, True)
    assert done.code == 0, done.err
    assert run.rows("select min(n), max(n), count(*) from t") == [(1, 1, 430)]
    assert run.rows("select max(rows_changed) from orderops_ledger.ledger") == [(430,)]


@pytest.fixture
def stopped(run: Run) -> Run:
    """Eight rows done, and a check that keeps the tenth out."""
    run.execute(
        "create table t (id int primary key, n int not null default 0, other int not null unique,"
        " constraint not_ten check (n < 1 or id <> 10))",
        "insert into t select i, 0, -i from generate_series(1, 20) i",
    )
    run.write("001__t", batch("update t set n = n + 1", 4), batch("update t set n = n - 1", 4))
    return run


STOPPED = (
    'error: V001__t.sql:2:1: new row for relation "t" violates check constraint "not_ten";'
    " 8 rows up to id 8 are changed and committed; it failed at a row after that, up to id 12\n"
    "       in: update t set n = n + 1\n"
    "       detail: Failing row contains (10, 1, -10).\n"
    " hint: fix that row; re-running this command continues from there\n"
)


def test_a_failing_row_stops_the_backfill_and_keeps_the_earlier_batches(stopped: Run) -> None:
    refused = stopped("apply", "--yes")

    assert (refused.code, refused.err.rpartition("applied in")[2][-len(STOPPED) :]) == (1, STOPPED)
    assert stopped.rows("select array_agg(id order by id) from t where n = 1") == [([1, 2, 3, 4, 5, 6, 7, 8],)]
    note = stopped("history", "--json").json[0]["note"]
    assert note.endswith("8 rows up to id 8 are changed and committed; it failed at a row after that, up to id 12")
    assert stopped("apply", "--yes").err.endswith(STOPPED)
    stopped.execute("delete from t where id = 10")
    assert stopped("apply", "--yes").code == 0
    assert stopped.rows("select min(n), max(n) from t") == [(1, 1)]


def test_a_failing_first_batch_changes_nothing_and_the_file_can_be_fixed(stopped: Run) -> None:
    file = stopped.write("001__t", batch("update t set n = n + 1", 15))
    refused = stopped("apply", "--yes")
    assert "; no row was changed; it failed at a row up to id 15\n" in refused.err
    assert f"hint: fix {file}, then re-run this command" in refused.err
    assert "pending" in stopped("info").out

    stopped.write("001__t", batch("update t set n = n + 1 where id <> 10", 15))

    assert stopped("apply", "--yes").code == 0
    assert stopped.rows("select sum(n) from t") == [(19,)]


EDITED = {
    "the statement": batch("update t set n = n + 1 where id <> 10", 4),
    "the column that it goes by": batch("update t set n = n + 1", 4, "other"),
}


@pytest.mark.parametrize("text", EDITED.values(), ids=EDITED)
def test_a_partial_backfill_is_not_resumed_with_an_edited_statement(stopped: Run, text: str) -> None:
    stopped("apply", "--yes")
    stopped.write("001__t", text)

    refused = stopped("apply", "--yes")

    assert refused.err.endswith(
        "error: V001__t.sql is partially applied: 8 rows up to id 8 are changed and committed;"
        " its statement or its batch column was edited since then\n"
        " hint: undo the edit and re-run this command to continue; or, if rows may be changed twice:"
        f" orderops migrate repair --version 1 --as pending --sql {stopped.folder}\n"
    )
    assert stopped.rows("select sum(n) from t") == [(8,)]


def test_a_partial_backfill_is_not_restarted_without_batches(stopped: Run) -> None:
    stopped("apply", "--yes")
    stopped.write("001__t", "update t set n = n + 1 where id <> 10;\n")

    refused = stopped("apply", "--yes")

    assert (
        "V001__t.sql is partially applied, and its statement 1, which is applied, was edited since then" in refused.err
    )
    assert stopped("apply", "--dry-run").err == refused.err
    assert stopped.rows("select sum(n) from t") == [(8,)]


def test_the_batch_size_can_change_between_runs(stopped: Run) -> None:
    stopped("apply", "--yes")
    stopped.execute("delete from t where id = 10")
    stopped.write("001__t", f"-- smaller\n{batch('update t set n = n + 1', 2)}")

    assert stopped("apply", "--yes").code == 0

    assert stopped.rows("select min(n), max(n) from t") == [(1, 1)]


# others


def test_a_locked_row_is_waited_for_and_the_error_names_its_holder(run: Run) -> None:
    run.execute(TABLE, "insert into t select i from generate_series(1, 9) i")
    run.write("001__t", batch("update t set n = n + 1"))
    with run.holder("update t set n = 0 where id = 5") as holder:
        refused = run("apply", "--yes", "--budget", "1s")
        assert run.rows("select count(*) from t where n = 1") == [(3,)]

    assert refused.code == 1
    first, held_by, done, hint, *_ = refused.err.splitlines()
    assert first == "error: V001__t.sql:2: no lock within 1 s"
    assert f"pid {holder.pid}, forgotten as postgres, idle in transaction" in held_by
    assert done.strip() == "3 rows up to id 3 are changed and committed"
    assert hint == " hint: re-run this command to continue; to wait longer: --budget 1h"
    assert run("apply", "--yes").code == 0
    assert run.rows("select min(n), max(n) from t") == [(1, 1)]


def test_a_backfill_pauses_while_many_sessions_wait_for_locks(run: Run) -> None:
    run.execute(TABLE, "insert into t select i from generate_series(1, 9) i", "create table busy (id int)")
    run.write("001__t", batch("update t set n = n + 1"))
    with queue(run, "busy", 11):
        applying = run.process("apply", "--yes")
        words = "V001__t.sql: pauses: 11 sessions wait for locks (limit 10)"
        until(lambda: words in applying.said, "it says that it pauses")
        assert run.rows("select max(n) from t") == [(0,)]

    assert applying.ended() == 0, applying.said
    assert run.rows("select min(n) from t") == [(1,)]


def test_an_exceeded_limit_is_described_with_its_value(run: Run) -> None:
    run.execute("create table busy (id int)")
    with psycopg.connect(run.dsn, autocommit=True) as eye, queue(run, "busy", 2):
        assert BatchLimits(waiting=1).exceeded(eye, []) == "2 sessions wait for locks (limit 1)"
        assert BatchLimits(waiting=2).exceeded(eye, []) == ""
        own = [int(str(pid)) for (pid,) in run.rows("select pid from pg_stat_activity where wait_event_type = 'Lock'")]
        assert BatchLimits(waiting=1).exceeded(eye, own[:1]) == ""


@contextmanager
def queue(run: Run, table: str, many: int) -> Iterator[None]:
    """So many sessions that wait for a table."""

    def wait(connection: psycopg.Connection) -> None:
        with suppress(psycopg.Error):
            connection.execute(f"lock table {table} in share mode".encode())

    with ExitStack() as open_ones:
        holder = open_ones.enter_context(psycopg.connect(run.dsn))
        holder.execute(f"lock table {table} in row exclusive mode".encode())
        sessions = [open_ones.enter_context(psycopg.connect(run.dsn)) for _ in range(many)]
        threads = [threading.Thread(target=wait, args=[session], daemon=True) for session in sessions]
        for thread in threads:
            thread.start()
        waiting = (
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )
        until(lambda: run.rows(waiting) == [(many,)], "all of them waiting")
        yield
        holder.rollback()
        for thread in threads:
            thread.join()


# pace


@dataclass(frozen=True)
class Step:
    """A piece that took so long, and the size of the next one."""

    seconds: float
    size: int


PACES = {
    "what is slow gets smaller, by half at most": (
        1000,
        [Step(10.0, 500), Step(10.0, 250), Step(0.06, 125)],
    ),
    "but never tiny": (100, [Step(10.0, 50), Step(10.0, 50)]),
    "and not larger than it was asked to be": (20, [Step(10.0, 20), Step(0.0, 20)]),
    "what is quick grows, up to what was asked for": (700, [Step(10.0, 350), Step(0.001, 700), Step(0.001, 700)]),
    "what is as quick as it should be stays": (1000, [Step(10.0, 500), Step(0.0225, 500)]),
}


@pytest.mark.parametrize(("most", "steps"), PACES.values(), ids=PACES)
def test_the_batch_size_follows_the_duration_of_a_batch(most: int, steps: list[Step]) -> None:
    pace = Pace(most, most)

    sizes = [(pace.after(step.seconds), pace.size)[1] for step in steps]

    assert sizes == [step.size for step in steps]


def test_a_backfill_starts_with_a_small_batch() -> None:
    assert [Pace.beginning(most).size for most in (5000, 20)] == [50, 20]


def test_the_pause_is_as_long_as_the_batch_up_to_a_limit() -> None:
    pace = Pace(100, 100)

    assert [pace.after(seconds) for seconds in (0.0, 0.03, 60.0)] == [0.0, 0.03, 0.06]


def test_progress_includes_the_rows_of_an_earlier_run() -> None:
    rate = Rate(total=1000, before=500, passed=250)

    assert rate.describe(750).startswith("75 % of about 1,000 rows, 750 changed, ")
    assert Rate(total=0).describe(0).startswith("0 changed, ")
