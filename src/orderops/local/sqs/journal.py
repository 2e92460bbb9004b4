"""Messages on disk: SQLite with a write-ahead log, so that a call writes what it changes and nothing else.

A commit is in the log when the call is answered, so `kill -9` loses nothing. The log is synced at its checkpoints only:
a power cut may lose the last commits and never damages the file, as the emulator's state file promises no more.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from orderops.errors import OrderopsError
from orderops.local.sqs.index import Entry

# Increased when the tables change incompatibly.
FORMAT = 1
# Entry and content are two tables: each receive changes an entry, and SQLite writes a changed row as a whole.
TABLES = """
CREATE TABLE queues (key TEXT PRIMARY KEY, id INTEGER NOT NULL UNIQUE, definition TEXT NOT NULL);
CREATE TABLE entries (
    number INTEGER PRIMARY KEY, sent INTEGER, arrived INTEGER, visible_at INTEGER, receives INTEGER,
    first_received INTEGER, last_received INTEGER, receipt TEXT, source TEXT, queue INTEGER NOT NULL
);
CREATE INDEX entries_of_queue ON entries (queue, arrived, number);
CREATE TABLE contents (number INTEGER PRIMARY KEY, id TEXT NOT NULL, properties TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE moves (handle TEXT PRIMARY KEY, document TEXT NOT NULL);
"""
NAMES = ("queues", "entries", "contents", "moves")
ENTRY = "number, sent, arrived, visible_at, receives, first_received, last_received, receipt, source"
_row = attrgetter(*ENTRY.split(", "))
Rows = dict[str, list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Content:
    """What a message says: its id, its attributes as JSON, and its body."""

    id: str
    properties: str
    body: str


class Journal:
    """Entries and contents of all queues. Not safe for threads: its owner locks."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        try:
            self._connection = _opened(path)
            self.last_number: int = self._one("SELECT coalesce(max(number), 0) FROM contents")
            self._read_queues()
        except sqlite3.Error as error:
            raise OrderopsError(
                f"the messages of the local environment cannot be read: {error}",
                f"free some space, or keep a copy of {path}* and delete everything: orderops local reset",
            ) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all changes of a `with` block or none."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            # A full disk has rolled it back already.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def keep_queue(self, key: str, definition: str) -> None:
        """Store a queue's definition: it exists from its creation on, and the state file is written later."""
        # A start opens every queue, and must need no space on the disk.
        if self._definitions.get(key) == definition:
            return
        number = self._ids.get(key) or max(self._ids.values(), default=0) + 1
        with self.transaction():
            self._connection.execute("INSERT OR REPLACE INTO queues VALUES (?, ?, ?)", (key, number, definition))
        self._ids[key], self._definitions[key] = number, definition

    def definitions(self) -> dict[str, str]:
        """Return the definitions of all queues by key, in the order of their creation."""
        return {key: self._definitions[key] for key in sorted(self._ids, key=self._ids.__getitem__)}

    def forget_queue(self, key: str) -> None:
        """Delete a queue and its messages."""
        if key not in self._ids:
            return
        with self.transaction():
            self._empty(key)
            self._connection.execute("DELETE FROM queues WHERE key = ?", (key,))
        del self._ids[key], self._definitions[key]

    def empty(self, key: str) -> None:
        """Delete all messages of a queue."""
        with self.transaction():
            self._empty(key)

    def entries(self, key: str) -> list[Entry]:
        """Return the messages of a queue by arrival."""
        rows = self._connection.execute(
            f"SELECT {ENTRY} FROM entries WHERE queue = ? ORDER BY arrived, number", (self._ids[key],)
        )
        return [Entry(*row) for row in rows]

    def contents(self, numbers: Sequence[int]) -> list[Content]:
        """Return the contents of a few messages in this order."""
        return [
            Content(
                *self._connection.execute(
                    "SELECT id, properties, body FROM contents WHERE number = ?", (number,)
                ).fetchone()
            )
            for number in numbers
        ]

    def insert(self, key: str, messages: Iterable[tuple[Entry, Content]]) -> None:
        """Add messages within a transaction."""
        for entry, content in messages:
            self._connection.execute(
                "INSERT INTO contents VALUES (?, ?, ?, ?)", (entry.number, content.id, content.properties, content.body)
            )
            self.put(key, entry)

    def put(self, key: str, entry: Entry) -> None:
        """Write an entry, new or changed, within a transaction."""
        self._connection.execute(
            f"INSERT OR REPLACE INTO entries ({ENTRY}, queue) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*_row(entry), self._ids[key]),
        )

    def rename(self, number: int, message_id: str) -> None:
        """Give a message another id within a transaction."""
        self._connection.execute("UPDATE contents SET id = ? WHERE number = ?", (message_id, number))

    def delete(self, numbers: Iterable[int]) -> None:
        """Delete messages within a transaction."""
        rows = [(number,) for number in numbers]
        self._connection.executemany("DELETE FROM entries WHERE number = ?", rows)
        self._connection.executemany("DELETE FROM contents WHERE number = ?", rows)

    def moves(self) -> list[str]:
        """Return the documents of all move tasks, the oldest first."""
        return [row[0] for row in self._connection.execute("SELECT document FROM moves ORDER BY rowid")]

    def keep_move(self, handle: str, document: str) -> None:
        """Write the document of a move task within a transaction."""
        statement = "INSERT INTO moves VALUES (?, ?) ON CONFLICT (handle) DO UPDATE SET document = excluded.document"
        self._connection.execute(statement, (handle, document))

    def rows(self) -> Rows:
        """Return everything, for `replace`."""
        return {name: self._connection.execute(f"SELECT * FROM {name}").fetchall() for name in NAMES}

    def replace(self, rows: Rows) -> None:
        """Replace everything by rows that were returned before."""
        with self.transaction():
            for name in NAMES:
                self._connection.execute(f"DELETE FROM {name}")
                for row in rows.get(name, ()):
                    marks = ", ".join("?" for _ in row)
                    self._connection.execute(f"INSERT INTO {name} VALUES ({marks})", row)
        self._read_queues()

    def close(self) -> None:
        """Write the log into the file and close it."""
        self._connection.close()

    def _read_queues(self) -> None:
        self._ids: dict[str, int] = dict(self._connection.execute("SELECT key, id FROM queues"))
        self._definitions: dict[str, str] = dict(self._connection.execute("SELECT key, definition FROM queues"))

    def _empty(self, key: str) -> None:
        queue = (self._ids[key],)
        self._connection.execute(
            "DELETE FROM contents WHERE number IN (SELECT number FROM entries WHERE queue = ?)", queue
        )
        self._connection.execute("DELETE FROM entries WHERE queue = ?", queue)

    def _one(self, query: str) -> Any:
        return self._connection.execute(query).fetchone()[0]


def _opened(path: Path | None) -> sqlite3.Connection:
    if path:
        # Orders are in it. Its log and shared memory get the mode of the file.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    written = connection.execute("PRAGMA user_version").fetchone()[0]
    if written == 0:
        connection.executescript(f"BEGIN; {TABLES} PRAGMA user_version = {FORMAT}; COMMIT;")
    elif written != FORMAT:
        connection.close()
        raise sqlite3.DatabaseError(f"{path} has format {written}, and this version of orderops reads {FORMAT}")
    return connection
