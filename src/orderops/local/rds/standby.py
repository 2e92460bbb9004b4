"""Streaming standby of a PostgreSQL server: copied from its source, follows it through a slot, and can be promoted.

Knows nothing of AWS. The slot keeps the log that the standby still needs, also while the standby is away.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

import psycopg
from psycopg.conninfo import make_conninfo

from orderops.errors import OrderopsError
from orderops.local.ports import HOST
from orderops.local.rds.base_backups import copy_server
from orderops.local.rds.postgres import PostgresServer

PREFIX = "rds_"
"""Of the names of our slots; an operator may have made others."""
PROMOTION_TIMEOUT = 600
"""Seconds. What was received is replayed first."""
LOOK = """
SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'),
       CASE WHEN pg_last_wal_receive_lsn() IS NOT DISTINCT FROM pg_last_wal_replay_lsn() THEN 0
            ELSE extract(epoch FROM clock_timestamp()
                         - coalesce(pg_last_xact_replay_timestamp(), pg_postmaster_start_time()))
       END::float8
"""


@dataclass(frozen=True)
class Following:
    """Whether a standby receives the log, and how many seconds behind it has replayed it."""

    streams: bool
    lag: float


def slot_name(resource: str) -> str:
    """Return the name of the slot of a replica; PostgreSQL allows lower-case letters, digits and underscores."""
    return PREFIX + resource.lower().replace("-", "_")


def create(standby: PostgresServer, source: PostgresServer, slot: str) -> None:
    """Copy the source's data, unless that is done; an interruption leaves no incomplete copy."""
    if standby.created:
        return
    _keep_log(source, slot)
    copy = standby.directory / "copy"
    for leftover in (copy, *standby.directory.glob(".*")):
        shutil.rmtree(leftover, ignore_errors=True)
    copy_server(source, copy, slot)
    (copy / standby.standby_signal.name).touch(mode=0o600)
    if standby.account:
        standby.account.chown(copy / standby.standby_signal.name)
    shutil.rmtree(standby.data, ignore_errors=True)
    # Last step of the copy: an interrupted one is never taken for data.
    copy.rename(standby.data)
    standby.adopt(source.password)


def settings(source: PostgresServer, slot: str) -> dict[str, str]:
    """Return the settings with which a standby follows this source; for its next start, or a reload."""
    connection = make_conninfo(
        host=HOST, port=source.port, user=source.administrator, password=source.password, application_name=slot
    )
    return {"primary_conninfo": connection, "primary_slot_name": slot, "hot_standby": "on"}


def look(standby: PostgresServer) -> Following:
    """Ask a running standby how it follows."""
    with standby.connect() as session:
        row = session.execute(LOOK).fetchone()
    return Following(bool(row and row[0]), float(row[1]) if row else 0.0)


def pause(standby: PostgresServer, *, paused: bool) -> None:
    """Pause or resume the replay: the standby goes on receiving, and falls behind."""
    with standby.connect() as session:
        session.execute("SELECT pg_wal_replay_pause()" if paused else "SELECT pg_wal_replay_resume()")


def promote(standby: PostgresServer) -> None:
    """Replay what was received, and accept writes. Raises OrderopsError if that takes too long."""
    with standby.connect() as session:
        # A paused replay would never end.
        session.execute("SELECT pg_wal_replay_resume() WHERE pg_is_in_recovery()")
        done = "SELECT NOT pg_is_in_recovery() OR pg_promote(true, %s)"
        row = session.execute(done, (PROMOTION_TIMEOUT,)).fetchone()
    if not row or not row[0]:
        raise OrderopsError(f"{standby.directory} was not promoted in {PROMOTION_TIMEOUT} s", f"read {standby.log}")


def drop_slots(source: PostgresServer, needed: Collection[str]) -> bool:
    """Drop our slots that no replica needs: each keeps the log for ever. Returns False if one is still in use."""
    with source.connect() as session:
        rows = session.execute("SELECT slot_name, active FROM pg_replication_slots WHERE slot_type = 'physical'")
        stale = [(name, active) for name, active in rows.fetchall() if name.startswith(PREFIX) and name not in needed]
        for name, active in stale:
            if not active:
                session.execute("SELECT pg_drop_replication_slot(%s)", (name,))
    return not any(active for _, active in stale)


def oldest_slot_lag(source: PostgresServer) -> float | None:
    """Return the bytes of log that the slot furthest behind keeps; None without a slot."""
    with source.connect() as session:
        row = session.execute(
            "SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn))::float8 FROM pg_replication_slots"
        ).fetchone()
    return None if row is None or row[0] is None else float(row[0])


def _keep_log(source: PostgresServer, slot: str) -> None:
    """Create the slot, which keeps the log from now on."""
    # It is there already after an interruption.
    with suppress(psycopg.errors.DuplicateObject), source.connect() as session:
        session.execute("SELECT pg_create_physical_replication_slot(%s, true)", (slot,))
