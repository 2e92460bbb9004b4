"""Which tables and columns a statement removes data from, by the current catalogue.

Statements are followed in order, so tables that an earlier statement renames, moves or creates keep their identity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, LiteralString

from orderops.frozen import Frozen
from orderops.migrations.sql.locks import enum_name
from orderops.migrations.sql.parser import Statement, identifier, words_at_top

if TYPE_CHECKING:
    from psycopg import Connection

DEPENDENT: LiteralString = """
with recursive gone(class, object, part) as (
    select %(class)s::regclass::oid, %(object)s::oid, 0
    union
    select d.classid, d.objid, d.objsubid from gone join pg_depend d
    on d.refclassid = class and d.refobjid = object and (part = 0 or d.refobjsubid = part)
)
select c.oid, coalesce(a.attname, '') from gone
join pg_class c on class = 'pg_class'::regclass and c.oid = object and c.relkind in ('r', 'p')
left join pg_attribute a on a.attrelid = c.oid and a.attnum = part and part > 0
where (part = 0 or a.attgenerated = '') and not (c.relispartition and exists (
    select from pg_inherits join gone g on g.class = 'pg_class'::regclass and g.object = inhparent
    where inhrelid = c.oid))
order by part > 0, c.oid, part
"""
"""Tables and columns that CASCADE drops with an object; a partition's rows count for its table."""
EMPTIED: LiteralString = """
with recursive emptied(relation) as (
    select %(object)s::oid
    union
    select conrelid from emptied join pg_constraint on confrelid = relation and contype = 'f'
        and (%(truncated)s or confdeltype = 'c')
)
select relation from emptied join pg_class on oid = relation where relation <> %(object)s and not relispartition
"""
"""Tables whose rows are removed together with those of another."""
OWNED: LiteralString = """
select oid from pg_class where relkind in ('r', 'p') and relowner in (
    select to_regrole(quote_ident(coalesce(nullif(r, ''), current_user)))::oid from unnest(%s::text[]) r)
"""
CATALOGUES = {
    "OBJECT_TABLE": "pg_class",
    "OBJECT_SCHEMA": "pg_namespace",
    "OBJECT_TYPE": "pg_type",
    "OBJECT_DOMAIN": "pg_type",
    "OBJECT_EXTENSION": "pg_extension",
}


class AffectedData(Frozen):
    """A table's rows, or a column's values."""

    table: int
    """Its oid."""
    queries: Sequence[str]
    """Queries that return whether data exists; the first that does not fail decides."""
    column: str = ""
    all_rows: bool = True


class LossAnalyzer:
    """Follows the statements of an undo in order, without running them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tables: dict[tuple[str, str], int | None] = {}
        """Oids by the names that earlier statements give; None for a table that was dropped or newly created."""
        self._columns: dict[tuple[int, str], str] = {}
        self._schemas: dict[str, str] = {}

    def by(self, statement: Statement) -> Iterator[AffectedData]:
        """Yield the existing rows and values that a statement removes."""
        analyze = ANALYSES.get(statement.kind)
        if analyze:
            yield from analyze(self, statement) or ()
        if statement.kind in WITH_CLAUSE:
            for expression in statement.tree.with_clause.ctes:
                query = expression.common_table_expr.ctequery
                if query.HasField("delete_stmt"):
                    yield from self._emptied(self._table(query.delete_stmt.relation), truncated=False)

    def rows(self, table: int) -> AffectedData:
        """The rows of a table."""
        return AffectedData(table, [f"select exists (select from {self.name(table)})"])

    def values(self, table: int, column: str) -> Iterator[AffectedData]:
        """The values of a column; none if the table has no such column, or if they are computed."""
        # A generated column can be computed again, so its values are no loss.
        given = (
            "select true from pg_attribute where attrelid = %s and attname = %s and attgenerated = '' and attnum > 0"
        )
        if self._connection.execute(given, [table, column]).fetchone():
            held = f"select exists (select from {self.name(table)} where {identifier('', column)} is not null)"
            yield AffectedData(table, [held], column)

    def name(self, table: int) -> str:
        """The name of a table, as spelled in SQL."""
        return str(self._one("select %s::oid::regclass::text", table))

    def _set_variable(self, statement: Statement) -> None:
        # Names of later statements depend on it; the caller rolls the setting back.
        if statement.tree.name == "search_path":
            self._connection.execute(statement.text.encode())

    def _select(self, statement: Statement) -> None:
        if statement.tree.HasField("into_clause"):
            self._make(statement.tree.into_clause.rel)

    def _merge(self, statement: Statement) -> Iterator[AffectedData]:
        if any(_deletes(clause.merge_when_clause) for clause in statement.tree.merge_when_clauses):
            yield from self._emptied(self._table(statement.tree.relation), truncated=False)

    # names after the earlier statements

    def _table(self, relation: Any) -> int | None:
        return self._found(relation.schemaname, relation.relname)[1]

    def _found(self, schema: str, name: str) -> tuple[str, int | None]:
        """The schema that a name resolves to after the earlier statements, and its current oid."""
        path = [schema] if schema else self._search_path()
        for candidate in path:
            if (candidate, name) in self._tables:
                return candidate, self._tables[candidate, name]
            if table := self._one("select to_regclass(%s)::oid", self._now(candidate, name)):
                return candidate, int(table)
        return next(iter(path), ""), None

    def _search_path(self) -> list[str]:
        renamed = {old: new for new, old in self._schemas.items()}
        row = self._one("select current_schemas(false)::text[]")
        return [renamed.get(schema, schema) for schema in row]

    def _now(self, schema: str, name: str) -> str:
        return identifier(self._schemas.get(schema, schema), name)

    def _make(self, relation: Any) -> None:
        schema, table = self._found(relation.schemaname, relation.relname)
        if table is None:
            self._tables[schema, relation.relname] = None

    def _rename(self, statement: Statement) -> None:
        tree = statement.tree
        what = enum_name(tree, "rename_type" if statement.kind == "rename_stmt" else "object_type")
        if what == "OBJECT_SCHEMA":
            self._schemas[tree.newname] = self._schemas.get(tree.subname, tree.subname)
        elif what == "OBJECT_TABLE":
            schema, table = self._found(tree.relation.schemaname, tree.relation.relname)
            moved = statement.kind == "alter_object_schema_stmt"
            new = (tree.newschema, tree.relation.relname) if moved else (schema, tree.newname)
            self._tables |= {(schema, tree.relation.relname): None, new: table}
        elif what == "OBJECT_COLUMN" and (table := self._table(tree.relation)):
            self._columns[table, tree.newname] = self._columns.get((table, tree.subname), tree.subname)

    # what a statement removes

    def _drop(self, tree: Any) -> Iterator[AffectedData]:
        dropped = enum_name(tree, "remove_type")
        cascade = enum_name(tree, "behavior") == "DROP_CASCADE" or dropped == "OBJECT_SCHEMA"
        for object in tree.objects:
            number = self._object(dropped, object)
            if number is None:
                continue
            if cascade:
                yield from self._dependent(CATALOGUES[dropped], number)
            elif dropped == "OBJECT_TABLE":
                yield self.rows(number)
            if dropped == "OBJECT_TABLE":
                *schema, name = (part.string.sval for part in object.list.items)
                self._tables[self._found("".join(schema[-1:]), name)[0], name] = None

    def _object(self, kind: str, named: Any) -> int | None:
        match kind:
            case "OBJECT_TABLE":
                *schema, name = (part.string.sval for part in named.list.items)
                return self._found("".join(schema[-1:]), name)[1]
            case "OBJECT_SCHEMA":
                name = named.string.sval
                return self._number("select oid from pg_namespace where nspname = %s", self._schemas.get(name, name))
            case "OBJECT_EXTENSION":
                return self._number("select oid from pg_extension where extname = %s", named.string.sval)
            case "OBJECT_TYPE" | "OBJECT_DOMAIN":
                *schema, name = (part.string.sval for part in named.type_name.names)
                return self._number("select to_regtype(%s)::oid", self._now("".join(schema[-1:]), name))
        return None

    def _drop_owned(self, roles: Sequence[str]) -> Iterator[AffectedData]:
        tables = self._connection.execute(OWNED, [list(roles)]).fetchall()
        yield from (self.rows(table) for (table,) in tables)

    def _alter(self, tree: Any) -> Iterator[AffectedData]:
        table = self._table(tree.relation)
        for cmd in tree.cmds:
            if table is None or enum_name(cmd.alter_table_cmd, "subtype") != "AT_DropColumn":
                continue
            if enum_name(tree, "objtype") == "OBJECT_TYPE":
                yield from self._dependent("pg_class", table)
            else:
                name = cmd.alter_table_cmd.name
                yield from self.values(table, self._columns.get((table, name), name))

    def _truncate(self, tree: Any) -> Iterator[AffectedData]:
        cascade = enum_name(tree, "behavior") == "DROP_CASCADE"
        for relation in tree.relations:
            table = self._table(relation.range_var)
            if cascade:
                yield from self._emptied(table, truncated=True)
            elif table is not None:
                yield self.rows(table)

    def _delete(self, statement: Statement) -> Iterator[AffectedData]:
        """The rows that match the condition, if the statement is simple enough to query them; else all."""
        tree = statement.tree
        table = self._table(tree.relation)
        plain = not (tree.using_clause or tree.HasField("with_clause") or tree.HasField("returning_clause"))
        where = next((end for word, _, end in words_at_top(statement.text) if word == "WHERE"), None)
        if table is None or not plain or where is None:
            yield from self._emptied(table, truncated=False)
            return
        alias = tree.relation.alias.aliasname if tree.relation.HasField("alias") else tree.relation.relname
        met = f"from {self.name(table)} as {identifier('', alias)} where {statement.text[where:]}\n"
        rows = self.rows(table)
        yield AffectedData(table, [f"select exists (select {met})", *rows.queries], all_rows=False)
        yield from (
            AffectedData(other.table, [f"select exists (select {met}) and ({other.queries[0]})"], all_rows=False)
            for other in self._emptied(table, truncated=False)
            if other.table != table
        )

    def _emptied(self, table: int | None, *, truncated: bool) -> Iterator[AffectedData]:
        """The rows of a table, and of the tables that lose rows with it."""
        if table is not None:
            yield AffectedData(table, self.rows(table).queries, all_rows=truncated)
            for (other,) in self._connection.execute(EMPTIED, {"object": table, "truncated": truncated}).fetchall():
                yield AffectedData(other, self.rows(other).queries, all_rows=truncated)

    def _dependent(self, catalogue: str, number: int) -> Iterator[AffectedData]:
        rows = self._connection.execute(DEPENDENT, {"class": catalogue, "object": number}).fetchall()
        tables = {table for table, column in rows if not column}
        for table, column in rows:
            if not column:
                yield self.rows(table)
            elif table not in tables:
                yield from self.values(table, column)

    def _number(self, query: LiteralString, *values: object) -> int | None:
        number = self._one(query, *values)
        return int(number) if number is not None else None

    def _one(self, query: LiteralString, *values: object) -> Any:
        row = self._connection.execute(query, values).fetchone()
        return row[0] if row else None


def _deletes(clause: Any) -> bool:
    return enum_name(clause, "command_type") == "CMD_DELETE"


WITH_CLAUSE = frozenset({"select_stmt", "insert_stmt", "update_stmt", "delete_stmt", "merge_stmt"})
"""Kinds of statements that can delete rows in a WITH clause."""
ANALYSES: Mapping[str, Callable[[LossAnalyzer, Statement], Iterable[AffectedData] | None]] = {
    "variable_set_stmt": LossAnalyzer._set_variable,
    "rename_stmt": LossAnalyzer._rename,
    "alter_object_schema_stmt": LossAnalyzer._rename,
    "create_stmt": lambda analyzer, statement: analyzer._make(statement.tree.relation),
    "create_table_as_stmt": lambda analyzer, statement: analyzer._make(statement.tree.into.rel),
    "select_stmt": LossAnalyzer._select,
    "drop_stmt": lambda analyzer, statement: analyzer._drop(statement.tree),
    "drop_owned_stmt": lambda analyzer, statement: analyzer._drop_owned(
        [role.role_spec.rolename for role in statement.tree.roles]
    ),
    "alter_table_stmt": lambda analyzer, statement: analyzer._alter(statement.tree),
    "truncate_stmt": lambda analyzer, statement: analyzer._truncate(statement.tree),
    "delete_stmt": LossAnalyzer._delete,
    "merge_stmt": LossAnalyzer._merge,
}
"""The analysis of each kind of statement; those that only rename or create return None."""
