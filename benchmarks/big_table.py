"""A server as small as a small RDS and as durable, with one big table on it, and what brings it back to its start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from orderops.local.rds.postgres import PostgresServer
from orderops.local.users import scratch
from traffic import TABLE

DURABLE = {
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_completion_target": "0.9",
    "max_connections": "100",
}
"""Beside what the server does by itself: fsync, full pages and a synchronous commit."""
CUSTOMERS = 1000
BUILD = f"""
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO customers SELECT id, 'customer ' || id FROM generate_series(0, {CUSTOMERS - 1}) AS id;
CREATE TABLE {TABLE} (id bigint PRIMARY KEY, customer int, n int NOT NULL, hits int NOT NULL);
INSERT INTO {TABLE} SELECT id, id % {CUSTOMERS}, id % 1000, 0 FROM generate_series(1, {{rows}}) AS id;
"""
KEPT = {TABLE, "customers"}


@dataclass(frozen=True)
class BigTable:
    """The database with the big table in it."""

    server: PostgresServer
    dsn: str
    rows: int

    def is_true(self, question: str) -> bool:
        """What a query that gives one boolean says."""
        with psycopg.connect(self.dsn) as session:
            row = session.execute(question).fetchone()
        return row is not None and row[0] is True

    def reset(self, undo: str) -> None:
        """Undo a migration's change, forget every ledger, and let no checkpoint of the past disturb what follows."""
        with psycopg.connect(self.dsn, autocommit=True) as session:
            for statement in undo.split(";"):
                session.execute(statement)
            _forget_ledgers(session)
            session.execute("CHECKPOINT")


@contextmanager
def durable_server() -> Iterator[PostgresServer]:
    """A server of its own that loses nothing in a power cut, gone afterwards."""
    with scratch("orderops-benchmark-") as folder:
        server = PostgresServer(folder / "server", settings=DURABLE)
        server.start()
        try:
            yield server
        finally:
            server.kill()


@contextmanager
def big_table(rows: int) -> Iterator[BigTable]:
    """A durable server with the table built, analysed and written to disk."""
    with durable_server() as server:
        dsn = server.create_database("bench")
        with psycopg.connect(dsn, autocommit=True) as session:
            session.execute(BUILD.format(rows=rows))
            session.execute(f"VACUUM (ANALYZE) {TABLE}")
            session.execute("CHECKPOINT")
        yield BigTable(server, dsn, rows)


def _forget_ledgers(session: psycopg.Connection) -> None:
    """Drop what any migration tool keeps: every schema and every table that is not ours."""
    schemas = session.execute(
        "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('public', 'information_schema')"
    ).fetchall()
    for (schema,) in schemas:
        session.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
    tables = session.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    for (table,) in tables:
        if table not in KEPT:
            session.execute(sql.SQL("DROP TABLE {} CASCADE").format(sql.Identifier(table)))
