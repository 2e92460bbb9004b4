"""Rules about statements that read or write every row although nothing in their words says so."""

from __future__ import annotations

from collections.abc import Iterator

from orderops.migrations.lint import rewrites as rewrites
from orderops.migrations.lint.column_steps import same_for_every_row
from orderops.migrations.lint.context import Command, LintContext
from orderops.migrations.lint.finding import Finding
from orderops.migrations.lint.partitions import added_beside_default, unproven_default
from orderops.migrations.lint.syntax import dotted, kind_of, on_purpose, plain, spelled, strings, table_of, with_only
from orderops.migrations.sql.parser import Statement

ON_DOMAIN = "ban-alter-domain-with-add-constraint"
CHECKS_DOMAIN = {"O": "SET NOT NULL", "V": "VALIDATE CONSTRAINT"}
"""Commands of ALTER DOMAIN that check every value, by the parser's letters; squawk reports ADD CONSTRAINT."""


def implied_scans(context: LintContext) -> Iterator[Finding]:
    """Yield findings about statements that scan or rewrite a table for what they imply."""
    for statement in context.statements:
        if statement.kind == "alter_domain_stmt" and statement.tree.subtype in CHECKS_DOMAIN:
            yield _checked_domain(context, statement)
        elif statement.kind == "create_stmt" and statement.tree.HasField("partbound"):
            yield from _beside_default(context, statement)
    for command in context.commands:
        if not context.is_new(plain(command.statement.tree.relation), command.statement):
            yield from _of_command(context, command)


def _of_command(context: LintContext, command: Command) -> Iterator[Finding]:
    content = getattr(command.node, "def")
    match command.kind:
        case "AT_AddColumn" if _fills_rows(context, domain := dotted(strings(content.column_def.type_name.names))):
            if not content.column_def.type_name.array_bounds and same_for_every_row(content.column_def):
                table = table_of(command.statement.tree.relation)
                why = (
                    f"{spelled(content.column_def.colname)} is of the domain {domain}, which PostgreSQL checks in every"
                )
                why += (
                    f" row: {table} is rewritten, and reads and writes wait meanwhile; a column of the type behind it"
                )
                why += " with a CHECK of its own, NOT VALID and validated later, needs neither"
                yield context.finding("adding-field-of-domain", command, why, _on_purpose(context, command))
        case "AT_AlterConstraint" if (
            content.atalter_constraint.alter_enforceability and content.atalter_constraint.is_enforced
        ):
            table = table_of(command.statement.tree.relation)
            why = f"ENFORCED looks up every row of {table}, and writes to both tables wait meanwhile"
            text = with_only(command.statement, command.node)
            rewrite = on_purpose("adding-foreign-key-constraint", text, rewrites.QUIET)
            yield context.finding("adding-foreign-key-constraint", command, why, rewrite)
        case "AT_AddConstraint" if kind_of(content.constraint) == "CONSTR_PRIMARY" and content.constraint.indexname:
            yield from _key_of_index(context, command)


def _fills_rows(context: LintContext, domain: str) -> bool:
    history = context.history
    if domain in history.checked_domains:
        return True
    definition = history.domain_definitions.get(domain)
    return definition is not None and not same_for_every_row(definition)


def _on_purpose(context: LintContext, command: Command) -> str:
    return on_purpose("adding-field-of-domain", with_only(command.statement, command.node), rewrites.QUIET)


def _checked_domain(context: LintContext, statement: Statement) -> Finding:
    name = spelled(*strings(statement.tree.type_name)[-2:])
    why = f"{CHECKS_DOMAIN[statement.tree.subtype]} reads every table that has a column of {name}, and writes to them"
    why += " wait meanwhile"
    return context.finding(ON_DOMAIN, statement, why, on_purpose(ON_DOMAIN, statement.text, rewrites.QUIET))


def _key_of_index(context: LintContext, command: Command) -> Iterator[Finding]:
    """PRIMARY KEY USING INDEX sets NOT NULL, which reads the table."""
    relation = command.statement.tree.relation
    index = context.history.index_columns.get(getattr(command.node, "def").constraint.indexname)
    table = plain(relation)
    columns = sorted(index.columns) if index else []
    nullable = [column for column in columns if (table, column) not in context.history.filled]
    if nullable:
        why = (
            f"{', '.join(map(spelled, nullable))} may be NULL: every row of {table_of(relation)} is read, and reads and"
        )
        why += " writes wait meanwhile"
        steps = [step for column in nullable for step in rewrites.kept_from_null(relation, column)]
        rewrite = rewrites.alone(*steps, f"{with_only(command.statement, command.node)};")
        yield context.finding("adding-not-nullable-field", command, why, rewrite)


def _beside_default(context: LintContext, statement: Statement) -> Iterator[Finding]:
    parent = statement.tree.inh_relations[0].range_var
    if context.is_new(plain(parent), statement) or statement.tree.partbound.is_default:
        return
    if default := unproven_default(context.history, parent, statement.tree.partbound):
        why = f"every row of {default} is checked against the bounds, and reads and writes of {table_of(parent)} and of"
        why += f" {default} wait meanwhile"
        rewrite = added_beside_default(context.history, statement, default)
        yield context.finding("attaching-partition", statement, why, rewrite)
