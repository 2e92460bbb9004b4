"""The schema according to earlier migrations: keys, types, indexes, and columns proven not to be NULL."""

from __future__ import annotations

from collections.abc import Collection
from copy import copy as copied
from dataclasses import dataclass, field, fields
from typing import Any

from orderops.frozen import Frozen
from orderops.migrations.lint.syntax import (
    columns_in,
    constraint_name,
    dotted,
    index_name,
    kind_of,
    plain,
    strings,
    type_text,
)
from orderops.migrations.sql.locks import enum_name
from orderops.migrations.sql.parser import Statement

# The usual name of a primary key; the rewrite is a proposal, and apply checks the column.
ID = "id"


class PartitionKey(Frozen):
    """How a table is partitioned."""

    strategy: str
    """RANGE, LIST or HASH."""
    columns: tuple[str, ...]
    """Empty strings for expressions."""


class IndexColumns(Frozen):
    """The columns of an index."""

    table: str
    columns: frozenset[str]
    unique: bool = False
    evaluated: frozenset[str] = frozenset()
    """Those in expressions and in the condition of the index, all of them where it has either."""
    made_by: Statement | None = None
    """Its CREATE INDEX; None for the index of a constraint."""


@dataclass
class SchemaHistory:
    """The schema as defined by plain statements; objects created in functions or DO bodies are unknown."""

    keys: dict[str, str] = field(default_factory=dict)
    """Primary key by table, if it is one column."""
    types: dict[tuple[str, str], str] = field(default_factory=dict)
    """Type by table and column, as spelled in SQL."""
    indexes: dict[str, str] = field(default_factory=dict)
    """Table by index."""
    checks: dict[tuple[str, str], str] = field(default_factory=dict)
    """Column that a constraint keeps from being NULL, by table and constraint."""
    filled: set[tuple[str, str]] = field(default_factory=set)
    """Tables and columns that a validated constraint keeps from being NULL."""

    index_columns: dict[str, IndexColumns] = field(default_factory=dict)
    """Columns by index."""
    checked: dict[tuple[str, str], Any] = field(default_factory=dict)
    """Condition of each validated CHECK, by table and constraint."""
    unchecked: dict[tuple[str, str], Any] = field(default_factory=dict)
    """Condition of each CHECK that is NOT VALID."""
    default_partitions: dict[str, str] = field(default_factory=dict)
    """Default partition by partitioned table."""
    constraint_columns: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    """Columns by table and constraint."""
    domains: dict[str, str] = field(default_factory=dict)
    """Type that each domain is stored as."""
    domain_definitions: dict[str, Any] = field(default_factory=dict)
    """The CREATE DOMAIN of each."""
    checked_domains: set[str] = field(default_factory=set)
    """Domains that refuse values."""
    functions: dict[str, Statement] = field(default_factory=dict)
    """The statement that created each function or procedure, by name."""
    with_policies: set[str] = field(default_factory=set)
    """Tables that have a policy."""
    materialized_views: set[str] = field(default_factory=set)
    partition_keys: dict[str, PartitionKey] = field(default_factory=dict)
    """Key by partitioned table."""

    def copy(self) -> SchemaHistory:
        """Return an independent copy."""
        return SchemaHistory(**{known.name: copied(getattr(self, known.name)) for known in fields(self)})

    def key(self, table: str) -> str:
        """The batch column of a table: its primary key, else `id` as a guess."""
        return self.keys.get(table, ID)

    def indexed(self, table: str) -> set[str]:
        """Columns of a table that an index contains."""
        known = [index for index in self.index_columns.values() if index.table == table]
        return {column for index in known for column in index.columns}

    def evaluated(self, table: str) -> list[Collection[str]]:
        """Columns that an expression of an index, its condition or a CHECK is calculated from."""
        of_indexes = [index.evaluated for index in self.index_columns.values() if index.table == table]
        return [*of_indexes, *(columns_in(check) for (owner, _), check in self.checked.items() if owner == table)]

    def learn(self, statement: Statement) -> None:
        """Apply one statement of a V file."""
        tree = statement.tree
        match statement.kind:
            case "create_stmt":
                self._learn_table(tree)
            case "index_stmt":
                name = dotted([tree.relation.schemaname, index_name(tree)])
                self.indexes[name] = plain(tree.relation)
                self.index_columns[name] = _columns_of_index(statement)
            case "drop_stmt" if enum_name(tree, "remove_type") == "OBJECT_INDEX":
                for dropped in tree.objects:
                    self.index_columns.pop(dotted(strings(dropped.list.items)), None)
            case "alter_table_stmt":
                for cmd in tree.cmds:
                    self._learn_command(plain(tree.relation), tree.relation.relname, cmd.alter_table_cmd)
            case "create_function_stmt":
                self.functions[dotted(strings(tree.funcname))] = statement
            case "create_domain_stmt":
                self._learn_domain(tree)
            case "alter_domain_stmt" if tree.subtype in ("O", "C"):
                self.checked_domains.add(dotted(strings(tree.type_name)))
            case "create_policy_stmt":
                self.with_policies.add(plain(tree.table))
            case "create_table_as_stmt" if enum_name(tree, "objtype") == "OBJECT_MATVIEW":
                self.materialized_views.add(plain(tree.into.rel))
            case "rename_stmt" if enum_name(tree, "rename_type") == "OBJECT_COLUMN":
                table = plain(tree.relation)
                if column_type := self.types.pop((table, tree.subname), None):
                    self.types[table, tree.newname] = column_type
                if self.keys.get(table) == tree.subname:
                    self.keys[table] = tree.newname

    def _learn_domain(self, tree: Any) -> None:
        name, base = dotted(strings(tree.domainname)), dotted(strings(tree.type_name.names))
        self.domains[name] = type_text(tree.type_name)
        self.domain_definitions[name] = tree
        kinds = {kind_of(node.constraint) for node in tree.constraints}
        if kinds & {"CONSTR_CHECK", "CONSTR_NOTNULL"} or base in self.checked_domains:
            self.checked_domains.add(name)

    def _learn_table(self, tree: Any) -> None:
        table = plain(tree.relation)
        if tree.HasField("partspec"):
            strategy = enum_name(tree.partspec, "strategy").rpartition("_")[2]
            columns = tuple(part.partition_elem.name for part in tree.partspec.part_params)
            self.partition_keys[table] = PartitionKey(strategy, columns)
        for parent in tree.inh_relations:
            if tree.HasField("partbound") and tree.partbound.is_default:
                self.default_partitions[plain(parent.range_var)] = table
        for element in tree.table_elts:
            if element.HasField("column_def"):
                self._learn_column(table, element.column_def)
            elif element.HasField("constraint"):
                self._learn_constraint(table, tree.relation.relname, element.constraint)

    def _learn_column(self, table: str, column: Any) -> None:
        self.types[table, column.colname] = type_text(column.type_name)
        for node in column.constraints:
            if kind_of(node.constraint) == "CONSTR_PRIMARY":
                self.keys[table] = column.colname
            if kind_of(node.constraint) in ("CONSTR_PRIMARY", "CONSTR_NOTNULL"):
                self.filled.add((table, column.colname))
            self._learn_evaluated(table, table.rpartition(".")[2], node.constraint, column.colname)

    def _learn_command(self, table: str, name: str, command: Any) -> None:
        content = getattr(command, "def") if command.HasField("def") else None
        match enum_name(command, "subtype"):
            case "AT_AddColumn" if content:
                self._learn_column(table, content.column_def)
            case "AT_AlterColumnType" if content:
                self.types[table, command.name] = type_text(content.column_def.type_name)
            case "AT_DropColumn":
                self.types.pop((table, command.name), None)
            case "AT_AddConstraint" if content:
                self._learn_constraint(table, name, content.constraint)
            case "AT_SetNotNull":
                self.filled.add((table, command.name))
            case "AT_DropNotNull":
                self.filled.discard((table, command.name))
            case "AT_AttachPartition" if content and content.partition_cmd.bound.is_default:
                self.default_partitions[table] = plain(content.partition_cmd.name)
            case "AT_ValidateConstraint":
                if check := self.unchecked.pop((table, command.name), None):
                    self.checked[table, command.name] = check
                if column := self.checks.get((table, command.name)):
                    self.filled.add((table, column))
            case "AT_DropConstraint":
                self.checked.pop((table, command.name), None)
                self.unchecked.pop((table, command.name), None)
                self.index_columns.pop(command.name, None)
                if column := self.checks.pop((table, command.name), None):
                    self.filled.discard((table, column))

    def _learn_constraint(self, table: str, name: str, constraint: Any) -> None:
        if kind_of(constraint) == "CONSTR_PRIMARY":
            self.filled |= {(table, key) for key in strings(constraint.keys)}
            if len(constraint.keys) == 1:
                self.keys[table] = strings(constraint.keys)[0]
        self._learn_evaluated(table, name, constraint)
        column = kept_from_null(constraint)
        if column:
            self.checks[table, constraint_name(name, constraint)] = column
            if not constraint.skip_validation:
                self.filled.add((table, column))

    def _learn_evaluated(self, table: str, name: str, constraint: Any, column: str = "") -> None:
        """Record the columns of a constraint, and its index or the condition of a CHECK."""
        named = constraint_name(name, constraint, column)
        keys = [*strings(constraint.keys), *strings(constraint.fk_attrs), *columns_in(constraint.raw_expr), column]
        self.constraint_columns[table, named] = frozenset(filter(None, keys))
        match kind_of(constraint):
            case "CONSTR_CHECK":
                known = self.unchecked if constraint.skip_validation else self.checked
                known[table, named] = constraint.raw_expr
            case "CONSTR_PRIMARY" | "CONSTR_UNIQUE":
                columns = [*strings(constraint.keys), *strings(constraint.including), column]
                self.index_columns[named] = IndexColumns(table, frozenset(filter(None, columns)), unique=True)


def _columns_of_index(statement: Statement) -> IndexColumns:
    index = statement.tree
    params = [param.index_elem for param in [*index.index_params, *index.index_including_params]]
    named = {param.name for param in params if param.name}
    evaluated = {column for param in params for column in columns_in(param)} | set(columns_in(index.where_clause))
    # With one expression or a condition, PostgreSQL builds the whole index anew.
    whole, again = frozenset(named | evaluated), frozenset(evaluated and named | evaluated)
    return IndexColumns(plain(index.relation), whole, index.unique and not evaluated, again, statement)


def kept_from_null(constraint: Any) -> str:
    """The column of CHECK (column IS NOT NULL) or NOT NULL; empty for other constraints."""
    if kind_of(constraint) == "CONSTR_NOTNULL":
        return "".join(strings(constraint.keys)[:1])
    test = constraint.raw_expr.null_test
    fields = test.arg.column_ref.fields
    is_not = constraint.raw_expr.HasField("null_test") and enum_name(test, "nulltesttype") == "IS_NOT_NULL"
    return str(fields[-1].string.sval) if is_not and fields else ""
