"""The roles of services and readers. The services' reads and writes every table, and changes no schema.

Services log in as this role or as a second one that is a member of it, so that a password can change while the one
before is still valid.

Migrations run as the owner of the schema, or as the master user in a database that was not handed over to it.
PostgreSQL's default privileges of both give the roles access to a new table in the very transaction that creates it.
Tables that somebody else has made are found and granted one by one.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, LiteralString

from orderops.database.role_access import TableAccess, changed, create_role, repeated, role_exists
from orderops.database.schema_owner import OWNER

if TYPE_CHECKING:
    from psycopg import Connection

ROLE = "orderops_service"
SECOND = "orderops_service_b"
"""The other user of a rotation: a member of the role, so that every grant covers both."""
READER = "orderops_reader"
"""The role of people who look at data: a member of it reads every table and changes none."""
OF_SERVICES = TableAccess(ROLE, "SELECT, INSERT, UPDATE, DELETE", "USAGE, SELECT, UPDATE")
OF_READERS = TableAccess(READER, "SELECT", "SELECT")
# The service tells in /ready which migrations its database has; from this machine the database may be out of reach.
LEDGER: LiteralString = """
select unnest(array[format('GRANT USAGE ON SCHEMA orderops_ledger TO %%I', r.rolname),
                    format('GRANT SELECT ON orderops_ledger.migrations TO %%I', r.rolname)])
from pg_class v join pg_roles r on r.rolname = %s
where v.oid = to_regclass('orderops_ledger.migrations') and pg_has_role(v.relowner, 'USAGE')
  and pg_has_role((select nspowner from pg_namespace n where n.oid = v.relnamespace), 'USAGE')
  and not (has_schema_privilege(r.oid, v.relnamespace, 'USAGE') and has_table_privilege(r.oid, v.oid, 'SELECT'))
"""


def establish(connection: Connection, username: str, password: str) -> None:
    """Make the role, give it access, and let the services log in as this user only. Harmless to repeat.

    The connection is one of the master user, in autocommit. Open sessions go on.
    """
    create_role(connection, ROLE)
    OF_SERVICES.give_by_default(connection, *_owner(connection))
    give_access(connection)
    open_login(connection, username, password)
    close_login(connection, other_user(username))


def other_user(username: str) -> str:
    """The user that takes turns with this one."""
    return ROLE if username == SECOND else SECOND


def open_login(connection: Connection, username: str, password: str) -> None:
    """Let the services log in as a user with this password; the other user stays as it is. Harmless to repeat."""
    from psycopg import sql

    create_role(connection, username)
    if username != ROLE:
        changed(connection, sql.SQL("GRANT {} TO {}").format(sql.Identifier(ROLE), sql.Identifier(username)))
    set_password(connection, username, password, opened=True)


def close_login(connection: Connection, username: str) -> None:
    """Let nobody log in as a user any more; its open sessions go on. Harmless to repeat, and without the user."""
    from psycopg import sql

    if role_exists(connection, username):
        changed(connection, sql.SQL("ALTER ROLE {} NOLOGIN PASSWORD NULL").format(sql.Identifier(username)))


def exists(connection: Connection) -> bool:
    """Whether the database server has the role."""
    return role_exists(connection, ROLE)


def give_access(connection: Connection) -> list[str]:
    """Give services and readers access to schemas, tables and sequences that they lack; returns their names."""
    for (grant,) in connection.execute(LEDGER, [ROLE]).fetchall():
        changed(connection, grant.encode())
    create_role(connection, READER)
    for_readers = OF_READERS.give(connection)
    if for_readers:
        OF_READERS.give_by_default(connection, *_owner(connection))
    return list(dict.fromkeys([*OF_SERVICES.give(connection), *for_readers]))


def _owner(connection: Connection) -> list[str]:
    """The owner of the schema, if the connected user has its rights."""
    query = "select rolname::text from pg_roles where rolname = %s and pg_has_role(oid, 'USAGE')"
    return [name for (name,) in connection.execute(query, [OWNER]).fetchall()]


def out_of_reach(connection: Connection) -> list[str]:
    """The tables that the services cannot read and the connected user cannot give access to, each with its owner."""
    return OF_SERVICES.out_of_reach(connection)


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

    repeated(alter)
