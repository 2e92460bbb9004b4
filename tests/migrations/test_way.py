"""Under live traffic: looks before it asks, names who is in the way, and makes nobody wait."""

from __future__ import annotations

import psycopg
import pytest

from runs import Run, until

pytest_plugins = ["postgres_fixtures", "run_fixtures"]
WAITS_FOR_A_LOCK = """
select count(*) from pg_locks l join pg_stat_activity a using (pid)
where a.application_name = 'orderops migrate' and not l.granted and l.database =
    (select oid from pg_database where datname = current_database())
"""
ADD = "alter table orders add column note text;\n"
DROP = "alter table orders drop column note;\n"


@pytest.fixture
def run(run: Run) -> Run:
    """A table of orders, with rows."""
    run.execute("create table orders (id bigint primary key, total int)")
    run.execute("insert into orders select i, i from generate_series(1, 1000) i")
    return run


def test_asks_for_no_lock_while_a_transaction_holds_the_table_and_goes_on_when_it_ends(run: Run) -> None:
    run.write("001__add_note", ADD, DROP)
    with run.holder("select * from orders limit 1") as holder:
        applying = run.process("apply", "--yes")
        assert applying.says("waits for pid")
        asked = [run.rows(WAITS_FOR_A_LOCK)[0][0] for _ in range(50)]
        holder.ends()
        assert applying.ended() == 0, applying.said

    assert asked == [0] * 50
    assert f"pid {holder.pid}, forgotten as postgres, idle in transaction for" in applying.said
    assert "holds AccessShareLock on orders; last statement: select * from orders limit $1" in applying.said
    assert run.rows("select lock_tries, lock_waited > '0' from orderops.ledger") == [(0, True)]


def test_ends_when_the_budget_is_spent_and_says_who_is_in_the_way(run: Run) -> None:
    run.write("001__add_note", ADD, DROP)
    with run.holder("update orders set total = 7 where id = 41 and total = 41") as holder:
        refused = run("apply", "--yes", "--budget", "1s")

    assert refused.code == 1
    assert "error: V001__add_note.sql:1: no lock within 1 s" in refused.err
    assert f"pid {holder.pid}, forgotten as postgres, idle in transaction" in refused.err
    assert "update orders set total = $1 where id = $2 and total = $3" in refused.err
    assert "41" not in refused.err.replace(str(holder.pid), "").replace("V001", "")
    assert "hint: the same command goes on; a longer wait: --budget 1h" in refused.err
    assert run.rows("select state, note is null from orderops.ledger") == [("failed", False)]
    assert run("apply", "--yes").code == 0


def test_a_lock_that_comes_in_the_way_of_a_later_statement_makes_it_let_go_of_all(run: Run) -> None:
    run.execute("create table items (id int)")
    run.write(
        "001__both", "alter table orders add column a int;\nselect pg_sleep(1);\nalter table items add column b int;\n"
    )
    applying = run.process("apply", "--yes")
    has_orders = "select count(*) from pg_locks l where relation = 'orders'::regclass and mode = 'AccessExclusiveLock'"
    until(lambda: run.rows(has_orders)[0][0] == 1, "the first lock held")
    with run.holder("select * from items") as holder:
        assert applying.says("on items")
        assert run.rows(has_orders) == [(0,)]
        holder.ends()
        assert applying.ended() == 0, applying.said


def test_sessions_in_the_way_are_ended_when_that_was_said(run: Run) -> None:
    run.execute("drop role if exists clerk", "create role clerk login password 'x'", "grant all on orders to clerk")
    run.write("001__add_note", ADD, DROP)
    as_clerk = psycopg.conninfo.make_conninfo(run.dsn, user="clerk", password="x")
    with psycopg.connect(as_clerk, application_name="forgotten") as holder:
        holder.execute("select * from orders")
        pid = holder.info.backend_pid
        done = run("apply", "--yes", "--terminate-blockers")
        with pytest.raises(psycopg.OperationalError):
            holder.execute("select 1")
    run.execute("revoke all on orders from clerk", "drop role clerk")

    assert done.code == 0, done.err
    assert f"ends pid {pid}, forgotten as clerk" in done.err


def test_a_superusers_session_is_never_ended(run: Run) -> None:
    run.write("001__add_note", ADD, DROP)
    with run.holder("select * from orders") as holder:
        refused = run("apply", "--yes", "--terminate-blockers", "--budget", "1s")
        holder.connection.execute("select 1")

    assert refused.code == 1
    assert "--terminate-blockers" not in refused.err


def test_nobody_is_ended_where_nobody_can_be_asked(run: Run) -> None:
    run.write("001__add_note", ADD, DROP)

    refused = run("apply", "--terminate-blockers")

    assert refused.code == 2
    assert "say it beforehand: --yes" in refused.err


def test_an_index_is_built_beside_a_writer_however_long_that_takes(run: Run) -> None:
    run.write(
        "001__index", "-- orderops: no-transaction\ncreate index concurrently orders_by_total on orders (total);\n"
    )
    with run.holder("update orders set total = 0 where id = 1") as holder:
        applying = run.process("apply", "--yes")
        assert applying.says(f"waits for pid {holder.pid}")
        run.execute("update orders set total = 5 where id = 2")
        holder.ends()
        assert applying.ended() == 0, applying.said

    assert "waiting for writers before build" in applying.said
    assert run.rows("select indisvalid from pg_index where indexrelid = 'orders_by_total'::regclass") == [(True,)]


def test_an_index_left_half_built_is_dropped_and_built_again(run: Run) -> None:
    run.execute("update orders set total = 1")
    with pytest.raises(psycopg.errors.UniqueViolation):
        run.execute("create unique index concurrently orders_by_total on orders (total)")
    run.execute("update orders set total = id")
    run.write(
        "001__index",
        "-- orderops: no-transaction\ncreate unique index concurrently orders_by_total on orders (total);\n",
    )

    done = run("apply", "--yes")

    assert done.code == 0, done.err
    assert "index orders_by_total was left half built: dropped, and built again" in done.err
    assert run.rows("select indisvalid from pg_index where indexrelid = 'orders_by_total'::regclass") == [(True,)]


def test_an_index_that_cannot_be_built_leaves_the_statements_before_it_and_says_so(run: Run) -> None:
    run.execute("update orders set total = 1 where id < 3")
    file = run.write(
        "001__index",
        "-- orderops: no-transaction\nalter table orders add column a int;\n"
        "create unique index concurrently orders_by_total on orders (total);\n",
    )
    refused = run("apply", "--yes")
    assert refused.code == 1
    assert 'V001__index.sql:3:1: could not create unique index "orders_by_total"; ' in refused.err
    assert "statement 1 is applied and stay" in refused.err
    assert "detail: Key (total)=(1) is duplicated." in refused.err
    assert "V001  index" in run("info").out and "partly applied" in run("info").out

    run.execute("update orders set total = id")
    file.write_text(file.read_text().replace("on orders (total)", "on orders (total) where total > 0"))

    assert run("apply", "--yes").code == 0
    assert run("info").out.split()[:3] == ["V001", "index", "applied"]


def test_two_at_once_one_works_and_the_other_says_who(run: Run) -> None:
    run.write(
        "001__index", "-- orderops: no-transaction\ncreate index concurrently orders_by_total on orders (total);\n"
    )
    with run.holder("update orders set total = 0 where id = 1") as writer:
        first = run.process("apply", "--yes")
        assert first.says("waits for pid")
        leaves = run("apply", "--yes", "--wait", "0")
        second = run.process("apply", "--yes")
        assert second.says("this database is being migrated by")
        writer.ends()
        assert first.ended() == 0, first.said
        assert second.ended() == 0, second.said

    assert leaves.code == 1
    assert "error: this database is being migrated by " in leaves.err
    assert " since " in leaves.err and "; nothing was done" in leaves.err
    assert "0 applied in" in second.said and "somebody else did it meanwhile" in second.said
    assert run.rows("select count(*) from orderops.ledger") == [(1,)]
    assert run.rows("select indisvalid from pg_index where indexrelid = 'orders_by_total'::regclass") == [(True,)]


def test_a_statement_of_a_run_that_was_killed_ends_before_the_next_begins(run: Run) -> None:
    run.write("001__sleep", "-- orderops: no-transaction\nselect pg_sleep(60);\nalter table orders add column a int;\n")
    first = run.process("apply", "--yes")
    sleeping = "select count(*) from pg_stat_activity where query like 'select pg_sleep(60)%' and state = 'active'"
    until(lambda: run.rows(sleeping)[0][0] == 1, "the statement at work")
    first.kill()
    run.write("001__sleep", "-- orderops: no-transaction\nalter table orders add column a int;\n")

    done = run("apply", "--yes")

    assert done.code == 0, done.err
    assert run.rows(sleeping) == [(0,)]
