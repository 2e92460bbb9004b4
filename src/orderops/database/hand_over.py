"""What hands a database over to the role that owns the schema: one statement for each object, read from the catalogue.

REASSIGN OWNED would do too much: it reaches the login's other databases, and fails as a whole for an event trigger.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, LiteralString

from orderops.database.schema_owner import IN_SCHEMAS, OWNER, owner_of
from orderops.frozen import Frozen

if TYPE_CHECKING:
    from psycopg import Connection

# What REASSIGN OWNED would reassign, of the kinds that are in a schema. A sequence of a column goes with its table.
# Left with the login: functions that run with its rights, and views of what the owner of the schema may not read,
# such as a table of another role; they would fail.
OBJECTS: LiteralString = (
    """
with login as (select oid from pg_roles where rolname = session_user),
owned as (
  select d.classid, d.objid, i.type, i.identity, coalesce(i.schema, i.name) as schema
  from login l join pg_shdepend d on d.refobjid = l.oid and d.refclassid = 'pg_authid'::regclass and d.deptype = 'o'
  cross join lateral pg_identify_object(d.classid, d.objid, d.objsubid) i
  where d.dbid = (select oid from pg_database where datname = current_database())
  and d.classid = any(array['pg_namespace', 'pg_class', 'pg_type', 'pg_proc', 'pg_operator', 'pg_opclass',
      'pg_opfamily', 'pg_collation', 'pg_conversion', 'pg_ts_dict', 'pg_ts_config', 'pg_statistic_ext']::regclass[])
  and not exists (select from pg_depend e where e.classid = d.classid and e.objid = d.objid
      and (e.deptype = 'e' or d.classid = 'pg_class'::regclass and e.deptype in ('a', 'i') and e.refobjsubid > 0))
  and not exists (select from pg_proc p where d.classid = 'pg_proc'::regclass and p.oid = d.objid and p.prosecdef)
)
select case when o.type in ('function', 'procedure', 'aggregate') then 'routine'
            when o.type = 'statistics object' then 'statistics' else o.type end, o.identity,
       case when o.classid = 'pg_class'::regclass and c.relkind <> 'S' then n.nspname end, c.relname
from owned o join pg_namespace n on quote_ident(n.nspname) = o.schema
left join pg_class c on o.classid = 'pg_class'::regclass and c.oid = o.objid
where """
    + IN_SCHEMAS
    + """
and not exists (
  select from pg_rewrite w join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
  and d.refclassid = 'pg_class'::regclass and d.refobjid <> w.ev_class
  join pg_class r on r.oid = d.refobjid, login l
  where w.ev_class = c.oid and c.relkind in ('v', 'm') and r.relowner <> l.oid
  and (r.relkind = 'f' or not has_table_privilege('orderops_owner', r.oid, 'SELECT')))
order by o.type <> 'schema', o.identity
"""
)
DATABASE: LiteralString = """
select format('ALTER DATABASE %I OWNER TO orderops_owner', current_database())
"""
# A schema of another role, in which the login makes tables. Who owns the database has pg_database_owner's rights.
IN_OTHER_SCHEMAS: LiteralString = (
    "select format('GRANT USAGE, CREATE ON SCHEMA %I TO orderops_owner', n.nspname) from pg_namespace n where "
    + IN_SCHEMAS
    + """
  and n.nspowner <> (select oid from pg_roles where rolname = session_user)
  and pg_get_userbyid(n.nspowner) not in ('pg_database_owner', 'orderops_owner')
  and has_schema_privilege(session_user, n.oid, 'CREATE')
  and not (has_schema_privilege('orderops_owner', n.oid, 'CREATE')
           and has_schema_privilege('orderops_owner', n.oid, 'USAGE'))
"""
)
# What the login gave to others on everything that it would make; the owner's new tables are to be as open.
DEFAULTS: LiteralString = """
with given as (
  select a.defaclnamespace, a.defaclacl, a.defaclobjtype,
    case a.defaclobjtype when 'r' then 'TABLES' when 'S' then 'SEQUENCES' when 'f' then 'FUNCTIONS'
         when 'T' then 'TYPES' when 'n' then 'SCHEMAS' end as kind,
    'ALTER DEFAULT PRIVILEGES FOR ROLE orderops_owner'
    || coalesce(' IN SCHEMA ' || quote_ident(n.nspname), '') as lead, a.defaclrole
  from pg_default_acl a left join pg_namespace n on n.oid = a.defaclnamespace
  where a.defaclrole = (select oid from pg_roles where rolname = session_user)
)
select format('%s GRANT %s ON %s TO %s%s', lead, string_agg(g.privilege_type, ', '), kind,
              case g.grantee when 0 then 'PUBLIC' else quote_ident(pg_get_userbyid(g.grantee)) end,
              case when g.is_grantable then ' WITH GRANT OPTION' else '' end)
from given, aclexplode(defaclacl) g where g.grantee <> defaclrole and kind is not null
group by lead, kind, g.grantee, g.is_grantable
union all
select format('%s REVOKE ALL ON %s FROM PUBLIC', lead, kind) from given
where defaclnamespace = 0 and defaclobjtype in ('f', 'T')
and not exists (select from aclexplode(defaclacl) g where g.grantee = 0)
"""


class OwnedObject(Frozen):
    """An object in a schema that is still the login's."""

    kind: str
    identity: str
    """Its name as SQL spells it, with the schema."""
    schema: str | None = None
    """Of a table or view, as its name: not spelled for SQL."""
    relation: str | None = None

    @property
    def statement(self) -> str:
        """SQL that hands it over."""
        return f"ALTER {self.kind.upper()} {self.identity} OWNER TO {OWNER}"


class HandOver(Frozen):
    """What is left to do."""

    database: tuple[str, ...] = ()
    """SQL that hands the database over, and what its login gave away by default; empty if that is done."""
    schemas: tuple[str, ...] = ()
    """SQL that opens schemas of other roles."""
    objects: tuple[OwnedObject, ...] = ()

    @property
    def statements(self) -> list[str]:
        """All of it, in order: a new owner needs CREATE in the schema of what it is given."""
        return [*self.database, *self.schemas, *(owned.statement for owned in self.objects)]


class Due(Enum):
    """What is to be handed over."""

    NOTHING = "nothing"
    OBJECTS = "objects that the login has made since"
    DATABASE = "the database and what is in it"


def due(connection: Connection) -> Due:
    """Whether the database, or something in its schemas, still belongs to the user that logs in."""
    if owner_of(connection) is None:
        return Due.DATABASE
    return Due.OBJECTS if to_hand_over(connection).objects else Due.NOTHING


def to_hand_over(connection: Connection) -> HandOver:
    """List what the login still owns, and with the first time also what makes it complete. The role has to exist."""
    objects = tuple(OwnedObject(*row) for row in connection.execute(OBJECTS).fetchall())
    schemas = _texts(connection, IN_OTHER_SCHEMAS)
    if owner_of(connection):
        return HandOver((), schemas, objects)
    return HandOver((*_texts(connection, DATABASE), *_texts(connection, DEFAULTS)), schemas, objects)


def _texts(connection: Connection, query: LiteralString) -> tuple[str, ...]:
    return tuple(text for (text,) in connection.execute(query).fetchall())
