"""The role of the services: it reads and writes what the master user owns, and changes no schema.

Services log in as this role or as a second one that is a member of it, so that a password can change while the one
before is still valid.

Migrations run as the master user, so PostgreSQL's default privileges give the role access to a new table in the very
transaction that creates it. Tables that somebody else has made are found and granted one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, LiteralString

from orderops.database.catalog import USER_SCHEMAS

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import Composed

ROLE = "orderops_service"
SECOND = "orderops_service_b"
"""The other user of a rotation: a member of the role, so that every grant covers both."""
ON_TABLES: LiteralString = "SELECT, INSERT, UPDATE, DELETE"
ON_SEQUENCES: LiteralString = "USAGE, SELECT, UPDATE"
ATTEMPTS = 5
"""For a change of the catalogue that another session makes at the same moment."""

# What the connected user may give away and the role lacks. An extension grants what it made by itself.
LACKING: LiteralString = (
    """
with own as (
  select n.oid, n.nspname, n.nspowner from pg_namespace n where """
    + USER_SCHEMAS
    + """
)
select format('GRANT USAGE ON SCHEMA %%I TO %%I', nspname, %(role)s::text) as grants, nspname as object
from own where pg_has_role(nspowner, 'USAGE') and not has_schema_privilege(%(role)s, oid, 'USAGE')
union all
select format('GRANT %%s ON %%s %%I.%%I TO %%I',
              case c.relkind when 'S' then %(on_sequences)s else %(on_tables)s end,
              case c.relkind when 'S' then 'SEQUENCE' else 'TABLE' end, nspname, c.relname, %(role)s::text),
       c.oid::regclass::text
from own join pg_class c on c.relnamespace = own.oid
where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and pg_has_role(c.relowner, 'USAGE')
  and case c.relkind when 'S' then not has_sequence_privilege(%(role)s, c.oid, 'USAGE')
                                or not has_sequence_privilege(%(role)s, c.oid, 'SELECT')
                                or not has_sequence_privilege(%(role)s, c.oid, 'UPDATE')
      else not has_table_privilege(%(role)s, c.oid, 'SELECT') or not has_table_privilege(%(role)s, c.oid, 'INSERT')
        or not has_table_privilege(%(role)s, c.oid, 'UPDATE') or not has_table_privilege(%(role)s, c.oid, 'DELETE')
      end
  and not exists (select from pg_depend d where d.deptype = 'e' and d.classid = 'pg_class'::regclass
                  and d.objid = c.oid)
"""
)
# The service tells in /ready which migrations its database has; from this machine the database may be out of reach.
LEDGER: LiteralString = """
select unnest(array[format('GRANT USAGE ON SCHEMA orderops_ledger TO %%I', r.rolname),
                    format('GRANT SELECT ON orderops_ledger.migrations TO %%I', r.rolname)])
from pg_class v join pg_roles r on r.rolname = %s
where v.oid = to_regclass('orderops_ledger.migrations') and pg_has_role(v.relowner, 'USAGE')
  and pg_has_role((select nspowner from pg_namespace n where n.oid = v.relnamespace), 'USAGE')
  and not (has_schema_privilege(r.oid, v.relnamespace, 'USAGE') and has_table_privilege(r.oid, v.oid, 'SELECT'))
"""
# Tables that stay out of the role's reach, since the connected user may not give access to them.
OUT_OF_REACH: LiteralString = (
    "select c.oid::regclass::text || ', owned by ' || pg_get_userbyid(c.relowner)"
    " from pg_class c join pg_namespace n on n.oid = c.relnamespace where "
    + USER_SCHEMAS
    + """
  and c.relkind in ('r', 'p', 'v', 'm', 'f') and not pg_has_role(c.relowner, 'USAGE')
  and not has_table_privilege(%s, c.oid, 'SELECT')
  and not exists (select from pg_depend d where d.deptype = 'e' and d.classid = 'pg_class'::regclass
                  and d.objid = c.oid)
order by 1
"""
)


def establish(connection: Connection, username: str, password: str) -> None:
    """Make the role, give it access, and let the services log in as this user only. Harmless to repeat.

    The connection is one of the master user, in autocommit. Open sessions go on.
    """
    _create(connection, ROLE)
    _set_defaults(connection)
    give_access(connection)
    open_login(connection, username, password)
    close_login(connection, other_user(username))


def other_user(username: str) -> str:
    """The user that takes turns with this one."""
    return ROLE if username == SECOND else SECOND


def open_login(connection: Connection, username: str, password: str) -> None:
    """Let the services log in as a user with this password; the other user stays as it is. Harmless to repeat."""
    from psycopg import sql

    _create(connection, username)
    if username != ROLE:
        _changed(connection, sql.SQL("GRANT {} TO {}").format(sql.Identifier(ROLE), sql.Identifier(username)))
    set_password(connection, username, password, opened=True)


def close_login(connection: Connection, username: str) -> None:
    """Let nobody log in as a user any more; its open sessions go on. Harmless to repeat, and without the user."""
    from psycopg import sql

    if _exists(connection, username):
        _changed(connection, sql.SQL("ALTER ROLE {} NOLOGIN PASSWORD NULL").format(sql.Identifier(username)))


def exists(connection: Connection) -> bool:
    """Whether the database server has the role."""
    return _exists(connection, ROLE)


def give_access(connection: Connection) -> list[str]:
    """Give the role access to schemas, tables and sequences that it lacks; returns their names."""
    values = {"role": ROLE, "on_tables": ON_TABLES, "on_sequences": ON_SEQUENCES}
    granted = []
    for (grant,) in connection.execute(LEDGER, [ROLE]).fetchall():
        _changed(connection, grant.encode())
    for grant, name in connection.execute(LACKING, values).fetchall():
        _changed(connection, grant.encode())
        granted.append(name)
    return granted


def out_of_reach(connection: Connection) -> list[str]:
    """The tables that the role cannot read and the connected user cannot give access to, each with its owner."""
    return [name for (name,) in connection.execute(OUT_OF_REACH, [ROLE]).fetchall()]


def set_password(connection: Connection, username: str, password: str, *, opened: bool = False) -> None:
    """Give a user of the database this password, which everybody may do for oneself; or open its login as well."""
    from psycopg import errors, sql

    # A verifier, since the text of a statement can reach the server's log and pg_stat_statements.
    verifier = connection.pgconn.encrypt_password(password.encode(), username.encode(), b"scram-sha-256").decode()
    change = sql.SQL("ALTER ROLE {} {} PASSWORD {}").format(
        sql.Identifier(username), sql.SQL("LOGIN" if opened else ""), sql.Literal(verifier)
    )

    def alter() -> None:
        with connection.transaction():
            # RDS's master user may not set these; on a server of one's own they keep even the verifier out.
            for setting in ("track_activities", "pg_stat_statements.track_utility"):
                with suppress(errors.InsufficientPrivilege, errors.UndefinedObject), connection.transaction():
                    connection.execute(f"SET LOCAL {setting} = off".encode())
            connection.execute(change)

    _repeated(alter)


def _exists(connection: Connection, username: str) -> bool:
    return connection.execute("select from pg_roles where rolname = %s", [username]).fetchone() is not None


def _create(connection: Connection, username: str) -> None:
    from psycopg import errors, sql

    if not _exists(connection, username):
        # Another operator may make it at the same moment.
        with suppress(errors.DuplicateObject, errors.UniqueViolation):
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(username)))


def _set_defaults(connection: Connection) -> None:
    for privileges, kind in ((ON_TABLES, "TABLES"), (ON_SEQUENCES, "SEQUENCES")):
        _changed(connection, f"ALTER DEFAULT PRIVILEGES GRANT {privileges} ON {kind} TO {ROLE}".encode())


def _changed(connection: Connection, statement: bytes | Composed) -> None:
    _repeated(lambda: connection.execute(statement))


def _repeated(change: Callable[[], object]) -> None:
    """Repeat a change of the catalogue while another session changes the same row: "tuple concurrently updated"."""
    from psycopg import errors
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random

    again = Retrying(
        retry=retry_if_exception_type((errors.InternalError_, errors.SerializationFailure)),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random(0.05, 0.3),
        reraise=True,
    )
    again(change)
