"""Filter squawk's findings: new tables, undos and harmless forms of a statement need no finding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from orderops.frozen import Frozen
from orderops.migrations.lint.column_steps import is_serial, same_for_every_row, with_attributes
from orderops.migrations.lint.context import Command, LintContext
from orderops.migrations.lint.squawk import SquawkFinding
from orderops.migrations.lint.syntax import (
    constraint_name,
    dotted,
    index_name,
    kind_of,
    plain,
    strings,
)
from orderops.migrations.lint.type_changes import without_rewrite
from orderops.migrations.sql.locks import enum_name
from orderops.migrations.sql.parser import Statement

TYPES = frozenset(
    {
        "prefer-bigint-over-int",
        "prefer-bigint-over-smallint",
        "prefer-timestamp-tz",
        "prefer-identity",
        "ban-char-field",
        "identifier-too-long",
        "ban-create-domain-with-constraint",
        "ban-duplicate-column-assignments",
    }
)
"""Rules that also apply to new tables."""
NOT_BACK = ("ban-drop-", "renaming-", "ban-set-schema", "ban-alter-identity", "prefer-", "ban-char-field")
# An undo has to break these rules: it removes what the newer release uses, and restores the old definitions.


class SquawkCase(Frozen):
    """A finding of squawk, and the statement it is about."""

    context: LintContext
    finding: SquawkFinding
    statement: Statement
    command: Command | None
    offset: int
    """Position in the file, in characters."""

    @property
    def relation(self) -> Any:
        """The table's node in the parse tree."""
        return self.statement.tree.relation

    @property
    def content(self) -> Any:
        """The definition in the ALTER TABLE command, or None."""
        return getattr(self.command.node, "def") if self.command else None

    @property
    def constraint(self) -> Any:
        """The added constraint, or None."""
        return self.content.constraint if self.command and self.command.kind == "AT_AddConstraint" else None

    @cached_property
    def column(self) -> Any:
        """The column definition it is about, or None."""
        if self.command and self.command.kind == "AT_AddColumn":
            return self.content.column_def
        byte = len(self.context.text_without_data[: self.offset].encode())
        before = [column for column in self.context.columns_defined(self.statement) if column.location <= byte]
        return max(before, key=lambda column: column.location, default=None)


def applies(case: SquawkCase) -> bool:
    """Whether a finding of squawk describes a real problem here."""
    name = case.finding.rule
    if (name not in TYPES and _on_new_table(case)) or (case.context.back and name.startswith(NOT_BACK)):
        return False
    is_harmless = HARMLESS.get(name)
    return not (is_harmless and is_harmless(case))


def _not_valid_elsewhere(case: SquawkCase) -> bool:
    """Another rule covers this kind of constraint, or no row is checked."""
    return case.constraint is not None and (_has_its_own_rule(case.constraint) or _not_enforced(case))


def _not_enforced(case: SquawkCase) -> bool:
    """PostgreSQL checks no row against NOT ENFORCED."""
    if case.constraint is not None:
        return kind_of(case.constraint) in ("CONSTR_CHECK", "CONSTR_FOREIGN") and not case.constraint.is_enforced
    column = case.column and with_attributes(case.column)
    references = (
        [node.constraint for node in column.constraints if node.constraint.HasField("pktable")] if column else []
    )
    return bool(references) and not any(constraint.is_enforced for constraint in references)


def _no_row_refers(case: SquawkCase) -> bool:
    """PostgreSQL knows that a new column without a default is NULL in every row, and looks nothing up."""
    if case.constraint is None and case.column is not None and not _fills_itself(case.column):
        return True
    return _not_enforced(case)


def _filled_column(case: SquawkCase) -> bool:
    return case.column is not None and _fills_itself(case.column)


def _constant_default(case: SquawkCase) -> bool:
    # PostgreSQL 11 and later store such a default in the catalogue and rewrite nothing.
    return case.column is not None and same_for_every_row(case.column)


def _known_not_null(case: SquawkCase) -> bool:
    """An earlier statement has proven that the column holds no null."""
    column = (plain(case.relation), case.command.node.name) if case.command else ("", "")
    return column in case.context.history.filled


def _widened_type(case: SquawkCase) -> bool:
    return case.command is not None and without_rewrite(case.context, case.relation, case.command)


def _not_a_row_number(case: SquawkCase) -> bool:
    """An integer that no sequence counts up does not run out."""
    return case.column is None or not _numbers_rows(case.column)


def _index_of_dropped_table(case: SquawkCase) -> bool:
    return case.statement.kind == "drop_stmt" and _goes_with_its_table(case)


def _index_of_view(case: SquawkCase) -> bool:
    """No client writes a materialized view, and its reads go on."""
    return plain(case.relation) in case.context.history.materialized_views


def _renamed_index_or_constraint(case: SquawkCase) -> bool:
    """No query names an index or a constraint."""
    statement = case.statement
    return statement.kind == "rename_stmt" and enum_name(statement.tree, "rename_type") in (
        "OBJECT_INDEX",
        "OBJECT_TABCONSTRAINT",
    )


def _constraint_of_this_file(case: SquawkCase) -> bool:
    """The same file adds the constraint again, such as with another definition, or drops a column of it."""
    if case.command is None:
        return False
    context, table, name = case.context, plain(case.relation), case.command.node.name
    dropped = {
        command.node.name
        for command in context.commands
        if command.kind == "AT_DropColumn" and plain(command.statement.tree.relation) == table
    }
    return name in _constraints_made(context) or bool(
        context.history.constraint_columns.get((table, name), frozenset()) & dropped
    )


def _default_of_this_file(case: SquawkCase) -> bool:
    """The same file sets another default, or a type that has its own."""
    if case.command is None:
        return False
    table, name = plain(case.relation), case.command.node.name
    return any(
        command.node.name == name
        and plain(command.statement.tree.relation) == table
        and (
            (command.kind == "AT_ColumnDefault" and command.node.HasField("def"))
            or (command.kind == "AT_AlterColumnType" and _is_domain(case.context, command))
        )
        for command in case.context.commands
    )


def _is_domain(context: LintContext, command: Command) -> bool:
    names = strings(getattr(command.node, "def").column_def.type_name.names)
    return dotted(names) in context.history.domains


def _domain_without_condition(case: SquawkCase) -> bool:
    """A domain whose constraints are a default, or none, refuses no value."""
    if case.statement.kind != "create_domain_stmt":
        return False
    return all(
        kind_of(node.constraint) in ("CONSTR_DEFAULT", "CONSTR_NULL") for node in case.statement.tree.constraints
    )


def _created_again(case: SquawkCase) -> bool:
    dropped = case.statement.kind == "drop_stmt"
    return dropped and bool(set(_dropped(case.statement)) & set(_made_again(case.context)))


def _unchecked_domain(case: SquawkCase) -> bool:
    """NOT VALID reads no table."""
    return case.statement.kind == "alter_domain_stmt" and getattr(case.statement.tree, "def").constraint.skip_validation


HARMLESS: dict[str, Callable[[SquawkCase], bool]] = {
    "constraint-missing-not-valid": _not_valid_elsewhere,
    "adding-foreign-key-constraint": _no_row_refers,
    "adding-required-field": _filled_column,
    "adding-field-with-default": _constant_default,
    "adding-not-nullable-field": _known_not_null,
    "changing-column-type": _widened_type,
    "prefer-bigint-over-int": _not_a_row_number,
    "prefer-bigint-over-smallint": _not_a_row_number,
    "require-concurrent-index-creation": _index_of_view,
    "require-concurrent-index-deletion": _index_of_dropped_table,
    "renaming-object": _renamed_index_or_constraint,
    "ban-drop-constraint": _constraint_of_this_file,
    "ban-drop-default": _default_of_this_file,
    "ban-alter-domain-with-add-constraint": _unchecked_domain,
    "ban-create-domain-with-constraint": _domain_without_condition,
    "ban-drop-view": _created_again,
    "ban-drop-function": _created_again,
    "ban-drop-trigger": _created_again,
}
"""When a finding of a squawk rule describes no problem; rules that are not listed always apply."""


def _on_new_table(case: SquawkCase) -> bool:
    statement, tree = case.statement, case.statement.tree
    if statement.kind == "drop_stmt":
        context = case.context
        return all(
            context.is_new(name, statement) or context.is_made_anew(name, statement) for name in _dropped(statement)
        )
    if "relation" not in tree.DESCRIPTOR.fields_by_name or not tree.HasField("relation"):
        return False
    return case.context.is_new(plain(tree.relation), statement)


def _has_its_own_rule(constraint: Any) -> bool:
    return bool(constraint.indexname) or kind_of(constraint) in ("CONSTR_FOREIGN", "CONSTR_UNIQUE", "CONSTR_PRIMARY")


def _fills_itself(column: Any) -> bool:
    kinds = {kind_of(constraint.constraint) for constraint in column.constraints}
    return is_serial(column) or bool(kinds & {"CONSTR_IDENTITY", "CONSTR_GENERATED", "CONSTR_DEFAULT"})


def _numbers_rows(column: Any) -> bool:
    """Whether every row gets its own value."""
    kinds = {kind_of(constraint.constraint) for constraint in column.constraints}
    return is_serial(column) or bool(kinds & {"CONSTR_PRIMARY", "CONSTR_IDENTITY"})


def _goes_with_its_table(case: SquawkCase) -> bool:
    """Whether the table of each index is new, or dropped by the same file."""
    context = case.context
    tables = {**context.history.indexes}
    for statement in context.statements:
        if statement.kind == "index_stmt":
            tables[dotted([statement.tree.relation.schemaname, index_name(statement.tree)])] = plain(
                statement.tree.relation
            )
    dropped = {
        name
        for statement in context.statements
        if statement.kind == "drop_stmt" and enum_name(statement.tree, "remove_type") == "OBJECT_TABLE"
        for name in _dropped(statement)
    }
    owners = [tables.get(name, "") for name in _dropped(case.statement)]
    return all(owner in dropped or context.is_new(owner, case.statement) for owner in owners)


def _constraints_made(context: LintContext) -> set[str]:
    return {
        constraint_name(command.statement.tree.relation.relname, getattr(command.node, "def").constraint)
        for command in context.commands
        if command.kind == "AT_AddConstraint"
    }


def _dropped(statement: Statement) -> list[str]:
    return [dotted(_name_of(object)) for object in statement.tree.objects]


def _name_of(node: Any) -> list[str]:
    if node.HasField("object_with_args"):
        return strings(node.object_with_args.objname)
    return strings(node.list.items) if node.HasField("list") else [node.string.sval]


def _made_again(context: LintContext) -> Iterator[str]:
    for statement in context.statements:
        match statement.kind:
            case "view_stmt":
                yield plain(statement.tree.view)
            case "create_table_as_stmt":
                yield plain(statement.tree.into.rel)
            case "create_function_stmt":
                yield dotted(strings(statement.tree.funcname))
            case "create_trig_stmt":
                table = plain(statement.tree.relation)
                yield from (f"{name}.{statement.tree.trigname}" for name in [table, *_former_names(context, table)])


def _former_names(context: LintContext, table: str) -> list[str]:
    """The names that a table has had before the file renamed it."""
    renames = {
        dotted([statement.tree.relation.schemaname, statement.tree.newname]): plain(statement.tree.relation)
        for statement in context.statements
        if statement.kind == "rename_stmt" and enum_name(statement.tree, "rename_type") == "OBJECT_TABLE"
    }
    return [renames[table]] if table in renames else []
