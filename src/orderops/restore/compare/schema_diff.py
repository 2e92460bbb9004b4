"""What two databases have beside their rows: the objects of the schema, extensions, roles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any

from orderops.database.catalog import USER_SCHEMAS
from orderops.frozen import Frozen
from orderops.restore.compare.snapshots import Snapshot, SnapshotPair, Unreadable
from orderops.restore.compare.tables import NOT_ANOTHERS, OURS

OWN_PART = "from pg_depend d where d.deptype = 'e' and d.classid = '{}'::regclass and d.objid = {}.oid"


def _not_of_an_extension(catalogue: str, alias: str) -> str:
    return f"not exists (select {OWN_PART.format(catalogue, alias)})"


TABLE = f"join pg_class c on c.oid = {{}} join pg_namespace n on n.oid = c.relnamespace and {OURS}"
OBJECTS = {
    "table": f"""
        select '', format('%s.%s', n.nspname, c.relname),
            concat_ws(' ', case c.relpersistence when 'u' then 'unlogged' end,
                case c.relkind when 'f' then 'foreign' end,
                case c.relkind when 'p' then 'partition by ' || pg_get_partkeydef(c.oid) end,
                pg_get_expr(c.relpartbound, c.oid), case when c.relrowsecurity then 'with row security' end)
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'p', 'f') and c.relpersistence <> 't' and {OURS} and {NOT_ANOTHERS}""",
    "column": f"""
        select format('%s.%s', n.nspname, c.relname), format('%s.%s.%s', n.nspname, c.relname, a.attname),
            concat_ws(' ', format_type(a.atttypid, a.atttypmod),
                case when a.attcollation <> y.typcollation then
                    (select format('collate %I.%I', m.nspname, l.collname) from pg_collation l
                     join pg_namespace m on m.oid = l.collnamespace where l.oid = a.attcollation) end,
                case when a.attnotnull then 'not null' end,
                case a.attidentity when 'a' then 'always identity' when 'd' then 'identity' end,
                case a.attgenerated when 's' then 'stored as' when 'v' then 'computed as' else
                    case when a.atthasdef then 'default' end end,
                pg_get_expr(f.adbin, f.adrelid))
        from pg_attribute a {TABLE.format("a.attrelid")} join pg_type y on y.oid = a.atttypid
        left join pg_attrdef f on f.adrelid = a.attrelid and f.adnum = a.attnum
        where c.relkind in ('r', 'p', 'f') and c.relpersistence <> 't' and a.attnum > 0 and not a.attisdropped
            and {NOT_ANOTHERS}""",
    "index": f"""
        select format('%s.%s', n.nspname, c.relname), format('%s.%s', n.nspname, x.relname),
            pg_get_indexdef(i.indexrelid) || case when i.indisvalid then '' else ', invalid' end
        from pg_index i join pg_class x on x.oid = i.indexrelid {TABLE.format("i.indrelid")}
        where c.relkind in ('r', 'p', 'm') and c.relpersistence <> 't' and {NOT_ANOTHERS}""",
    "constraint": f"""
        select format('%s.%s', n.nspname, c.relname), format('%s on %s.%s', o.conname, n.nspname, c.relname),
            pg_get_constraintdef(o.oid)
        from pg_constraint o {TABLE.format("o.conrelid")}
        where o.contype not in ('n', 't') and c.relpersistence <> 't' and {NOT_ANOTHERS}""",
    "trigger": f"""
        select format('%s.%s', n.nspname, c.relname), format('%s on %s.%s', g.tgname, n.nspname, c.relname),
            pg_get_triggerdef(g.oid) || case g.tgenabled when 'D' then ', disabled' else '' end
        from pg_trigger g {TABLE.format("g.tgrelid")} where not g.tgisinternal and {NOT_ANOTHERS}""",
    "policy": f"""
        select format('%s.%s', n.nspname, c.relname), format('%s on %s.%s', p.polname, n.nspname, c.relname),
            concat_ws(' ', p.polcmd, case when p.polpermissive then 'permissive' else 'restrictive' end,
                (select string_agg(coalesce(r.rolname, 'public'), ', ' order by r.rolname)
                 from unnest(p.polroles) of_it left join pg_roles r on r.oid = of_it),
                pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
        from pg_policy p {TABLE.format("p.polrelid")} where {NOT_ANOTHERS}""",
    "sequence": f"""
        select '', format('%s.%s', n.nspname, c.relname),
            format('%s from %s by %s, %s to %s%s', format_type(q.seqtypid, -1), q.seqstart, q.seqincrement, q.seqmin,
                q.seqmax, case when q.seqcycle then ', cycles' else '' end)
        from pg_sequence q {TABLE.format("q.seqrelid")} where c.relpersistence <> 't' and {NOT_ANOTHERS}""",
    "view": f"""
        select '', format('%s.%s', n.nspname, c.relname),
            case c.relkind when 'm' then 'materialized ' else '' end || pg_get_viewdef(c.oid)
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('v', 'm') and c.relpersistence <> 't' and {OURS} and {NOT_ANOTHERS}""",
    "function": f"""
        select '', format('%s.%s(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)),
            case when p.prokind = 'a' then 'aggregate' else pg_get_functiondef(p.oid) end
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where {OURS} and {_not_of_an_extension("pg_proc", "p")}""",
    "type": f"""
        select '', format('%s.%s', n.nspname, y.typname),
            case y.typtype
                when 'e' then (select 'enum ' || string_agg(quote_literal(e.enumlabel), ', ' order by e.enumsortorder)
                               from pg_enum e where e.enumtypid = y.oid)
                when 'd' then concat_ws(' ', 'domain', format_type(y.typbasetype, y.typtypmod),
                    case when y.typnotnull then 'not null' end, 'default ' || y.typdefault,
                    (select string_agg(pg_get_constraintdef(o.oid), ' ' order by o.conname) from pg_constraint o
                     where o.contypid = y.oid and o.contype = 'c'))
                when 'r' then (select 'range of ' || format_type(r.rngsubtype, -1) from pg_range r
                               where r.rngtypid = y.oid)
                else (select 'row of ' || string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', '
                                                     order by a.attnum)
                      from pg_attribute a where a.attrelid = y.typrelid and a.attnum > 0 and not a.attisdropped) end
        from pg_type y join pg_namespace n on n.oid = y.typnamespace left join pg_class c on c.oid = y.typrelid
        where (y.typtype in ('e', 'd', 'r') or c.relkind = 'c')
            and {OURS} and {_not_of_an_extension("pg_type", "y")}""",
    "schema": f"""
        select '', n.nspname, '' from pg_namespace n
        where {USER_SCHEMAS} and {_not_of_an_extension("pg_namespace", "n")}""",
    "extension": "select '', extname, extversion from pg_extension",
    "role": r"""
        select '', r.rolname, concat_ws(', ', 'member of ' || (
            select string_agg(g.rolname, ', ' order by g.rolname) from pg_auth_members m
            join pg_roles g on g.oid = m.roleid where m.member = r.oid and g.rolname !~ '^pg_'))
        from pg_roles r where r.rolname !~ '^(pg_|rds)'""",
}
"""For each kind of thing: the table that it belongs to, its name, and what it is."""


class FoundIn(StrEnum):
    """How a thing is not the same on both sides."""

    ONLY_LIVE = "only in live"
    ONLY_RESTORED = "only in restored"
    DIFFERS = "differs"


class SchemaDifference(Frozen):
    """A thing other than a row that is not the same on both sides."""

    kind: str
    name: str
    where: FoundIn
    live: str | None
    restored: str | None

    def to_dict(self) -> dict[str, Any]:
        """The same for machines; keys stay as they are."""
        return {
            "kind": self.kind,
            "name": self.name,
            "where": str(self.where).replace(" ", "_"),
            "live": self.live,
            "restored": self.restored,
        }


Objects = Mapping[tuple[str, str], tuple[str, str]]
"""By kind and name: the table that it belongs to, and what it is."""


def schema_differences(sides: SnapshotPair, notes: list[str]) -> list[SchemaDifference]:
    """Every object, extension and role that is not the same; adds to `notes` what could not be seen."""
    live, restored = (_objects(side, notes) for side in sides.both)
    return list(_unlike(live, restored))


def _objects(side: Snapshot, notes: list[str]) -> Objects:
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for kind, query in OBJECTS.items():
        try:
            with side.releasing_locks():
                for table, name, definition in side.rows(query):
                    found[kind, name] = table, definition or ""
        except Unreadable as error:
            notes.append(f"no {kind} is compared: {error.message}")
    return found


def _unlike(live: Objects, restored: Objects) -> Iterator[SchemaDifference]:
    """What belongs to a table that only one side has goes without saying."""
    single = {name for kind, name in live.keys() ^ restored.keys() if kind == "table"}
    for kind, name in _in_order(live.keys() | restored.keys()):
        here, there = live.get((kind, name)), restored.get((kind, name))
        if (here or there or ("", ""))[0] in single:
            continue
        if here is None or there is None:
            where = FoundIn.ONLY_LIVE if there is None else FoundIn.ONLY_RESTORED
            yield SchemaDifference(kind, name, where, here and here[1], there and there[1])
        elif here[1] != there[1]:
            yield SchemaDifference(kind, name, FoundIn.DIFFERS, here[1], there[1])


def _in_order(names: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    order = {kind: place for place, kind in enumerate(OBJECTS)}
    return sorted(names, key=lambda name: (order[name[0]], name[1]))
