"""The lock wait under live traffic: no client waits, and blocking sessions are named."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from support.migrate_runs import Run, until

pytest_plugins = ["support.postgres_fixtures", "support.migrate_fixtures"]
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


def test_no_lock_is_requested_while_a_transaction_holds_the_table(run: Run) -> None:
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
    assert run.rows("select lock_tries, lock_waited > '0' from orderops_ledger.ledger") == [(0, True)]


def test_a_spent_budget_is_an_error_that_names_the_blocking_session(run: Run) -> None:
    run.write("001__add_note", ADD, DROP)
    with run.holder("update orders set total = 7 where id = 41 and total = 41") as holder:
        refused = run("apply", "--yes", "--budget", "1s")

    assert refused.code == 1
    assert "error: V001__add_note.sql:1: no lock within 1 s" in refused.err
    assert f"pid {holder.pid}, forgotten as postgres, idle in transaction" in refused.err
    assert "update orders set total = $1 where id = $2 and total = $3" in refused.err
    assert "41" not in refused.err.replace(str(holder.pid), "").replace("V001", "")
    assert "hint: re-run this command to continue; to wait longer: --budget 1h" in refused.err
    assert run.rows("select state, note is null from orderops_ledger.ledger") == [("failed", False)]
    assert run("apply", "--yes").code == 0


def test_a_blocked_later_statement_releases_all_locks_of_the_file(run: Run) -> None:
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


def test_blocking_sessions_are_terminated_with_the_option(run: Run) -> None:
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
    assert f"terminating pid {pid}, forgotten as clerk" in done.err


def test_the_session_of_a_superuser_is_never_terminated(run: Run) -> None:
    run.write("001__add_note", ADD, DROP)
    with run.holder("select * from orders") as holder:
        refused = run("apply", "--yes", "--terminate-blockers", "--budget", "1s")
        holder.connection.execute("select 1")

    assert refused.code == 1
    assert "--terminate-blockers" not in refused.err


def test_no_session_is_terminated_without_a_terminal_or_yes(run: Run) -> None:
    run.write("001__add_note", ADD, DROP)

    refused = run("apply", "--terminate-blockers")

    assert refused.code == 2
    assert "pass --yes" in refused.err


def test_a_concurrent_index_waits_for_a_writer_beyond_the_timeouts(run: Run) -> None:
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


def test_an_invalid_index_is_dropped_and_built_again(run: Run) -> None:
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
    assert "index orders_by_total is invalid after an interruption: dropped and built again" in done.err
    assert run.rows("select indisvalid from pg_index where indexrelid = 'orders_by_total'::regclass") == [(True,)]


def test_a_failed_index_keeps_the_earlier_statements_and_the_error_names_them(run: Run) -> None:
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


def test_a_second_run_reports_the_operator_of_the_first(run: Run) -> None:
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
    assert "0 applied in" in second.said and "another operator has applied them" in second.said
    assert run.rows("select count(*) from orderops_ledger.ledger") == [(1,)]
    assert run.rows("select indisvalid from pg_index where indexrelid = 'orders_by_total'::regclass") == [(True,)]


def test_a_run_waits_for_the_last_statement_of_a_killed_run(run: Run) -> None:
    run.write("001__sleep", "-- orderops: no-transaction\nselect pg_sleep(60);\nalter table orders add column a int;\n")
    first = run.process("apply", "--yes")
    sleeping = "select count(*) from pg_stat_activity where query like 'select pg_sleep(60)%' and state = 'active'"
    until(lambda: run.rows(sleeping)[0][0] == 1, "the statement at work")
    first.kill()
    run.write("001__sleep", "-- orderops: no-transaction\nalter table orders add column a int;\n")

    done = run("apply", "--yes")

    assert done.code == 0, done.err
    assert run.rows(sleeping) == [(0,)]


def test_a_non_transactional_statement_also_waits_for_blockers(run: Run) -> None:
    run.write("001__full", "-- orderops: no-transaction\nvacuum full orders;\n")
    with run.holder("select * from orders"):
        refused = run("apply", "--yes", "--budget", "1s")
        asked = run.rows(WAITS_FOR_A_LOCK)[0][0]

    assert refused.code == 1 and asked == 0
    assert "V001__full.sql:2: no lock within 1 s" in refused.err
    assert run("apply", "--yes").code == 0


def test_a_writer_that_blocks_an_index_is_terminated_with_the_option(run: Run) -> None:
    run.write("001__index", "-- orderops: no-transaction\ncreate index concurrently o on orders (total);\n")
    run.execute("drop role if exists writer", "create role writer login password 'x'", "grant all on orders to writer")
    as_writer = psycopg.conninfo.make_conninfo(run.dsn, user="writer", password="x")
    with psycopg.connect(as_writer, application_name="forgotten") as holder:
        holder.execute("update orders set total = 0 where id = 1")
        done = run("apply", "--yes", "--terminate-blockers")
        with pytest.raises(psycopg.OperationalError):
            holder.execute("select 1")
    run.execute("revoke all on orders from writer", "drop role writer")

    assert done.code == 0, done.err
    assert "forgotten as writer" in done.err


def test_autovacuum_is_cancelled_and_restarts_by_itself(run: Run) -> None:
    run.execute(
        "alter table orders set (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1,"
        " autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0, fillfactor = 10)",
        "insert into orders select i, i from generate_series(1001, 20000) i",
        "update orders set total = 0",
        "alter system set autovacuum_naptime = '1s'",
        "select pg_reload_conf()",
    )
    run.write("001__add_note", ADD, DROP)
    try:
        vacuums = "select count(*) from pg_stat_progress_vacuum where relid = 'orders'::regclass"
        until(lambda: run.rows(vacuums)[0][0] == 1, "autovacuum at work", within=60)
        done = run("apply", "--yes", "--budget", "20s")
    finally:
        run.execute("alter system reset autovacuum_naptime", "select pg_reload_conf()")

    assert done.code == 0, done.err
    assert "cancelled pid" in done.err and "it restarts by itself" in done.err


@pytest.mark.parametrize(
    "dsn",
    [
        "host=h password = 'x'",
        "postgresql://u:x@h/d",
        "host=h pass\\word=x password=x",
        "postgresql://u@h/d?pass%77ord=x",
    ],
)
def test_a_password_on_the_command_line_is_an_error(run: Run, dsn: str) -> None:
    refused = run("history", "--dsn", dsn)

    assert refused.code == 2
    assert "--dsn holds a password" in refused.err or "is not a PostgreSQL connection string" in refused.err
    assert "x@" not in refused.err and "'x'" not in refused.err


def test_an_empty_dsn_is_an_error_instead_of_the_environments_database(run: Run) -> None:
    refused = run("history", "--dsn", "")

    assert (refused.code, refused.err.splitlines()[0]) == (2, "error: --dsn is empty")


def test_session_settings_are_an_error_in_a_file_without_a_transaction(run: Run) -> None:
    for number, forwards in enumerate(("set search_path to app;", "create temp table t (a int);"), 1):
        run.write(f"00{number}__x", f"-- orderops: no-transaction\n{forwards}\nselect 1;\n")

        refused = run("apply", "--yes", "--to", str(number))

        assert refused.code == 2
        assert "session settings are lost after their statement" in refused.err
        run.write(f"00{number}__x", "select 1;\n")


def test_a_role_without_inherit_owns_the_tables_of_its_files(run: Run) -> None:
    run.execute(
        "drop role if exists keeper", "create role keeper", "grant all on schema public to keeper",
        "alter table orders owner to keeper",
        "drop role if exists deployer", "create role deployer login noinherit password 'x' in role keeper",
        "create schema orderops_ledger authorization deployer",
    )  # fmt: skip
    run.execute("update orders set total = 1")
    head = "-- orderops: owner keeper\n"
    run.write(
        "001__index", f"{head}-- orderops: no-transaction\ncreate unique index concurrently o on orders (total);\n"
    )
    run.write("002__count", f"{head}-- orderops: batch 100 by id\nupdate orders set total = total + 9000;\n")
    as_deployer = psycopg.conninfo.make_conninfo(run.dsn, user="deployer", password="x")
    deployer = replace(run, dsn=as_deployer)

    failed = deployer.process("apply", "--yes")
    assert failed.ended() == 1, failed.said
    run.execute("update orders set total = id")
    done = deployer.process("apply", "--yes")

    assert done.ended() == 0, done.said
    assert run.rows("select sum(total - id) from orders") == [(9_000_000,)]
    assert run.rows("select relowner::regrole::text from pg_class where relname = 'o'") == [("keeper",)]
    run.execute(
        "reassign owned by keeper, deployer to current_user",
        "drop owned by keeper, deployer",
        "drop role keeper, deployer",
    )


def test_the_date_style_of_the_database_does_not_matter(run: Run) -> None:
    name = psycopg.conninfo.conninfo_to_dict(run.dsn)["dbname"]
    run.execute(f"alter database {name} set datestyle = 'SQL, DMY'")
    run.execute(f"alter database {name} set intervalstyle = 'iso_8601'")
    run.write("001__add_day", "alter table orders add column day date default '31/12/2026';\n")
    try:
        done = [run(verb, *words) for verb, words in (("apply", ["--yes"]), ("info", []), ("history", []))]
    finally:
        run.execute(f"alter database {name} reset all")

    assert [each.code for each in done] == [0, 0, 0], done
    assert run.rows("select distinct day::text from orders") == [("2026-12-31",)]
