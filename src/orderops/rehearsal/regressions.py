"""Queries of the running service that a migration breaks: they fail when run, or cannot be prepared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from orderops.rehearsal.harness import Harness
from orderops.rehearsal.load import SlowQuery
from orderops.rehearsal.load_client import RETRYABLE_STATES, SUCCESS
from orderops.rehearsal.queries import Query, QueryOrigin, error_text
from orderops.rehearsal.report import BrokenQuery

if TYPE_CHECKING:
    from psycopg import Connection

# SQLSTATE class 23: a constraint rejects the values of a row.
CONSTRAINT_CLASS = "23"
# A new column that the running service does not know requires a value, so this is no matter of our values.
NOT_NULL_VIOLATION = "23502"
# "cached plan must not change result type": a prepared statement would return other types.
FEATURE_NOT_SUPPORTED = "0A000"
STATEMENT = "orderops_rehearsal"


class Watchdog:
    """Finds queries that worked before a migration and fail after it, each once."""

    def __init__(self, harness: Harness, queries: Sequence[Query], *, queries_known: bool) -> None:
        self._harness = harness
        self._queries = queries
        self._queries_known = queries_known
        self._rejected = set(rejected_queries(harness.reader, queries))
        self._failing: set[str] = set()
        self._notes: list[str] = []

    def already_failing(self) -> Iterator[tuple[str, str]]:
        """Query groups that fail before any migration, with the error."""
        for failure in _failures(self._harness.load.slow_queries):
            name = self._harness.workload.families[failure.family].name
            if name not in self._failing:
                self._failing.add(name)
                yield name, failure.message

    def newly_broken(self, since: float) -> list[BrokenQuery]:
        """Queries that stopped working after a time (monotonic) and were not reported before."""
        found: dict[str, BrokenQuery] = {}
        for failure in _failures(self._harness.slow_queries_since(since)):
            query = self._harness.workload.families[failure.family].query
            if query.name in self._failing:
                continue
            self._failing.add(query.name)
            if self._is_our_own_doing(query, failure):
                self._notes.append(f"{query.name}: {failure.message}; no known query of the service does this")
            else:
                found[query.name] = BrokenQuery(query.name, _message(failure))
        for text, (query, why) in rejected_queries(self._harness.reader, self._queries).items():
            if text not in self._rejected:
                self._rejected.add(text)
                if query.name not in self._failing:
                    found.setdefault(query.name, BrokenQuery(query.name, why))
        return list(found.values())

    def notes(self, name: str) -> list[str]:
        """Failures that say nothing about the service, each once, led by the migration's name."""
        notes, self._notes = [f"{name}: {note}" for note in self._notes], []
        return notes

    def _is_our_own_doing(self, query: Query, failure: SlowQuery) -> bool:
        """Whether only a query that the rehearsal derived fails, and for its values."""
        if query.origin is not QueryOrigin.DERIVED:
            return False
        return self._queries_known or (
            failure.state.startswith(CONSTRAINT_CLASS) and failure.state != NOT_NULL_VIOLATION
        )


def rejected_queries(connection: Connection, queries: Iterable[Query]) -> dict[str, tuple[Query, str]]:
    """Prepare each query without running it; return those that the server rejects, by their text, with the error."""
    import psycopg

    rejected: dict[str, tuple[Query, str]] = {}
    for query in queries:
        try:
            with connection.transaction(force_rollback=True):
                connection.execute("set local lock_timeout = '2s'")
                connection.execute(f"prepare {STATEMENT} as {query.text}".encode())
                connection.execute(f"deallocate {STATEMENT}".encode())
        except psycopg.Error as error:
            if connection.closed:
                raise
            rejected[query.text] = (query, error_text(error))
    return rejected


def _message(failure: SlowQuery) -> str:
    """The server's message; for a prepared statement also how long the failure lasts."""
    if failure.state == FEATURE_NOT_SUPPORTED and "cached plan" in failure.message:
        return f"{failure.message}: a session that prepared it fails until it reconnects"
    return failure.message


def _failures(queries: Sequence[SlowQuery]) -> Iterator[SlowQuery]:
    return (query for query in queries if query.state not in (SUCCESS, *RETRYABLE_STATES))
