"""The role that owns the schema. Nobody logs in as it: the master user becomes it for the statements of a migration.

What is in the schemas of the database belongs to this role, and the database itself does, which tells that it was
handed over. What belongs to the server stays with the master user: roles, extensions, publications, foreign servers.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, LiteralString

from orderops.database.catalog import LEDGER_SCHEMA, USER_SCHEMAS
from orderops.database.role_access import changed, create_role, role_exists
from orderops.errors import OrderopsError
from orderops.frozen import Frozen

if TYPE_CHECKING:
    from psycopg import Connection

OWNER = "orderops_owner"
STATE: LiteralString = """
select pg_get_userbyid(d.datdba) = 'orderops_owner', session_user::text,
       to_regnamespace(quote_ident(session_user)) is not null
from pg_database d where d.datname = current_database()
"""
IN_SCHEMAS: LiteralString = "(" + USER_SCHEMAS + " or n.nspname = '" + LEDGER_SCHEMA + "')"
"""SQL condition on a namespace `n`: what is in it belongs to the owner of the schema."""
OTHERS: LiteralString = (
    "select c.oid::regclass::text || ', owned by ' || pg_get_userbyid(c.relowner)"
    " from pg_class c join pg_namespace n on n.oid = c.relnamespace where "
    + IN_SCHEMAS
    + """
  and c.relkind in ('r', 'p', 'v', 'm', 'f') and pg_get_userbyid(c.relowner) <> 'orderops_owner'
  and not exists (select from pg_depend d where d.deptype = 'e' and d.classid = 'pg_class'::regclass
                  and d.objid = c.oid)
order by 1
"""
)
ROLE: LiteralString = """
select rolcanlogin, rolsuper, pg_has_role(session_user, oid, 'USAGE') and pg_has_role(session_user, oid, %s)
from pg_roles where rolname = 'orderops_owner'
"""


class SchemaOwner(Frozen):
    """The role that a database was handed over to."""

    role: str = OWNER
    has_user_schema: bool = False
    """Whether the login has a schema of its name, which "$user" in the search path means."""

    def become(self, scope: str) -> str:
        """SQL that changes to the role; `scope` is "set local" for the transaction, or "set" for the session."""
        if not self.has_user_schema:
            return f"{scope} role {self.role}"
        # As this role, "$user" would be another schema, and unqualified names other tables.
        path = "replace(current_setting('search_path'), '\"$user\"', quote_ident(session_user))"
        local = "true" if scope.endswith("local") else "false"
        return f"select set_config('search_path', {path}, {local}); {scope} role {self.role}"


class SchemaOwnership(Frozen):
    """Whom a database belongs to."""

    login: str
    handed_over: bool
    others: tuple[str, ...]
    """Tables and views that another role owns, each with that role."""

    @property
    def hands_over(self) -> bool:
        """Whether some of these are the login's, and go over with the next run."""
        return any(name.endswith(f", owned by {self.login}") for name in self.others)

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return {"role": OWNER if self.handed_over else None, "owned_by_others": list(self.others)}


def owner_of(connection: Connection) -> SchemaOwner | None:
    """The role that owns the schema; None in a database that was not handed over to it."""
    handed_over, _, has_user_schema = _state(connection)
    return SchemaOwner(has_user_schema=has_user_schema) if handed_over else None


def ownership(connection: Connection) -> SchemaOwnership:
    """Read whom the database and its tables belong to."""
    handed_over, login, _ = _state(connection)
    return SchemaOwnership(login, handed_over, tuple(name for (name,) in connection.execute(OTHERS).fetchall()))


def make_role(connection: Connection) -> None:
    """Make the role, and let the login become it. Harmless to repeat.

    The connection is in autocommit. Raises OrderopsError if the role may log in, or if the login may not become it.
    """
    from psycopg import errors, sql

    create_role(connection, OWNER)
    logs_in, administers, belongs = _role(connection)
    if logs_in or administers:
        excess = "may log in" if logs_in else "is a superuser"
        raise OrderopsError(
            f"the role {OWNER}, which is meant to own the schema only, {excess}",
            f"ALTER ROLE {OWNER} NOLOGIN NOSUPERUSER; then re-run this command",
        )
    if belongs:
        return
    # Who makes a role, from PostgreSQL 16 on, may give it away and has none of its rights.
    options = " WITH INHERIT TRUE, SET TRUE" if connection.info.server_version >= 160_000 else ""
    grant = sql.SQL("GRANT {} TO {}" + options).format(sql.Identifier(OWNER), sql.SQL("SESSION_USER"))
    try:
        changed(connection, grant)
    except errors.InsufficientPrivilege as error:
        user = connection.info.user
        raise OrderopsError(
            f"{user} may not become {OWNER}: {error.diag.message_primary}",
            f'as the user that made the role: GRANT {OWNER} TO "{user}"{options}; then re-run this command',
        ) from None


def lent(connection: Connection) -> SchemaOwner | None:
    """Let the role own the schema of a scratch database of the login, whose role is not changed by that.

    None on a server that has no such role, or if the login may not become it.
    """
    from psycopg import errors, sql

    if not (role_exists(connection, OWNER) and _role(connection)[2]):
        return None
    name = sql.Identifier(connection.info.dbname)
    connection.execute(sql.SQL("GRANT CREATE, TEMPORARY ON DATABASE {} TO {}").format(name, sql.Identifier(OWNER)))
    # Before PostgreSQL 15, this schema belongs to a superuser and everybody may create in it.
    with suppress(errors.InsufficientPrivilege):
        connection.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(sql.Identifier(OWNER)))
    return SchemaOwner()


def _role(connection: Connection) -> tuple[bool, bool, bool]:
    """Whether the role may log in, is a superuser, and whether the login has its rights and may become it."""
    # Before PostgreSQL 16, every member may.
    become = "SET" if connection.info.server_version >= 160_000 else "MEMBER"
    row = connection.execute(ROLE, [become]).fetchone()
    assert row, "made before"
    logs_in, administers, belongs = row
    return logs_in, administers, belongs


def _state(connection: Connection) -> tuple[bool, str, bool]:
    row = connection.execute(STATE).fetchone()
    assert row, "a session is in a database"
    handed_over, login, has_user_schema = row
    return handed_over, login, has_user_schema
