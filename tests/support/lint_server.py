"""What a server does with a statement: the locks it takes, the tables it reads and those it writes anew."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from orderops.migrations.sql.files import SqlFile
from orderops.migrations.sql.parser import Statement, read_script
from support.migrate_runs import until

READS_WAIT = {"AccessExclusiveLock"}
WRITES_WAIT = {"AccessExclusiveLock", "ExclusiveLock", "ShareRowExclusiveLock", "ShareLock"}
IN_NO_TRANSACTION = "25001"
"""PostgreSQL's code for a statement that refuses to run in a transaction."""


@dataclass
class Effect:
    """What one statement did, in the transaction that it ran in."""

    locks: dict[str, set[str]] = field(default_factory=dict)
    """The modes held on each relation after it, those of earlier statements of the transaction too."""
    read: set[str] = field(default_factory=set)
    """Tables of which it read every row."""
    rewritten: set[str] = field(default_factory=set)
    """Tables, indexes and materialized views that have another file than before it."""

    @property
    def stalls(self) -> set[str]:
        """Relations that are locked against clients while a table is read, or something is written anew."""
        blocked = {name for name, modes in self.locks.items() if modes & WRITES_WAIT}
        return blocked if self.read or self.rewritten else set()


FILES = """
select c.oid::regclass::text, c.relfilenode from pg_class c
where c.relkind in ('r', 'i', 'm') and c.relnamespace in (select oid from pg_namespace where nspname !~ '^(pg_|info)')
"""
# Counted while the transaction runs; the collected statistics come later.
READ = "select relid::regclass::text, seq_scan from pg_stat_xact_user_tables"
# No client writes a materialized view: only what stops its reads counts.
HELD = """
select c.oid::regclass::text, l.mode from pg_locks l join pg_class c on c.oid = l.relation
where l.pid = %s and l.locktype = 'relation' and c.relkind in ('r', 'i', 'm', 'p')
and (c.relkind <> 'm' or l.mode = 'AccessExclusiveLock')
and c.relnamespace in (select oid from pg_namespace where nspname !~ '^(pg_|info)')
"""


class Watched:
    """A session of which every statement is watched."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def run(self, statement: str) -> Effect:
        """Run a statement in the open transaction."""
        files, reads = self._state()
        self._connection.execute(statement.encode())
        files_after, reads_after = self._state()
        effect = Effect()
        for name, mode in self._connection.execute(HELD, [self._connection.info.backend_pid]):
            # What the transaction itself created, no other session can wait for.
            if name in files or name not in files_after:
                effect.locks.setdefault(name, set()).add(mode)
        effect.read = {name for name, scans in reads_after.items() if scans > reads.get(name, 0)}
        effect.rewritten = {name for name, file in files.items() if files_after.get(name, file) != file}
        return effect

    def _state(self) -> tuple[dict[str, int], dict[str, int]]:
        files: dict[str, int] = dict(self._connection.execute(FILES).fetchall())
        reads: dict[str, int] = dict(self._connection.execute(READ).fetchall())
        return files, reads


def statements_of(text: str) -> list[Statement]:
    """The statements of a file."""
    return read_script(SqlFile(Path("V002__case.sql"), text))


@contextmanager
def held_open(dsn: str, tables: Sequence[str]) -> Iterator[psycopg.Connection]:
    """A client whose transaction has written these tables and is not over."""
    with psycopg.connect(dsn) as client:
        for table in tables:
            client.execute(f"lock table {table} in row exclusive mode".encode())
        try:
            yield client
        finally:
            client.rollback()


def locks_while_waiting(dsn: str, statement: str) -> dict[str, set[str]]:
    """Run a statement outside of a transaction while a client writes; the locks that it has and wants meanwhile."""
    with psycopg.connect(dsn, autocommit=True) as connection, psycopg.connect(dsn, autocommit=True) as observer:
        pid = connection.info.backend_pid
        tables = [
            name
            for (name,) in observer.execute(FILES.replace("'r', 'i', 'm'", "'r', 'p'").replace(", c.relfilenode", ""))
        ]
        failed: list[BaseException] = []

        def run() -> None:
            try:
                connection.execute(statement.encode())
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=run)
        with held_open(dsn, tables):
            thread.start()
            until(lambda: not thread.is_alive() or _waits(observer, pid), "the statement waits for the client, or ends")
            locks: dict[str, set[str]] = {}
            for name, mode in observer.execute(HELD, [pid]):
                locks.setdefault(name, set()).add(mode)
        thread.join()
    if failed:
        raise failed[0]
    return locks


def _waits(observer: psycopg.Connection, pid: int) -> bool:
    found = observer.execute("select wait_event_type = 'Lock' from pg_stat_activity where pid = %s", [pid]).fetchone()
    return bool(found and found[0])
