"""The sessions that hold a lock which a statement would wait for, also on relations that it does not name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from orderops.database.connection import login_from_dsn
from orderops.migrations.execution.lock_wait import LockMonitor
from orderops.migrations.sql.files import SqlFile
from orderops.migrations.sql.locks import locks_of
from orderops.migrations.sql.parser import Statement, read_script
from orderops.rehearsal.lock_sampler import LockSampler
from support.migrate_runs import until

pytest_plugins = ["support.postgres_fixtures"]

TABLES = """
create table customers (id int primary key);
create table orders (id int primary key, customer int constraint orders_customer references customers);
create index orders_by_customer on orders (customer);
create table items (id int references orders);
create table events (id int, at date) partition by range (at);
create table events_2026 partition of events for values from ('2026-01-01') to ('2027-01-01') partition by range (at);
create table events_2026_1 partition of events_2026 for values from ('2026-01-01') to ('2026-07-01');
insert into customers values (1)
"""
# From PostgreSQL's documentation of ALTER TABLE, DROP TABLE, DROP INDEX and LOCK: a foreign key has triggers on both
# tables, a lock on a partitioned table covers its partitions, and one on an index is also taken on its table.
BLOCKED = {
    "dropping a foreign key, by a transaction on the referenced table": (
        "alter table orders drop constraint orders_customer",
        "update customers set id = 1",
        "customers",
    ),
    "dropping a column with a foreign key": (
        "alter table orders drop column customer",
        "select from customers",
        "customers",
    ),
    "dropping a table that refers to another": ("drop table orders cascade", "select from customers", "customers"),
    "adding a foreign key": (
        "alter table items add foreign key (id) references customers",
        "update customers set id = 1",
        "customers",
    ),
    "creating a table with a foreign key": (
        "create table notes (id int references customers)",
        "update customers set id = 1",
        "customers",
    ),
    "a change of a partitioned table, by one on a partition": (
        "alter table events add column note text",
        "select from only events_2026",
        "events_2026",
    ),
    "a change of a partitioned table, by one on a partition's partition": (
        "alter table events add column note text",
        "select from events_2026_1",
        "events_2026_1",
    ),
    "dropping an index, by a transaction on its table": (
        "drop index orders_by_customer",
        "lock table orders in access share mode",
        "orders",
    ),
}


@pytest.fixture
def work(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(TABLES)
        yield connection


@pytest.mark.parametrize(("statement", "held", "relation"), BLOCKED.values(), ids=BLOCKED.keys())
def test_a_session_that_would_block_a_statement_is_found(
    database: str, work: psycopg.Connection, statement: str, held: str, relation: str
) -> None:
    monitor = LockMonitor(work, [work.info.backend_pid])
    locks = locks_of(parsed(statement))
    assert not monitor.blockers(locks)
    with psycopg.connect(database) as holder:
        holder.execute(held.encode())

        found = monitor.blockers(locks)

        assert {(blocker.pid, blocker.relation) for blocker in found} == {(holder.info.backend_pid, relation)}
        # The server agrees: the statement waits for this session.
        with pytest.raises(psycopg.errors.LockNotAvailable), work.transaction(force_rollback=True):
            work.execute("set local lock_timeout = '20ms'")
            work.execute(statement.encode())


def test_a_session_that_holds_another_table_blocks_no_statement(database: str, work: psycopg.Connection) -> None:
    monitor = LockMonitor(work, [work.info.backend_pid])
    with psycopg.connect(database) as holder:
        holder.execute("update customers set id = 1")

        assert not monitor.blockers(locks_of(parsed("alter table orders add column note text")))


def test_a_prepared_transaction_that_holds_a_lock_is_found(database: str, work: psycopg.Connection) -> None:
    monitor = LockMonitor(work, [work.info.backend_pid])
    locks = locks_of(parsed("alter table customers add column note text"))
    with psycopg.connect(database, autocommit=True) as holder:
        holder.execute("begin")
        holder.execute("update customers set id = 1")
        holder.execute("prepare transaction 'forgotten'")
    try:
        [found] = monitor.blockers(locks)
        assert (found.pid, found.relation) == (0, "customers")
        assert found.describe.startswith("a prepared transaction")
        # No session of the database has an old transaction, and this one has no session.
        until(lambda: bool(monitor.blockers(locks, older=0.001)), "a look for old transactions finds it")
    finally:
        work.execute("rollback prepared 'forgotten'")


def test_a_rehearsal_samples_the_locks_on_tables_that_no_statement_names(
    database: str, work: psycopg.Connection
) -> None:
    names = {str(name): int(oid) for oid, name in work.execute("select oid::int8, relname from pg_class").fetchall()}
    with (
        LockSampler(login_from_dsn(database), work.info.backend_pid, []) as sampler,
        work.transaction(force_rollback=True),
    ):
        work.execute("alter table orders drop constraint orders_customer")
        work.execute("alter table events add column note text")
        expected = {(names[name], "AccessExclusiveLock") for name in ("orders", "customers", "events", "events_2026_1")}

        until(lambda: expected <= set(sampler.held), "the locks are sampled")


def parsed(statement: str) -> Statement:
    [read] = read_script(SqlFile(Path("V001__a.sql"), f"{statement};\n"))
    return read
