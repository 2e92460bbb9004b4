"""Hands a database over to the owner of the schema, in one transaction, while services go on.

Call it while holding the migration lock. What is done already is read from the catalogue, so a re-run after an
interruption does what is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from orderops.database.hand_over import HandOver, to_hand_over
from orderops.database.schema_owner import OWNER, make_role
from orderops.errors import OrderopsError
from orderops.frozen import Frozen
from orderops.migrations.execution.failures import FORBIDDEN
from orderops.migrations.execution.transaction import AGAIN, LOCK_TIMEOUT
from orderops.migrations.sql.locks import Lock, Mode

if TYPE_CHECKING:
    import psycopg

    from orderops.migrations.execution.runner import Runner

WHAT = f"handing the schema over to {OWNER}"
# An object was dropped, or another session changed the same row of the catalogue.
CHANGED = ("42P01", "42704", "42883", "3F000", "XX000", "23505")
"""SQLSTATEs after which the catalogue is read again."""
HINTS = {
    FORBIDDEN: f"let the user that owns it hand it over: ALTER … OWNER TO {OWNER}",
    "53200": "there is no room for a lock on each table at once: raise max_locks_per_transaction of the server, which "
    "restarts it; then re-run this command",
}
TRIES = 20
"""Most reads of the catalogue, for one that changes all the time."""


class HandedOver(Frozen):
    """What a run has done."""

    database: bool
    """Whether it was the first one for this database."""
    objects: tuple[str, ...]
    """What the login owned in the schemas: kind and name of each."""

    @property
    def anything(self) -> bool:
        """Whether there was something to do."""
        return self.database or bool(self.objects)


def hand_over(runner: Runner) -> HandedOver:
    """Give the owner of the schema what the login owns; all of it or nothing.

    Raises OrderopsError if a session blocks a table for longer than the retry budget, or if the login may not.
    """
    import psycopg

    connection = runner.sessions.work
    runner.sessions.clean()
    make_role(connection)
    failed = 0
    while True:
        found = to_hand_over(connection)
        if not found.statements:
            return HandedOver(False, ())
        locks = locks_of(found)
        _wait(runner, locks)
        try:
            _carry_out(connection, found)
        except psycopg.Error as error:
            _roll_back(connection)
            failed += 1
            if error.sqlstate in AGAIN:
                _again(runner, failed, locks)
            elif error.sqlstate not in CHANGED or failed >= TRIES:
                raise _refused(error) from None
            continue
        return HandedOver(bool(found.database), tuple(f"{one.kind} {one.identity}" for one in found.objects))


def locks_of(found: HandOver) -> list[Lock]:
    """The locks that it takes: for a moment, nobody reads these tables."""
    return [
        Lock(owned.schema, owned.relation, Mode.ACCESS_EXCLUSIVE)
        for owned in found.objects
        if owned.schema and owned.relation
    ]


def _carry_out(connection: psycopg.Connection, found: HandOver) -> None:
    # In one round trip: other sessions wait for these tables until the commit.
    limit = f"set local lock_timeout = {LOCK_TIMEOUT // timedelta(milliseconds=1)}"
    connection.execute("; ".join(["begin", limit, *found.statements, "commit"]).encode())


def _roll_back(connection: psycopg.Connection) -> None:
    import psycopg

    # The server does it by itself where the connection is lost.
    with suppress(psycopg.Error):
        connection.execute("rollback")


def _wait(runner: Runner, locks: Sequence[Lock]) -> None:
    runner.lock_waiter.reporter.name = OWNER
    try:
        runner.lock_waiter.wait_until_free(locks, older=LOCK_TIMEOUT.total_seconds(), what=WHAT)
    except OrderopsError as error:
        raise _without_head(error) from None
    finally:
        runner.lock_waiter.reporter.over()


def _again(runner: Runner, failed: int, locks: Sequence[Lock]) -> None:
    try:
        runner.lock_waiter.again(failed, locks, (), WHAT)
    except OrderopsError as error:
        raise _without_head(error) from None


def _without_head(error: OrderopsError) -> OrderopsError:
    """The error without the hints about directives: no file is run."""
    hints = [line for line in error.hint.splitlines() if "to the head" not in line]
    return OrderopsError(f"{error.message}\nnothing was handed over", "\n".join(hints))


def _refused(error: psycopg.Error) -> OrderopsError:
    reason = error.diag.message_primary or " ".join(str(error).split())
    return OrderopsError(
        f"{WHAT}: {reason}; nothing was handed over", HINTS.get(error.sqlstate or "", "re-run this command")
    )
