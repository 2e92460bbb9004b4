"""Turn squawk's findings into messages about the running system, with a safe rewrite of the statement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orderops.migrations.lint import rewrites as rewrites
from orderops.migrations.lint.catalog import rule
from orderops.migrations.lint.column_steps import column_in_steps, is_serial
from orderops.migrations.lint.context import LintContext, Spot
from orderops.migrations.lint.finding import Finding
from orderops.migrations.lint.squawk import LEFT_OUT, SquawkFinding
from orderops.migrations.lint.squawk_filter import SquawkCase, applies
from orderops.migrations.lint.syntax import (
    column_definition,
    kind_of,
    on_purpose,
    spelled,
    table_of,
    with_only,
)
from orderops.migrations.lint.type_changes import keeps_rows
from orderops.migrations.sql.locks import enum_name

NO_RULE = "unused-ignore"
HELD = "while it waits for its lock, all queries on the table wait behind it"
COMMENTS = {
    "ban-drop-column": "first release a service that neither reads nor writes it; then silence this rule:",
    "ban-drop-table": "first release a service that does not use it, and take a snapshot; then silence this rule:",
}


def suggestions(context: LintContext, findings: Sequence[SquawkFinding]) -> Iterator[Finding]:
    """Yield findings for those of squawk that apply here."""
    for finding in findings:
        if finding.rule == NO_RULE:
            yield from _unused(context, finding)
            continue
        case = _case(context, finding)
        if case is None:
            yield context.finding(
                finding.rule, Spot(finding.line, finding.column), _sentence(finding.message), _help(finding)
            )
        elif applies(case):
            message, rewrite = _advice(case)
            yield context.finding(finding.rule, Spot(finding.line, finding.column), message, rewrite)


def _unused(context: LintContext, finding: SquawkFinding) -> Iterator[Finding]:
    """Report a name in an ignore comment that is a rule neither of squawk nor of orderops."""
    name = finding.message.split()[-1] if finding.message else ""
    if rule(name) is None and name not in LEFT_OUT:
        yield context.finding(
            finding.rule, Spot(finding.line, finding.column), f"no rule is named {name}: the comment has no effect"
        )


def _case(context: LintContext, finding: SquawkFinding) -> SquawkCase | None:
    offset = context.line_offsets[finding.line - 1] + finding.column - 1
    for statement in context.statements:
        if statement.position <= offset < statement.position + len(statement.text) + 1:
            parts = [command for command in context.commands if command.statement is statement]
            command = next((part for part in reversed(parts) if part.begin <= offset), None)
            return SquawkCase(context, finding, statement, command, offset)
    return None


def _advice(case: SquawkCase) -> tuple[str, str]:
    match case.statement.kind:
        case "alter_table_stmt" if case.command:
            return _of_column(case) or _of_constraint(case) or _of_other_part(case)
        case "index_stmt" if case.finding.rule == "require-concurrent-index-creation":
            table = table_of(case.relation)
            return (
                f"CREATE INDEX blocks writes to {table} until it is built: minutes on a large table",
                rewrites.alone(rewrites.concurrently(case.statement)),
            )
        case "drop_stmt" if case.finding.rule == "require-concurrent-index-deletion":
            return f"DROP INDEX blocks reads and writes of its table; {HELD}", rewrites.dropped_alone(case.statement)
        case "reindex_stmt" if case.finding.rule == "require-concurrent-reindex":
            why = "REINDEX blocks writes until it is done, and reads through the index"
            return why, rewrites.reindexed(case.statement)
        case "rename_stmt":
            return _of_rename(case)
    return _of_the_rest(case)


def _of_column(case: SquawkCase) -> tuple[str, str] | None:
    assert case.command
    table = table_of(case.relation)
    name = spelled(case.column.colname) if case.column else ""
    match case.finding.rule, case.command.kind:
        case "adding-required-field", "AT_AddColumn":
            why = f"the running release does not know {table}.{name}: its INSERTs fail on NOT NULL, and so does"
            why += " this statement where the table has rows"
        case "adding-field-with-default", "AT_AddColumn":
            why = f"{name} differs from row to row: {table} is rewritten, and reads and writes wait meanwhile"
        case "adding-foreign-key-constraint", "AT_AddColumn":
            why = f"the reference is checked for every row of {table}, and reads and writes wait meanwhile"
        case "disallowed-unique-constraint" | "adding-serial-primary-key-field", "AT_AddColumn":
            why = f"the index of {table}.{name} is built while reads and writes of {table} wait"
        case _:
            return None
    return why, column_in_steps(case.context, case.command)


def _of_constraint(case: SquawkCase) -> tuple[str, str] | None:
    assert case.command
    table, constraint = table_of(case.relation), case.constraint
    match case.finding.rule, case.command.kind:
        case "adding-foreign-key-constraint", "AT_AddConstraint":
            other = table_of(constraint.pktable)
            why = f"every row of {table} is looked up in {other}, and writes to both wait meanwhile"
            return why, rewrites.alone(*rewrites.validated(case.relation, constraint))
        case "constraint-missing-not-valid", "AT_AddConstraint" if kind_of(constraint) == "CONSTR_EXCLUSION":
            return _built_under_lock(case)
        case "constraint-missing-not-valid", "AT_AddConstraint":
            why = f"every row of {table} is checked, and reads and writes wait meanwhile"
            return why, rewrites.alone(*rewrites.validated(case.relation, constraint))
        case "constraint-missing-not-valid", "AT_ValidateConstraint":
            why = f"the lock that NOT VALID took on {table} is held in this transaction while VALIDATE reads every row"
            return why, rewrites.same_alone(case.context)
        case "disallowed-unique-constraint" | "adding-serial-primary-key-field", "AT_AddConstraint":
            if constraint.without_overlaps:
                return _built_under_lock(case)
            why = f"the index of the constraint is built while reads and writes of {table} wait"
            return why, rewrites.alone(*rewrites.by_index(case.relation, constraint))
        case "adding-not-nullable-field", "AT_SetNotNull":
            why = f"every row of {table} is read, and reads and writes wait meanwhile"
            return why, rewrites.alone(*rewrites.kept_from_null(case.relation, case.command.node.name))
    return None


def _built_under_lock(case: SquawkCase) -> tuple[str, str]:
    assert case.command
    table, command = table_of(case.relation), with_only(case.statement, case.command.node)
    why = f"the index of the constraint is built while reads and writes of {table} wait, and it cannot"
    why += " be built concurrently"
    return why, on_purpose(case.finding.rule, command, rewrites.QUIET)


def _of_other_part(case: SquawkCase) -> tuple[str, str]:
    assert case.command
    table, name = table_of(case.relation), case.command.node.name
    match case.finding.rule, case.command.kind:
        case "changing-column-type", "AT_AlterColumnType":
            what = f"{table} is rewritten with all its indexes"
            if keeps_rows(case.context, case.relation, case.command):
                what = f"the indexes and checks of {table} that use {spelled(name)} are made anew"
            why = f"{what}, and reads and writes wait meanwhile; the running release reads {spelled(name)} in a type"
            why += " that it does not expect"
            return why, rewrites.retyped(case.context, case.command)
        case "require-concurrent-partition-detach", "AT_DetachPartition":
            why = f"reads and writes of {table} and all its partitions wait; {HELD}"
            return why, rewrites.detached(case.context, case.command)
        case "ban-drop-column", "AT_DropColumn":
            why = f"statements of the running release that name {table}.{spelled(name)} fail at once, and no undo"
            why += " restores its values"
            cascade = " CASCADE" if enum_name(case.command.node, "behavior") == "DROP_CASCADE" else ""
            text = f"ALTER TABLE {table} DROP COLUMN {spelled(name)}{cascade}"
            return why, on_purpose(case.finding.rule, text, COMMENTS[case.finding.rule])
    return _of_the_rest(case)


def _of_rename(case: SquawkCase) -> tuple[str, str]:
    tree = case.statement.tree
    match case.finding.rule:
        case "renaming-column" if tree.HasField("relation") and tree.relation.inh:
            name = f"{table_of(tree.relation)}.{spelled(tree.subname)}"
            why = f"statements of the running release that name {name} fail at once"
            return why, rewrites.renamed_column(case.context, case.statement)
        case "renaming-table":
            why = f"statements of the running release that name {table_of(tree.relation)} fail at once"
            return why, rewrites.renamed_table(case.statement)
    return _of_the_rest(case)


def _of_the_rest(case: SquawkCase) -> tuple[str, str]:
    known, name = rule(case.finding.rule), case.finding.rule
    message = _sentence(known.about if known else case.finding.message)
    if name == "ban-drop-database":
        return message, "-- not in a migration: a migration changes one database only"
    if name == "ban-drop-table":
        message = "statements of the running release that use it fail at once, and no undo restores the rows"
    if column := _better(case):
        return f"{spelled(case.column.colname)}: {message}", f"-- {column}"
    if known and (name.startswith(("ban-drop-", "ban-set-", "renaming-", "ban-alter-identity"))):
        comment = COMMENTS.get(name, "first release a service that does not need it; then silence this rule:")
        return message, on_purpose(name, case.statement.text, comment)
    return message, "" if known else _help(case.finding)


def _better(case: SquawkCase) -> str:
    """The column definition that the rule recommends; empty for other rules."""
    column = case.column
    if column is None:
        return ""
    rest = column_definition(column, name="c").removeprefix("c ").partition(" ")[2]
    match case.finding.rule:
        case "prefer-bigint-over-int" | "prefer-bigint-over-smallint" | "prefer-identity":
            # Only a serial column draws its numbers from a sequence: another key has its values from the service, or
            # from the table that it refers to.
            definition = f"bigint GENERATED BY DEFAULT AS IDENTITY {rest}" if is_serial(column) else f"bigint {rest}"
        case "prefer-timestamp-tz":
            definition = f"timestamptz {rest}"
        case "ban-char-field":
            definition = f"text {rest}"
        case _:
            return ""
    return f"{spelled(column.colname)} {definition}".rstrip()


def _sentence(text: str) -> str:
    """Without the full stop and the initial capital, unless the first word is an acronym."""
    text = " ".join(text.split()).rstrip(".")
    first = text.partition(" ")[0]
    return text if first != first.capitalize() else text[:1].lower() + text[1:]


def _help(finding: SquawkFinding) -> str:
    return f"-- {' '.join(finding.help.split())}" if finding.help else ""
