"""Queries on PostgreSQL's catalogue: the schemas of the user, and the definition of every object in them."""

from __future__ import annotations

from typing import LiteralString

# Each setting changes how PostgreSQL spells a constant or a name, so two sessions would read different definitions.
SETTINGS: LiteralString = """
set local search_path = ''; set local timezone = 'UTC'; set local datestyle = 'ISO, MDY';
set local intervalstyle = 'postgres'; set local extra_float_digits = 1; set local bytea_output = 'hex';
set local quote_all_identifiers = off
"""
"""Settings of a session that reads definitions."""

LEDGER_SCHEMA: LiteralString = "orderops_ledger"
"""The schema of the ledger. No role may have this name: "$user" leads the search path, so that the role's tables would
be created beside the ledger, and the ledger found by unqualified names."""
FORMER_LEDGER_SCHEMA: LiteralString = "orderops"
"""Where the ledger was once; it moves with the first command that changes the database."""
# The column tells the ledger from a table of the service that is called so.
FORMER_LEDGER: LiteralString = (
    "exists (select from pg_attribute a where a.attrelid = to_regclass('orderops.ledger') and a.attname = 'lock_tries')"
)
"""SQL condition: the ledger is still in its former schema."""
OF_LEDGER: LiteralString = (
    "(c.relname in ('ledger', 'migrations', 'ledger_id_seq')"
    " and (n.nspname = 'orderops_ledger' or n.nspname = 'orderops' and " + FORMER_LEDGER + "))"
)
"""SQL condition on a relation `c` in a namespace `n`: it is the table, the sequence or the view of the ledger."""
# The ledger changes with every migration.
USER_SCHEMAS: LiteralString = (
    "n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'orderops_ledger')"
    " and not (n.nspname = 'orderops' and " + FORMER_LEDGER + ")"
)
"""SQL condition on a namespace `n`: it holds what a migration makes."""
_LEDGER_OBJECT: LiteralString = "case when " + FORMER_LEDGER + " then 'orderops(_ledger)?' else 'orderops_ledger' end"


def _own(catalogue: LiteralString, alias: LiteralString, column: LiteralString = "oid") -> LiteralString:
    """SQL condition: the object belongs to no extension."""
    return (
        "not exists (select from pg_depend d where d.deptype = 'e' and d.classid = '"
        + catalogue
        + "'::regclass and d.objid = "
        + alias
        + "."
        + column
        + ")"
    )


def _role(oid: LiteralString) -> LiteralString:
    """SQL expression: the name of a role. The owner of the schema is named as the user that reads.

    A database is the same before and after it was handed over: a rehearsal of either is one of the other.
    """
    return "coalesce(nullif(pg_get_userbyid(" + oid + "), 'orderops_owner'), session_user)"


def _rights(acl: LiteralString) -> LiteralString:
    """SQL expression: privileges by grantee."""
    # collate "C": the order by name would otherwise depend on the collation of the database.
    return (
        "array(select distinct concat_ws(' ', case g.grantee when 0 then 'public' else " + _role("g.grantee") + " end,"
        " g.privilege_type, case when g.is_grantable then 'grantable' end) collate \"C\" from aclexplode("
        + acl
        + ") g order by 1)"
    )


def _granted(acl: LiteralString, kind: LiteralString, owner: LiteralString) -> LiteralString:
    """SQL expression: privileges by grantee, PostgreSQL's defaults where nothing was granted."""
    return _rights("coalesce(" + acl + ", acldefault('" + kind + "', " + owner + "))")


RELATION: LiteralString = "from pg_class c join pg_namespace n on n.oid = c.relnamespace"
SCHEMA_QUERIES: dict[str, LiteralString] = {
    "schema": "select n.nspname, "
    + _role("n.nspowner")
    + ", "
    + _granted("n.nspacl", "n", "n.nspowner")
    + " from pg_namespace n where "
    + USER_SCHEMAS
    + " and "
    + _own("pg_namespace", "n"),
    "extension": "select e.extname, n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace",
    "relation": "select c.oid::regclass::text, c.relkind, c.relpersistence, " + _role("c.relowner") + ", c.reloptions,"
    " c.relrowsecurity, c.relforcerowsecurity, c.relreplident, (select amname from pg_am a where a.oid = c.relam),"
    " (select spcname from pg_tablespace t where t.oid = c.reltablespace), pg_get_expr(c.relpartbound, c.oid),"
    " case when c.relkind = 'p' then pg_get_partkeydef(c.oid) end, nullif(c.reloftype, 0)::regtype::text,"
    " array(select inhparent::regclass::text from pg_inherits where inhrelid = c.oid order by inhseqno),"
    " case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid) end, "
    + _granted("c.relacl", "r", "c.relowner")
    + " "
    + RELATION
    + " where c.relkind in ('r', 'p', 'v', 'm', 'f') and "
    + USER_SCHEMAS
    + " and "
    + _own("pg_class", "c"),
    "column": "select c.oid::regclass::text || '.' || quote_ident(a.attname),"
    " format_type(a.atttypid, a.atttypmod), a.attnotnull,"
    " nullif(a.attcollation, t.typcollation)::regcollation::text, pg_get_expr(d.adbin, d.adrelid), a.attidentity,"
    " a.attgenerated, nullif(a.attstorage, t.typstorage), a.attcompression, nullif(a.attstattarget, -1), a.attoptions,"
    " a.attislocal, a.attinhcount, "
    + _rights("a.attacl")
    + " "
    + RELATION
    + " join pg_attribute a on a.attrelid = c.oid join pg_type t on t.oid = a.atttypid"
    " left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum"
    " where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'v', 'm', 'f', 'c') and "
    + USER_SCHEMAS
    + " and "
    + _own("pg_class", "c"),
    # Rows and COPY without a column list depend on the order.
    "order of columns": "select c.oid::regclass::text, array(select attname::text from pg_attribute a"
    " where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum) "
    + RELATION
    + " where c.relkind in ('r', 'p', 'f', 'c') and "
    + USER_SCHEMAS
    + " and "
    + _own("pg_class", "c"),
    "constraint": "select coalesce(nullif(o.conrelid, 0)::regclass::text, o.contypid::regtype::text) || '.'"
    " || quote_ident(o.conname), o.contype, pg_get_constraintdef(o.oid), o.convalidated, o.conislocal, o.coninhcount,"
    " o.connoinherit from pg_constraint o join pg_namespace n on n.oid = o.connamespace where "
    + USER_SCHEMAS
    + " and "
    + _own("pg_class", "o", "conrelid")
    + " and "
    + _own("pg_type", "o", "contypid"),
    "index": "select c.oid::regclass::text, pg_get_indexdef(c.oid), i.indisvalid, i.indisclustered, i.indisreplident,"
    " (select spcname from pg_tablespace t where t.oid = c.reltablespace) "
    + RELATION
    + " join pg_index i on i.indexrelid = c.oid where "
    + USER_SCHEMAS
    + " and "
    + _own("pg_class", "c")
    + " and "
    + _own("pg_class", "i", "indrelid"),
    "sequence": "select c.oid::regclass::text, c.relpersistence, " + _role("c.relowner") + ","
    " s.seqtypid::regtype::text, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle,"
    " (select d.refobjid::regclass::text || '.' || a.attname from pg_depend d"
    " join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid"
    " where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i')), "
    + _granted("c.relacl", "s", "c.relowner")
    + " "
    + RELATION
    + " join pg_sequence s on s.seqrelid = c.oid where "
    + USER_SCHEMAS
    + " and "
    + _own("pg_class", "c"),
    "function": "select p.oid::regprocedure::text, p.prokind, " + _role("p.proowner") + ","
    " case when p.prokind <> 'a' then pg_get_functiondef(p.oid)"
    " else (select (to_jsonb(a) - 'aggfnoid' - 'aggtranstype' - 'aggmtranstype' - 'aggsortop')::text"
    " || a.aggtranstype::regtype from pg_aggregate a where a.aggfnoid = p.oid) end, "
    + _granted("p.proacl", "f", "p.proowner")
    + " from pg_proc p join pg_namespace n on n.oid = p.pronamespace where "
    + USER_SCHEMAS
    + " and "
    + _own("pg_proc", "p"),
    "trigger": "select t.tgrelid::regclass::text || '.' || quote_ident(t.tgname), t.tgenabled,"
    " pg_get_triggerdef(t.oid) from pg_trigger t join pg_class c on c.oid = t.tgrelid"
    " join pg_namespace n on n.oid = c.relnamespace where not t.tgisinternal and " + USER_SCHEMAS,
    "trigger of a constraint": "select t.tgrelid::regclass::text || '.' || quote_ident(o.conname), t.tgenabled,"
    " t.tgfoid::regproc::text from pg_trigger t join pg_constraint o on o.oid = t.tgconstraint"
    " join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace"
    " where t.tgisinternal and t.tgenabled <> 'O' and " + USER_SCHEMAS,
    "rule": "select r.ev_class::regclass::text || '.' || quote_ident(r.rulename), r.ev_enabled, pg_get_ruledef(r.oid)"
    " from pg_rewrite r join pg_class c on c.oid = r.ev_class join pg_namespace n on n.oid = c.relnamespace"
    " where r.rulename <> '_RETURN' and " + USER_SCHEMAS,
    "policy": "select p.polrelid::regclass::text || '.' || quote_ident(p.polname), p.polcmd, p.polpermissive,"
    " array(select coalesce((select rolname::text from pg_roles where pg_roles.oid = r.id), 'public') collate \"C\""
    " from unnest(p.polroles) r(id) order by 1), pg_get_expr(p.polqual, p.polrelid),"
    " pg_get_expr(p.polwithcheck, p.polrelid) from pg_policy p join pg_class c on c.oid = p.polrelid"
    " join pg_namespace n on n.oid = c.relnamespace where " + USER_SCHEMAS,
    "statistics": "select s.stxnamespace::regnamespace::text || '.' || quote_ident(s.stxname),"
    " pg_get_statisticsobjdef(s.oid), s.stxstattarget from pg_statistic_ext s"
    " join pg_namespace n on n.oid = s.stxnamespace where " + USER_SCHEMAS,
    "type": "select t.oid::regtype::text, t.typtype, " + _role("t.typowner") + ", t.typnotnull, t.typdefault,"
    " nullif(t.typbasetype, 0)::regtype::text, t.typtypmod, nullif(t.typcollation, 0)::regcollation::text,"
    " array(select enumlabel::text from pg_enum where enumtypid = t.oid order by enumsortorder),"
    " (select rngsubtype::regtype::text from pg_range where rngtypid = t.oid), "
    + _granted("t.typacl", "T", "t.typowner")
    + " from pg_type t join pg_namespace n on n.oid = t.typnamespace"
    " where t.typtype in ('b', 'c', 'd', 'e', 'r') and t.typelem = 0"
    " and (t.typrelid = 0 or exists (select from pg_class c where c.oid = t.typrelid and c.relkind = 'c')) and "
    + USER_SCHEMAS
    + " and "
    + _own("pg_type", "t"),
    "default privileges": "select " + _role("a.defaclrole") + ", nullif(a.defaclnamespace, 0)::regnamespace::text,"
    " a.defaclobjtype, " + _rights("a.defaclacl") + " from pg_default_acl a",
    "publication": "select p.pubname, p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate,"
    " array(select prrelid::regclass::text || coalesce(' where ' || pg_get_expr(prqual, prrelid), '') collate \"C\""
    " from pg_publication_rel where prpubid = p.oid order by 1) from pg_publication p",
    "event trigger": "select e.evtname, e.evtevent, e.evtfoid::regproc::text, e.evtenabled, e.evttags"
    " from pg_event_trigger e where " + _own("pg_event_trigger", "e"),
    "operator": "select o.oid::regoperator::text, o.oprcode::regproc::text from pg_operator o"
    " join pg_namespace n on n.oid = o.oprnamespace where " + USER_SCHEMAS + " and " + _own("pg_operator", "o"),
    "cast": "select c.castsource::regtype::text, c.casttarget::regtype::text,"
    " nullif(c.castfunc, 0)::regprocedure::text, c.castcontext, c.castmethod from pg_cast c where c.oid >= 16384 and "
    + _own("pg_cast", "c"),
    "collation": "select c.oid::regcollation::text, to_jsonb(c) - 'oid' - 'collname' - 'collnamespace' - 'collowner'"
    " - 'collversion' from pg_collation c join pg_namespace n on n.oid = c.collnamespace where "
    + USER_SCHEMAS
    + " and "
    + _own("pg_collation", "c"),
    "beside the ledger": "select c.oid::regclass::text, c.relkind, array(select a.attname || ' ' ||"
    " format_type(a.atttypid, a.atttypmod) from pg_attribute a where a.attrelid = c.oid and a.attnum > 0"
    " and not a.attisdropped order by a.attnum) "
    + RELATION
    + " where not ("
    + USER_SCHEMAS
    + ") and n.nspname in ('orderops', 'orderops_ledger') and not "
    + OF_LEDGER
    + " and c.relkind in ('r', 'p', 'v', 'm', 'f')",
    # PostgreSQL's own thousands of comments are left out before pg_identify_object, which is slow, sees them.
    "comment": "select i.type || ' ' || i.identity, d.description from (select * from pg_description"
    " where objoid >= 16384 or (classoid = 'pg_namespace'::regclass and objoid = to_regnamespace('public'))"
    " offset 0) d, lateral pg_identify_object(d.classoid, d.objoid, d.objsubid) i"
    " where i.identity !~ ('(^|[ (,])' || "
    + _LEDGER_OBJECT
    + " || '([.]|$)') and coalesce(i.schema, '') !~ ('^' || "
    + _LEDGER_OBJECT
    + " || '$')"
    " and not exists (select from pg_depend e where e.deptype = 'e' and e.classid = d.classoid and e.objid = d.objoid)"
    " and i.type <> 'extension'",
}
