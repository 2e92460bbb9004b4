"""The safe way to add a column: first without what reads or writes rows, then filled in batches, then constrained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orderops.migrations.lint import rewrites as rewrites
from orderops.migrations.lint.context import Command, LintContext
from orderops.migrations.lint.syntax import (
    column_definition,
    deparsed,
    files,
    functions_in,
    kind_of,
    lines,
    object_name,
    spelled,
    strings,
    table_of,
    type_text,
)

SERIAL = {
    "serial": "int",
    "serial4": "int",
    "bigserial": "bigint",
    "serial8": "bigint",
    "smallserial": "smallint",
    "serial2": "smallint",
}
ALWAYS_COSTLY = frozenset(
    {"CONSTR_IDENTITY", "CONSTR_GENERATED", "CONSTR_CHECK", "CONSTR_PRIMARY", "CONSTR_UNIQUE", "CONSTR_FOREIGN"}
)
"""Constraints that read or write every row when a column is added with them."""
FILLING = frozenset({"CONSTR_DEFAULT", "CONSTR_NOTNULL"})
"""Constraints that read or write rows where the default differs from row to row."""
COSTLY = ALWAYS_COSTLY | FILLING
STABLE = frozenset(
    {"now", "transaction_timestamp", "statement_timestamp", "lower", "upper", "concat", "timezone", "md5"}
)
"""Functions that are evaluated once for all rows, so a default with them rewrites no table."""
ATTRIBUTES: dict[str, tuple[str, bool]] = {
    "CONSTR_ATTR_DEFERRABLE": ("deferrable", True),
    "CONSTR_ATTR_NOT_DEFERRABLE": ("deferrable", False),
    "CONSTR_ATTR_DEFERRED": ("initdeferred", True),
    "CONSTR_ATTR_IMMEDIATE": ("initdeferred", False),
    "CONSTR_ATTR_ENFORCED": ("is_enforced", True),
    "CONSTR_ATTR_NOT_ENFORCED": ("is_enforced", False),
}
"""What the parser lists behind a column's constraint, and the field of the constraint that it means."""


def column_in_steps(context: LintContext, command: Command) -> str:
    """ADD COLUMN in steps, one file each: without constraints, filled in batches, constrained."""
    relation, column = command.statement.tree.relation, with_attributes(getattr(command.node, "def").column_def)
    table, name = table_of(relation), spelled(column.colname)
    kinds = {kind_of(constraint.constraint): constraint.constraint for constraint in column.constraints}
    begins, filling = _filling(relation, column, kinds)
    texts = [lines(f"ALTER TABLE {table} ADD COLUMN {bare(column)};", *begins)]
    ends = list(dict.fromkeys(_constrained(relation, column, kinds)))
    if filling:
        texts.append(
            rewrites.in_pieces(context.history, relation, f"UPDATE {table} SET {filling} WHERE {name} IS NULL")
        )
        texts += [rewrites.alone(*ends)] if ends else []
    elif "CONSTR_NOTNULL" in kinds and "CONSTR_DEFAULT" not in kinds:
        note = f"-- after the running release writes {name} and the existing rows are filled:"
        texts.append(rewrites.alone(note, *ends))
    elif ends:
        texts = [rewrites.alone(texts[0], *ends)]
    if identity := kinds.get("CONSTR_IDENTITY"):
        texts.append(_as_identity(relation, column, identity))
    return files(*texts)


def with_attributes(column: Any) -> Any:
    """A copy of a column definition, in which DEFERRABLE and its like are fields of the constraint before them."""
    copy = type(column)()
    copy.CopyFrom(column)
    del copy.constraints[:]
    for node in column.constraints:
        kind = kind_of(node.constraint)
        if kind not in ATTRIBUTES:
            copy.constraints.add().CopyFrom(node)
        elif copy.constraints:
            field, value = ATTRIBUTES[kind]
            setattr(copy.constraints[-1].constraint, field, value)
    return copy


def bare(column: Any) -> str:
    """A column definition without what reads or writes rows: a default that is the same for every row stays."""
    if is_serial(column):
        return f"{spelled(column.colname)} {column_type(column)}"
    defaulted = any(kind_of(node.constraint) == "CONSTR_DEFAULT" for node in column.constraints)
    return column_definition(column, ALWAYS_COSTLY if defaulted and same_for_every_row(column) else COSTLY)


def column_type(column: Any) -> str:
    """The type of a column, that of the numbers for a serial one."""
    return SERIAL.get(strings(column.type_name.names)[-1]) or type_text(column.type_name)


def is_serial(column: Any) -> bool:
    """Whether the type stands for an integer with a sequence."""
    return bool(set(strings(column.type_name.names)[-1:]) & SERIAL.keys())


def same_for_every_row(column: Any) -> bool:
    """Whether PostgreSQL stores the value of existing rows in the catalogue and rewrites nothing."""
    return not any(_differs_from_row_to_row(node.constraint) for node in column.constraints)


def _differs_from_row_to_row(constraint: Any) -> bool:
    match kind_of(constraint):
        case "CONSTR_GENERATED":
            return bool(constraint.generated_kind != "v")
        case "CONSTR_DEFAULT":
            return not set(functions_in(constraint.raw_expr)) <= STABLE
    return kind_of(constraint) == "CONSTR_IDENTITY"


def _filling(relation: Any, column: Any, kinds: dict[str, Any]) -> tuple[list[str], str]:
    """SQL that gives new rows a value, and the assignment that fills existing rows."""
    table, name = table_of(relation), spelled(column.colname)
    alter = f"ALTER TABLE {table} ALTER COLUMN {name} SET DEFAULT"
    if is_serial(column) or "CONSTR_IDENTITY" in kinds:
        sequence = _sequence(relation, column)
        called = sequence.replace("'", "''")
        begins = [_create_sequence(relation, column, kinds.get("CONSTR_IDENTITY")), f"{alter} nextval('{called}');"]
        return begins, f"{name} = DEFAULT"
    if (default := kinds.get("CONSTR_DEFAULT")) and not same_for_every_row(column):
        return [f"{alter} {rewrites.expression(default.raw_expr)};"], f"{name} = DEFAULT"
    if generated := kinds.get("CONSTR_GENERATED"):
        note = f"-- an ordinary column: the service, or a trigger, writes {name} from now on"
        return [note], f"{name} = {rewrites.expression(generated.raw_expr)}"
    return [], ""


def _sequence(relation: Any, column: Any) -> str:
    """The sequence that fills a column: a serial one's own, or one until the identity takes over."""
    end = "seq" if is_serial(column) else "filling"
    return spelled(relation.schemaname, object_name(relation.relname, [column.colname], end))


def _create_sequence(relation: Any, column: Any, identity: Any) -> str:
    import postgast

    owner = f"{table_of(relation)}.{spelled(column.colname)}"
    parsed = postgast.parse(f"CREATE SEQUENCE {_sequence(relation, column)} AS {column_type(column)} OWNED BY {owner}")
    options = identity.options if identity else ()
    kept = [option for option in options if option.def_elem.defname != "sequence_name"]
    parsed.stmts[0].stmt.create_seq_stmt.options.extend(kept)
    return f"{deparsed(parsed)};"


def _as_identity(relation: Any, column: Any, identity: Any) -> str:
    """A file that makes a filled column GENERATED … AS IDENTITY, which goes on where the filling sequence ended."""
    import postgast

    table, name, filling = table_of(relation), spelled(column.colname), _sequence(relation, column)
    parsed = postgast.parse(
        f"ALTER TABLE {table} ALTER COLUMN {name} DROP DEFAULT, ALTER COLUMN {name} ADD GENERATED ALWAYS AS IDENTITY"
    )
    added = parsed.stmts[0].stmt.alter_table_stmt.cmds[1].alter_table_cmd
    getattr(added, "def").constraint.CopyFrom(identity)
    of_column = f"{_quoted(table)}, {_quoted(column.colname)}"
    return lines(
        # pg_get_serial_sequence would otherwise find the filling one.
        f"ALTER SEQUENCE {filling} OWNED BY NONE;",
        f"{deparsed(parsed)};",
        f"SELECT setval(pg_get_serial_sequence({of_column}), nextval({_quoted(filling)}), false);",
        "-- squawk-ignore ban-drop-sequence",
        f"DROP SEQUENCE {filling};",
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _constrained(relation: Any, column: Any, kinds: dict[str, Any]) -> Iterator[str]:
    """The statements that constrain the filled column; NOT NULL comes first, since a primary key needs it."""
    stays = "CONSTR_DEFAULT" in kinds and same_for_every_row(column)
    if is_serial(column) or "CONSTR_IDENTITY" in kinds or ("CONSTR_NOTNULL" in kinds and not stays):
        yield from rewrites.kept_from_null(relation, column.colname)
    for node in column.constraints:
        match kind_of(node.constraint):
            case "CONSTR_CHECK" | "CONSTR_FOREIGN":
                yield from rewrites.validated(relation, node.constraint, column.colname)
            case "CONSTR_PRIMARY" | "CONSTR_UNIQUE":
                yield from rewrites.by_index(relation, node.constraint, column.colname)
