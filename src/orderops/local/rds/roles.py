"""Roles of a database instance: as on RDS, the master user has many rights without being a superuser."""

from __future__ import annotations

from contextlib import suppress

import psycopg
from psycopg import sql

from orderops.local.rds.postgres import PostgresServer

# Rights of rds_superuser that orderops uses, from the RDS user guide; RDS grants more.
GRANTED = ("pg_monitor", "pg_signal_backend", "pg_checkpoint")
RDS_IAM = "rds_iam"
# From PostgreSQL 16 on, the maker of a role has the admin option on it, and only with that a role can be granted. This
# alone is no membership here: RDS documents `GRANT rds_iam` by the master user, whose password is still taken then.
MEMBER_OF_RDS_IAM = """
with recursive belongs (role) as (
  select oid from pg_roles where rolname = %s
  union select m.roleid from pg_auth_members m join belongs b on m.member = b.role
  where coalesce((to_jsonb(m)->>'inherit_option')::bool, true) or coalesce((to_jsonb(m)->>'set_option')::bool, true)
)
select exists (select from belongs where pg_get_userbyid(role) = 'rds_iam')
"""


def set_up(server: PostgresServer, user: str, password: str, database: str | None) -> None:
    """Create the roles, extension and database that RDS creates in a new instance, unless they exist."""
    for template in ("template1", "postgres"):
        # Raised when the extension's files are not installed.
        with suppress(psycopg.errors.FeatureNotSupported), server.connect(template) as session:
            session.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    with server.connect() as session:
        _set_up_roles(session, user)
        _set_password(session, user, password)
        for name in ("postgres", database):
            if name:
                _set_up_database(session, user, name)


def set_up_tokens(server: PostgresServer) -> None:
    """Create the role whose members log in with tokens of IAM, unless it exists."""
    with server.connect() as session:
        _set_up_tokens(session)


def takes_tokens(server: PostgresServer, user: str) -> bool:
    """Tell whether a user logs in with tokens of IAM, as a member of rds_iam, and not by password."""
    with server.connect() as session:
        row = session.execute(MEMBER_OF_RDS_IAM, (user,)).fetchone()
    return bool(row and row[0])


def set_password(server: PostgresServer, user: str, password: str) -> None:
    """Set the master user's password; open sessions continue."""
    with server.connect() as session:
        _set_password(session, user, password)


def _set_password(session: psycopg.Connection, user: str, password: str) -> None:
    # A verifier, since the text of the statement can reach the server's log, pg_stat_activity and, with the password
    # in it, pg_stat_statements (PostgreSQL docs of ALTER ROLE). Not even the verifier has to be kept there.
    verifier = session.pgconn.encrypt_password(password.encode(), user.encode(), b"scram-sha-256").decode()
    with session.transaction():
        session.execute("SET LOCAL track_activities = off; SET LOCAL pg_stat_statements.track_utility = off")
        session.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(user), sql.Literal(verifier)))


def _set_up_roles(session: psycopg.Connection, user: str) -> None:
    for role, rights in (("rds_superuser", "NOLOGIN"), (user, "LOGIN CREATEDB CREATEROLE")):
        existing = session.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
        if not existing:
            session.execute(sql.SQL("CREATE ROLE {} " + rights).format(sql.Identifier(role)))
    for role in GRANTED:
        with suppress(psycopg.errors.UndefinedObject):
            # pg_checkpoint exists since PostgreSQL 15.
            session.execute(sql.SQL("GRANT {} TO rds_superuser WITH ADMIN OPTION").format(sql.Identifier(role)))
    session.execute(sql.SQL("GRANT rds_superuser TO {}").format(sql.Identifier(user)))
    _set_up_tokens(session)


def _set_up_tokens(session: psycopg.Connection) -> None:
    if not session.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (RDS_IAM,)).fetchone():
        session.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(RDS_IAM)))
    if session.info.server_version >= 160_000:
        options = "WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"
        session.execute(sql.SQL("GRANT {} TO rds_superuser " + options).format(sql.Identifier(RDS_IAM)))


def _set_up_database(session: psycopg.Connection, owner: str, name: str) -> None:
    query = "SELECT rolsuper FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE datname = %s"
    existing = session.execute(query, (name,)).fetchone()
    # A restored database keeps the owner that it was given.
    if existing is None or existing[0]:
        statement = "ALTER DATABASE {} OWNER TO {}" if existing else "CREATE DATABASE {} OWNER {}"
        session.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Identifier(owner)))
