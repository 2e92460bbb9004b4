"""Who may do what in a database instance: its master user much, as on RDS, though it is no superuser."""

from __future__ import annotations

from contextlib import suppress

import psycopg
from psycopg import sql

from orderops.local.rds.postgres import PostgresServer

GRANTED = ("pg_monitor", "pg_signal_backend", "pg_checkpoint")


def set_up(server: PostgresServer, user: str, password: str, database: str | None) -> None:
    """Everything that RDS makes in a new instance; what is there already stays."""
    for place in ("template1", "postgres"):
        with suppress(psycopg.errors.FeatureNotSupported), server.connect(place) as session:
            session.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    with server.connect() as session:
        _set_up_roles(session, user)
        _set_password(session, user, password)
        for name in ("postgres", database):
            if name:
                _set_up_database(session, user, name)


def set_password(server: PostgresServer, user: str, password: str) -> None:
    """The password that opens the instance from now on; sessions that are open stay so."""
    with server.connect() as session:
        _set_password(session, user, password)


def _set_password(session: psycopg.Connection, user: str, password: str) -> None:
    session.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(user), sql.Literal(password)))


def _set_up_roles(session: psycopg.Connection, user: str) -> None:
    for role, rights in (("rds_superuser", "NOLOGIN"), (user, "LOGIN CREATEDB CREATEROLE")):
        found = session.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
        if not found:
            session.execute(sql.SQL("CREATE ROLE {} " + rights).format(sql.Identifier(role)))
    for granted in GRANTED:
        with suppress(psycopg.errors.UndefinedObject):  # pg_checkpoint is new in 15.
            session.execute(sql.SQL("GRANT {} TO rds_superuser WITH ADMIN OPTION").format(sql.Identifier(granted)))
    session.execute(sql.SQL("GRANT rds_superuser TO {}").format(sql.Identifier(user)))


def _set_up_database(session: psycopg.Connection, owner: str, name: str) -> None:
    found = session.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
    what = "ALTER DATABASE {} OWNER TO {}" if found else "CREATE DATABASE {} OWNER {}"
    session.execute(sql.SQL(what).format(sql.Identifier(name), sql.Identifier(owner)))
