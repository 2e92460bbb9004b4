"""Small folders of migrations, and the command line on a database of a test's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from support.command_line import Orderops, Said
from support.killable_process import Victim


@dataclass(frozen=True)
class Run:
    """A database, a folder of migrations, and the commands on both."""

    dsn: str
    folder: Path
    orderops: Orderops

    def write(self, name: str, forwards: str, back: str = "select 1;\n") -> Path:
        """One pair of files; answers the one that goes forwards."""
        self.folder.mkdir(exist_ok=True)
        file = self.folder / f"V{name}.sql"
        file.write_text(forwards)
        (self.folder / f"U{name}.sql").write_text(back)
        return file

    def __call__(self, verb: str, *words: str) -> Said:
        """A command of `migrate` in this process."""
        where = () if verb in ("history",) else ("--sql", str(self.folder))
        return self.orderops("migrate", verb, *where, *words)

    def process(self, verb: str, *words: str) -> Victim:
        """The same in a process of its own."""
        return Victim("migrate", verb, "--sql", str(self.folder), *words, ORDEROPS_DSN=self.dsn)

    def execute(self, *statements: str) -> None:
        """SQL on the database, each statement by itself."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """What the database answers."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return list(connection.execute(query.encode()).fetchall())

    @contextmanager
    def holder(self, statement: str) -> Iterator[Holder]:
        """A session that did something in a transaction and leaves it open."""
        with psycopg.connect(self.dsn, application_name="forgotten") as connection:
            connection.execute(statement.encode())
            yield Holder(connection, connection.info.backend_pid)
            connection.rollback()


@dataclass(frozen=True)
class Holder:
    """A session in the way."""

    connection: psycopg.Connection
    pid: int

    def ends(self) -> None:
        """Its transaction is over."""
        self.connection.commit()


def until(happens: Callable[[], bool], what: str, within: float = 30) -> None:
    """Wait for something, and fail where it does not come."""
    deadline = time.monotonic() + within
    while not happens():
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        time.sleep(0.02)
