"""What a role may do with the tables of others, found and granted one by one.

Default privileges give access to a new table in the very transaction that creates it. What somebody else has made, or
what was there before the role, is granted here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, LiteralString

from orderops.database.catalog import USER_SCHEMAS
from orderops.frozen import Frozen

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import Composed

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
  and case c.relkind
      when 'S' then exists (select from unnest(string_to_array(%(on_sequences)s, ', ')) p
                            where not has_sequence_privilege(%(role)s, c.oid, p))
      else exists (select from unnest(string_to_array(%(on_tables)s, ', ')) p
                   where not has_table_privilege(%(role)s, c.oid, p))
      end
  and not exists (select from pg_depend d where d.deptype = 'e' and d.classid = 'pg_class'::regclass
                  and d.objid = c.oid)
"""
)
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


class TableAccess(Frozen):
    """The privileges of a role on all tables and sequences."""

    role: str
    on_tables: LiteralString
    on_sequences: LiteralString

    def give(self, connection: Connection) -> list[str]:
        """Give access to schemas, tables and sequences that the role lacks; returns their names."""
        values = {"role": self.role, "on_tables": self.on_tables, "on_sequences": self.on_sequences}
        granted = []
        for grant, name in connection.execute(LACKING, values).fetchall():
            changed(connection, grant.encode())
            granted.append(name)
        return granted

    def give_by_default(self, connection: Connection, *owners: str) -> None:
        """Give access to everything that the connected user will create, and that these roles will."""
        for statement in self.defaults("CURRENT_USER", *owners):
            changed(connection, statement.encode())

    def defaults(self, *owners: str) -> list[str]:
        """SQL that gives access to everything that these roles will create."""
        return [
            f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT {privileges} ON {kind} TO {self.role}"
            for owner in owners
            for privileges, kind in ((self.on_tables, "TABLES"), (self.on_sequences, "SEQUENCES"))
        ]

    def out_of_reach(self, connection: Connection) -> list[str]:
        """The tables that the role cannot read and the connected user cannot give access to, each with its owner."""
        return [name for (name,) in connection.execute(OUT_OF_REACH, [self.role]).fetchall()]


def role_exists(connection: Connection, name: str) -> bool:
    """Whether the database server has a role."""
    return connection.execute("select from pg_roles where rolname = %s", [name]).fetchone() is not None


def create_role(connection: Connection, name: str) -> None:
    """Make a role that cannot log in. Harmless to repeat."""
    from psycopg import errors, sql

    if not role_exists(connection, name):
        # Another operator may make it at the same moment.
        with suppress(errors.DuplicateObject, errors.UniqueViolation):
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name)))


def changed(connection: Connection, statement: bytes | Composed) -> None:
    """Change the catalogue, again while another session changes the same row: "tuple concurrently updated"."""
    repeated(lambda: connection.execute(statement))


def repeated(change: Callable[[], object]) -> None:
    """Repeat a change of the catalogue while another session changes the same row."""
    from psycopg import errors
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random

    again = Retrying(
        # Two that add the same row see a duplicate key; the second time it is there.
        retry=retry_if_exception_type((errors.InternalError_, errors.SerializationFailure, errors.UniqueViolation)),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random(0.05, 0.3),
        reraise=True,
    )
    again(change)
