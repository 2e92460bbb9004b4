"""Objects that a file creates and removes: tables, columns, indexes, constraints, views, functions and others.

A rename removes one name and creates another. An object created and removed in the same file counts as neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orderops.frozen import Frozen
from orderops.migrations.lint.syntax import columns_in, constraint_name, dotted, index_name, plain, strings
from orderops.migrations.sql.locks import enum_name
from orderops.migrations.sql.parser import Statement

DROPPED = {
    "OBJECT_TABLE": "table",
    "OBJECT_FOREIGN_TABLE": "table",
    "OBJECT_INDEX": "index",
    "OBJECT_VIEW": "view",
    "OBJECT_MATVIEW": "materialized view",
    "OBJECT_SEQUENCE": "sequence",
    "OBJECT_FUNCTION": "function",
    "OBJECT_PROCEDURE": "function",
    "OBJECT_ROUTINE": "function",
    "OBJECT_TYPE": "type",
    "OBJECT_DOMAIN": "type",
    "OBJECT_SCHEMA": "schema",
    "OBJECT_EXTENSION": "extension",
    "OBJECT_TRIGGER": "trigger",
    "OBJECT_POLICY": "policy",
    "OBJECT_RULE": "rule",
}
OF_A_TABLE = {
    "OBJECT_COLUMN": "column",
    "OBJECT_TABCONSTRAINT": "constraint",
    "OBJECT_TRIGGER": "trigger",
    "OBJECT_POLICY": "policy",
    "OBJECT_RULE": "rule",
}


class SchemaObject(Frozen):
    """A named object of a schema."""

    kind: str
    name: str
    table: str = ""
    """The table that it belongs to."""

    def __str__(self) -> str:
        return f"the {self.kind} {self.name}" + (f" of {self.table}" if self.table else "")


class Made(Frozen):
    """The statement of an object, and the objects that it is dropped with."""

    statement: Statement
    table: str = ""
    """The table that it is dropped with."""
    columns: frozenset[str] = frozenset()
    """The columns that it is dropped with."""


@dataclass
class Effects:
    """Objects that a file creates, removes and replaces."""

    made: dict[SchemaObject, Made] = field(default_factory=dict)
    removed: dict[SchemaObject, Made] = field(default_factory=dict)
    remade: dict[SchemaObject, Made] = field(default_factory=dict)
    """Removed and created again, or replaced; it may have existed before."""
    cascades: bool = False
    """Whether a DROP … CASCADE may drop objects that the file does not name."""
    opaque: bool = False
    """Whether the file runs code with unknown effects, such as a DO body."""

    def make(self, item: SchemaObject, statement: Statement, table: str = "", columns: Sequence[str] = ()) -> None:
        """Record a new object."""
        replaced = self.removed.pop(item, None) is not None
        (self.remade if replaced else self.made)[item] = Made(statement, table or item.table, frozenset(columns))

    def remove(self, item: SchemaObject, statement: Statement) -> None:
        """Record a removed object and the objects dropped with it."""
        if item.kind in ("table", "schema"):
            self._remove_parts(item)
        if self.made.pop(item, None) is None:
            self.removed[item] = Made(statement, item.table)

    def _remove_parts(self, whole: SchemaObject) -> None:
        for items in (self.made, self.removed, self.remade):
            for item in [part for part, made in items.items() if part != whole and goes_with(part, made, whole)]:
                del items[item]


def goes_with(item: SchemaObject, made: Made, whole: SchemaObject) -> bool:
    """Whether an object is dropped together with another one."""
    match whole.kind:
        case "schema":
            return item.name.startswith(f"{whole.name}.") or made.table.startswith(f"{whole.name}.")
        case "table" | "view" | "materialized view":
            return made.table == whole.name
        case "column":
            return made.table == whole.table and whole.name in made.columns
        case "constraint":
            return item.kind == "index" and item.name.rpartition(".")[2] == whole.name
    return False


def effects(statements: Sequence[Statement], *, names: str) -> Effects:
    """Collect the effects of a file; `names` is "first" or "last": the name by which a renamed table is recorded."""
    result = Effects()
    first: dict[str, str] = {}
    for statement in statements:
        for item, made, table, columns in _changes(statement):
            if item.table in first:
                item = SchemaObject(item.kind, item.name, first[item.table])
            if made:
                result.make(item, statement, first.get(table, table), columns)
            else:
                result.remove(item, statement)
        _own_sequence(result, statement)
        _note(result, statement)
        if statement.kind == "rename_stmt" and enum_name(statement.tree, "rename_type") == "OBJECT_TABLE":
            old = plain(statement.tree.relation)
            new = dotted([statement.tree.relation.schemaname, statement.tree.newname])
            if names == "first":
                first[new] = first.get(old, old)
            else:
                _rename_table(result, old, new)
    return result


def _own_sequence(result: Effects, statement: Statement) -> None:
    """ALTER SEQUENCE … OWNED BY lets a sequence go with a column."""
    owner = _owner_of_sequence(statement.tree) if statement.kind == "alter_seq_stmt" else []
    item = SchemaObject("sequence", plain(statement.tree.sequence)) if owner else None
    if item in result.made:
        result.made[item] = Made(result.made[item].statement, dotted(owner[:-1]), frozenset(owner[-1:]))


def _note(result: Effects, statement: Statement) -> None:
    tree = statement.tree
    result.opaque |= statement.kind in ("do_stmt", "call_stmt", "drop_owned_stmt")
    result.opaque |= statement.kind == "select_stmt" and not tree.HasField("into_clause")
    if statement.kind == "drop_stmt":
        result.cascades |= enum_name(tree, "behavior") == "DROP_CASCADE"
    replaced = _replaced(statement)
    if replaced and replaced in result.made:
        result.remade[replaced] = result.made.pop(replaced)
    for name in _taken_over(statement):
        if index := result.made.pop(SchemaObject("index", name), None):
            _with_columns(result, statement, index.columns)


def _replaced(statement: Statement) -> SchemaObject | None:
    tree = statement.tree
    if statement.kind in ("create_function_stmt", "view_stmt", "create_trig_stmt") and tree.replace:
        return next((item for item, _, _, _ in _changes(statement)), None)
    return None


def _with_columns(result: Effects, statement: Statement, columns: frozenset[str]) -> None:
    for item, made in result.made.items():
        if made.statement is statement and item.kind == "constraint":
            result.made[item] = Made(statement, made.table, made.columns | columns)


def _taken_over(statement: Statement) -> list[str]:
    """Indexes that become part of a constraint."""
    if statement.kind != "alter_table_stmt":
        return []
    added = [cmd.alter_table_cmd for cmd in statement.tree.cmds if cmd.alter_table_cmd.HasField("def")]
    named = [getattr(command, "def").constraint.indexname for command in added]
    return [dotted([statement.tree.relation.schemaname, name]) for name in named if name]


def _rename_table(result: Effects, old: str, new: str) -> None:
    for items in (result.made, result.removed, result.remade):
        renamed = [
            (
                SchemaObject(item.kind, item.name, new) if item.table == old else item,
                Made(made.statement, new, made.columns) if made.table == old else made,
            )
            for item, made in items.items()
        ]
        items.clear()
        items.update(renamed)


Change = tuple[SchemaObject, bool, str, Sequence[str]]
"""An object, whether it is created (else removed), and the table and columns that it is dropped with."""


def _changes(statement: Statement) -> Iterator[Change]:
    tree = statement.tree
    match statement.kind:
        case "alter_table_stmt":
            yield from _altered(tree)
        case "drop_stmt":
            yield from ((item, False, "", ()) for item in _dropped(tree))
        case "rename_stmt":
            yield from _renamed(tree)
        case "index_stmt":
            table = plain(tree.relation)
            columns = [param.index_elem.name for param in tree.index_params]
            columns += [name for param in tree.index_params for name in columns_in(param)]
            columns += [param.index_elem.name for param in tree.index_including_params]
            columns += columns_in(tree.where_clause)
            yield SchemaObject("index", dotted([tree.relation.schemaname, index_name(tree)])), True, table, columns
        case "create_seq_stmt":
            owner = _owner_of_sequence(tree)
            yield SchemaObject("sequence", plain(tree.sequence)), True, dotted(owner[:-1]), owner[-1:]
        case _:
            made = _created(statement)
            if made:
                yield made, True, "", ()


def _owner_of_sequence(tree: Any) -> list[str]:
    """The table and column that OWNED BY names, as parts of a name."""
    options = (option.def_elem for option in tree.options)
    return next((strings(option.arg.list.items) for option in options if option.defname == "owned_by"), [])


def _created(statement: Statement) -> SchemaObject | None:
    """The object of a CREATE; None for temporary objects and other statements."""
    find = CREATED.get(statement.kind)
    return find(statement.tree) if find else None


def _created_relation(kind: str, relation: Any) -> SchemaObject | None:
    # A temporary relation ends with the session, so an undo has nothing to remove.
    return None if relation.relpersistence == "t" else SchemaObject(kind, plain(relation))


def _created_from_query(tree: Any) -> SchemaObject | None:
    kind = "materialized view" if enum_name(tree, "objtype") == "OBJECT_MATVIEW" else "table"
    return _created_relation(kind, tree.into.rel)


def _selected_into(tree: Any) -> SchemaObject | None:
    return _created_relation("table", tree.into_clause.rel) if tree.HasField("into_clause") else None


CREATED: Mapping[str, Callable[[Any], SchemaObject | None]] = {
    "create_stmt": lambda tree: _created_relation("table", tree.relation),
    "create_foreign_table_stmt": lambda tree: SchemaObject("table", plain(tree.base_stmt.relation)),
    "create_table_as_stmt": _created_from_query,
    "select_stmt": _selected_into,
    "view_stmt": lambda tree: _created_relation("view", tree.view),
    "create_trig_stmt": lambda tree: SchemaObject("trigger", tree.trigname, plain(tree.relation)),
    "create_policy_stmt": lambda tree: SchemaObject("policy", tree.policy_name, plain(tree.table)),
    "rule_stmt": lambda tree: SchemaObject("rule", tree.rulename, plain(tree.relation)),
    "create_function_stmt": lambda tree: SchemaObject("function", dotted(strings(tree.funcname))),
    "create_enum_stmt": lambda tree: SchemaObject("type", dotted(strings(tree.type_name))),
    "create_range_stmt": lambda tree: SchemaObject("type", dotted(strings(tree.type_name))),
    "composite_type_stmt": lambda tree: SchemaObject("type", plain(tree.typevar)),
    "create_domain_stmt": lambda tree: SchemaObject("type", dotted(strings(tree.domainname))),
    "create_schema_stmt": lambda tree: SchemaObject("schema", tree.schemaname) if tree.schemaname else None,
    "create_extension_stmt": lambda tree: SchemaObject("extension", tree.extname),
}
"""The object that each kind of statement creates."""


def _altered(tree: Any) -> Iterator[Change]:
    if enum_name(tree, "objtype") not in ("OBJECT_TABLE", "OBJECT_FOREIGN_TABLE"):
        return
    table = plain(tree.relation)
    for cmd in tree.cmds:
        command = cmd.alter_table_cmd
        content = getattr(command, "def") if command.HasField("def") else None
        match enum_name(command, "subtype"):
            case "AT_AddColumn" if content:
                yield SchemaObject("column", content.column_def.colname, table), True, "", ()
            case "AT_DropColumn":
                yield SchemaObject("column", command.name, table), False, "", ()
            case "AT_AddConstraint" if content:
                constraint = content.constraint
                columns = [*strings(constraint.keys), *strings(constraint.fk_attrs), *columns_in(constraint.raw_expr)]
                yield (
                    SchemaObject("constraint", constraint_name(tree.relation.relname, constraint), table),
                    True,
                    "",
                    columns,
                )
            case "AT_DropConstraint":
                yield SchemaObject("constraint", command.name, table), False, "", ()


def _dropped(tree: Any) -> Iterator[SchemaObject]:
    remove_type = enum_name(tree, "remove_type")
    kind = DROPPED.get(remove_type)
    for dropped in tree.objects if kind else ():
        if dropped.HasField("object_with_args"):
            names = strings(dropped.object_with_args.objname)
        elif dropped.HasField("type_name"):
            names = strings(dropped.type_name.names)
        else:
            names = strings(dropped.list.items) or [dropped.string.sval]
        if remove_type in OF_A_TABLE:
            yield SchemaObject(str(kind), names[-1], dotted(names[:-1]))
        else:
            yield SchemaObject(str(kind), dotted(names))


def _renamed(tree: Any) -> Iterator[Change]:
    kind = enum_name(tree, "rename_type")
    if kind in OF_A_TABLE:
        table = plain(tree.relation)
        yield SchemaObject(OF_A_TABLE[kind], tree.subname, table), False, "", ()
        yield SchemaObject(OF_A_TABLE[kind], tree.newname, table), True, "", ()
    elif kind in DROPPED:
        if tree.HasField("relation"):
            names = [tree.relation.schemaname, tree.relation.relname]
        elif tree.HasField("object"):
            whole = tree.object
            names = strings(whole.object_with_args.objname if whole.HasField("object_with_args") else whole.list.items)
        else:
            names = [tree.subname]
        yield SchemaObject(DROPPED[kind], dotted(names)), False, "", ()
        yield SchemaObject(DROPPED[kind], dotted([*names[:-1], tree.newname])), True, "", ()
