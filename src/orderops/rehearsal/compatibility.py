"""Whether the running service can still say what it says: each of its texts prepared on the copy, before and after."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from orderops.rehearsal.queries import Query, said

if TYPE_CHECKING:
    from psycopg import Connection

NAME = "orderops_rehearsal"


def refused(connection: Connection, queries: Iterable[Query]) -> dict[str, tuple[Query, str]]:
    """The queries that the server would not run, by their text, each with why; runs none and changes nothing."""
    import psycopg

    found: dict[str, tuple[Query, str]] = {}
    for query in queries:
        try:
            with connection.transaction(force_rollback=True):
                connection.execute("set local lock_timeout = '2s'")
                connection.execute(f"prepare {NAME} as {query.text}".encode())
                connection.execute(f"deallocate {NAME}".encode())
        except psycopg.Error as error:
            if connection.closed:
                raise
            found[query.text] = (query, said(error))
    return found
