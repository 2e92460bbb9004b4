"""Why a server or a session takes no writes, and the command that changes that (SQLSTATE 25006)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg import Connection

READ_ONLY = "25006"
"""SQLSTATE read_only_sql_transaction."""
SHOWS = "select pg_is_in_recovery(), setting, source from pg_settings where name = 'default_transaction_read_only'"
UNKNOWN = f"show whether it is a replica, or what sets the session read-only: {SHOWS}"
OFF = "default_transaction_read_only"
"""The setting that makes each new transaction read-only."""


def why_read_only(connection: Connection) -> str:
    """Return a hint for a statement that was refused since its transaction is read-only.

    A failed transaction of this connection is rolled back first. Without an answer, the hint says how to ask.
    """
    from psycopg import Error, sql
    from psycopg.pq import TransactionStatus

    try:
        if connection.info.transaction_status == TransactionStatus.INERROR:
            connection.execute("rollback")
        row = connection.execute(SHOWS).fetchone()
        names = connection.execute("select session_user, current_database()").fetchone()
        if row is None or names is None:
            return UNKNOWN
        recovers, setting, source = row
        if recovers:
            return "this server is a replica or still recovers (pg_is_in_recovery() is true): connect to its primary"
        if setting == "off":
            return "a statement made this transaction read-only: remove SET TRANSACTION READ ONLY from the file"
        role, database = (sql.Identifier(str(name)).as_string(connection) for name in names)
    except Error:
        return UNKNOWN
    return f"{OFF} is on, {_setting(source, role, database)}"


def _setting(source: str, role: str, database: str) -> str:
    """Say where the setting comes from, by the source that pg_settings names, and what removes it."""
    match source:
        case "database":
            return rf"set for the database (\drds shows it); remove it: alter database {database} reset {OFF}"
        case "user":
            return rf"set for the role (\drds shows it); remove it: alter role {role} reset {OFF}"
        case "database user":
            command = f"alter role {role} in database {database} reset {OFF}"
            return rf"set for the role in this database (\drds shows it); remove it: {command}"
        case "client":
            return "set by the client: remove it from PGOPTIONS, or from the options of the connection string"
        case "session":
            return f"set in this session: remove SET {OFF} from the file, or what the function that sets it does"
    return (
        f"set for the whole server ({source}): on RDS in its parameter group, elsewhere: alter system reset {OFF}, "
        "then select pg_reload_conf()"
    )
