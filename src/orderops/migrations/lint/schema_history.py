"""The schema according to earlier migrations: keys, types, indexes, and columns proven not to be NULL."""

from __future__ import annotations

from copy import copy as copied
from dataclasses import dataclass, field, fields
from typing import Any

from orderops.migrations.lint.syntax import constraint_name, dotted, index_name, kind_of, plain, strings, type_text
from orderops.migrations.sql.locks import enum_name
from orderops.migrations.sql.parser import Statement

# The usual name of a primary key; the rewrite is a proposal, and apply checks the column.
ID = "id"


@dataclass(frozen=True)
class PartitionKey:
    """How a table is partitioned."""

    strategy: str
    """RANGE, LIST or HASH."""
    columns: tuple[str, ...]
    """Empty strings for expressions."""


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

    partition_keys: dict[str, PartitionKey] = field(default_factory=dict)
    """Key by partitioned table."""

    def copy(self) -> SchemaHistory:
        """Return an independent copy."""
        return SchemaHistory(**{known.name: copied(getattr(self, known.name)) for known in fields(self)})

    def key(self, table: str) -> str:
        """The batch column of a table: its primary key, else `id` as a guess."""
        return self.keys.get(table, ID)

    def learn(self, statement: Statement) -> None:
        """Apply one statement of a V file."""
        tree = statement.tree
        match statement.kind:
            case "create_stmt":
                self._learn_table(tree)
            case "index_stmt":
                self.indexes[dotted([tree.relation.schemaname, index_name(tree)])] = plain(tree.relation)
            case "alter_table_stmt":
                for cmd in tree.cmds:
                    self._learn_command(plain(tree.relation), tree.relation.relname, cmd.alter_table_cmd)
            case "rename_stmt" if enum_name(tree, "rename_type") == "OBJECT_COLUMN":
                table = plain(tree.relation)
                if column_type := self.types.pop((table, tree.subname), None):
                    self.types[table, tree.newname] = column_type
                if self.keys.get(table) == tree.subname:
                    self.keys[table] = tree.newname

    def _learn_table(self, tree: Any) -> None:
        table = plain(tree.relation)
        if tree.HasField("partspec"):
            strategy = enum_name(tree.partspec, "strategy").rpartition("_")[2]
            columns = tuple(part.partition_elem.name for part in tree.partspec.part_params)
            self.partition_keys[table] = PartitionKey(strategy, columns)
        for element in tree.table_elts:
            if element.HasField("column_def"):
                self._learn_column(table, element.column_def)
            elif element.HasField("constraint") and kind_of(element.constraint) == "CONSTR_PRIMARY":
                keys = strings(element.constraint.keys)
                if len(keys) == 1:
                    self.keys[table] = keys[0]

    def _learn_column(self, table: str, column: Any) -> None:
        self.types[table, column.colname] = type_text(column.type_name)
        if any(kind_of(constraint.constraint) == "CONSTR_PRIMARY" for constraint in column.constraints):
            self.keys[table] = column.colname

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
            case "AT_ValidateConstraint" if (table, command.name) in self.checks:
                self.filled.add((table, self.checks[table, command.name]))
            case "AT_DropConstraint" if (table, command.name) in self.checks:
                self.filled.discard((table, self.checks.pop((table, command.name))))

    def _learn_constraint(self, table: str, name: str, constraint: Any) -> None:
        if kind_of(constraint) == "CONSTR_PRIMARY" and len(constraint.keys) == 1:
            self.keys[table] = strings(constraint.keys)[0]
        column = kept_from_null(constraint)
        if column:
            self.checks[table, constraint_name(name, constraint)] = column
            if not constraint.skip_validation:
                self.filled.add((table, column))


def kept_from_null(constraint: Any) -> str:
    """The column of CHECK (column IS NOT NULL) or NOT NULL; empty for other constraints."""
    if kind_of(constraint) == "CONSTR_NOTNULL":
        return "".join(strings(constraint.keys)[:1])
    test = constraint.raw_expr.null_test
    fields = test.arg.column_ref.fields
    is_not = constraint.raw_expr.HasField("null_test") and enum_name(test, "nulltesttype") == "IS_NOT_NULL"
    return str(fields[-1].string.sval) if is_not and fields else ""
