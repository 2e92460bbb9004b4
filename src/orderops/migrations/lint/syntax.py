"""Build SQL for rewrites from the parse trees of statements."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import cache
from typing import Any

from orderops.migrations.sql.locks import enum_name

NEXT_FILE = "-- next file:"
ALONE = "-- orderops: no-transaction"
SIZE = 5000
# PostgreSQL truncates identifiers after 63 bytes.
LONGEST_NAME = 63


def lines(*parts: str) -> str:
    """Join statements and comments with line ends; empty ones are left out."""
    return "\n".join(part for part in parts if part)


def closed(statement: str) -> str:
    """The statement with its semicolon, on a new line after a trailing comment."""
    return statement + ("\n;" if "--" in statement.rpartition("\n")[2] else ";")


def files(*texts: str) -> str:
    """Join several files, in the order of their application."""
    return f"\n{NEXT_FILE}\n".join(texts)


def on_purpose(rule: str, statement: str, *comments: str) -> str:
    """A statement with an ignore comment and the conditions under which it is safe."""
    return lines(*(f"-- {comment}" for comment in comments), f"-- squawk-ignore {rule}", closed(statement))


def walk(message: Any) -> Iterator[tuple[str, Any]]:
    """Yield every message nested in a parse tree, with the name of its field; outer ones and earlier ones first."""
    # A stack: a generator for each level would pass every node through all levels above it.
    pending = [("", message)]
    while pending:
        name, node = pending.pop()
        if name:
            yield name, node
        inside = [
            (field.name, nested)
            for field, value in node.ListFields()
            if field.message_type
            for nested in ([value] if hasattr(value, "ListFields") else value)
        ]
        pending += reversed(inside)


def strings(nodes: Any) -> list[str]:
    """The texts of a list of string nodes."""
    return [node.string.sval for node in nodes]


def plain(relation: Any) -> str:
    """A relation's name for comparison: without quotes, and without the schema public."""
    return dotted([relation.schemaname, relation.relname])


def dotted(parts: Collection[str]) -> str:
    """Join the parts of a name for comparison, without the schema public."""
    named = [part for part in parts if part]
    return ".".join(named[1:] if len(named) == 2 and named[0] == "public" else named)


@cache
def spelled(schema: str, name: str = "") -> str:
    """A name as spelled in SQL, quoted only if needed."""
    import postgast

    # The deparser decides about quotes, so reserved words need no list here.
    parsed = postgast.parse("TABLE t")
    relation = next(message for field, message in walk(parsed) if field == "range_var")
    relation.schemaname, relation.relname = (schema, name) if name else ("", schema)
    return deparsed(parsed).removeprefix("TABLE ").removeprefix("SELECT * FROM ")


def table_of(relation: Any) -> str:
    """A relation as spelled in SQL."""
    return spelled(relation.schemaname, relation.relname)


def column_definition(column: Any, without: Collection[str] = (), *, name: str = "") -> str:
    """A column definition for ADD COLUMN, without some kinds of constraints, such as CONSTR_CHECK."""
    parsed, command = _command("ALTER TABLE t ADD COLUMN c int")
    added = getattr(command, "def").column_def
    added.CopyFrom(column)
    added.colname = name or column.colname
    del added.constraints[:]
    added.constraints.extend(
        constraint for constraint in column.constraints if kind_of(constraint.constraint) not in without
    )
    return deparsed(parsed).removeprefix("ALTER TABLE t ADD COLUMN ")


def type_text(type_name: Any) -> str:
    """A type as spelled in SQL."""
    parsed, command = _command("ALTER TABLE t ADD COLUMN c int")
    getattr(command, "def").column_def.type_name.CopyFrom(type_name)
    return deparsed(parsed).removeprefix("ALTER TABLE t ADD COLUMN c ")


def constraint_definition(constraint: Any, name: str, *, column: str = "") -> str:
    """A table constraint with NOT VALID, made from a constraint of a table or of `column`."""
    parsed, command = _command("ALTER TABLE t ADD CONSTRAINT c CHECK (true)")
    added = getattr(command, "def").constraint
    added.CopyFrom(constraint)
    added.conname, added.skip_validation, added.initially_valid = name, True, False
    if column and kind_of(constraint) == "CONSTR_FOREIGN":
        added.fk_attrs.add().string.sval = column
    return deparsed(parsed).removeprefix("ALTER TABLE t ADD ")


def with_only(statement: Any, command: Any) -> str:
    """An ALTER TABLE with only one of its commands."""
    parsed, only = _command("ALTER TABLE t DROP COLUMN c")
    alter = parsed.stmts[0].stmt.alter_table_stmt
    alter.relation.CopyFrom(statement.tree.relation)
    alter.objtype = statement.tree.objtype
    only.CopyFrom(command)
    return deparsed(parsed)


def changed(statement: Any, **fields: Any) -> str:
    """A statement with some fields of its tree replaced."""
    import postgast

    parsed = postgast.parse(statement.text)
    tree = getattr(parsed.stmts[0].stmt, statement.kind)
    for name, value in fields.items():
        setattr(tree, name, value)
    return deparsed(parsed)


def deparsed(tree: Any) -> str:
    """SQL text of a parse tree."""
    import postgast

    return str(postgast.deparse(tree))


def kind_of(constraint: Any) -> str:
    """The parser's name for a constraint's kind, such as CONSTR_CHECK."""
    return enum_name(constraint, "contype")


def constraint_name(table: str, constraint: Any, column: str = "") -> str:
    """Its name, or the one that PostgreSQL would generate."""
    if constraint.conname:
        return str(constraint.conname)
    kind = kind_of(constraint)
    ends = {
        "CONSTR_PRIMARY": "pkey",
        "CONSTR_UNIQUE": "key",
        "CONSTR_FOREIGN": "fkey",
        "CONSTR_EXCLUSION": "excl",
        "CONSTR_NOTNULL": "not_null",
    }
    named = strings(constraint.fk_attrs if kind == "CONSTR_FOREIGN" else constraint.keys) or [column]
    match kind:
        case "CONSTR_CHECK" if not column:
            named = list(dict.fromkeys(columns_in(constraint.raw_expr)))
            named = named if len(named) == 1 else []
        case "CONSTR_EXCLUSION":
            named = _parts([element.list.items[0].index_elem for element in constraint.exclusions])
        case "CONSTR_PRIMARY":
            named = []
        case "CONSTR_UNIQUE":
            named = [*named, *strings(constraint.including)]
    return object_name(table, named, ends.get(kind, "check"))


def index_name(index: Any) -> str:
    """Its name, or the one that PostgreSQL would generate."""
    if index.idxname:
        return str(index.idxname)
    params = [param.index_elem for param in [*index.index_params, *index.index_including_params]]
    return object_name(index.relation.relname, _parts(params), "idx")


def object_name(table: str, columns: Sequence[str], end: str) -> str:
    """The name that PostgreSQL generates: the longer of table and columns is cut until all fits into 63 bytes."""
    first, second = table.encode(), "_".join(column for column in columns if column).encode()
    room = LONGEST_NAME - len(end) - 1 - (1 if second else 0)
    while len(first) + len(second) > room:
        if len(first) > len(second):
            first = first[:-1]
        else:
            second = second[:-1]
    # A character of several bytes is left out as a whole.
    return "_".join(part.decode(errors="ignore") for part in (first, second, end.encode()) if part)


def columns_in(expression: Any) -> list[str]:
    """Columns named in an expression."""
    return [
        column.fields[-1].string.sval
        for field, column in walk(expression)
        if field == "column_ref" and column.fields and column.fields[-1].HasField("string")
    ]


def functions_in(expression: Any) -> list[str]:
    """Functions called in an expression."""
    return [strings(call.funcname)[-1] for field, call in walk(expression) if field == "func_call"]


def _parts(elements: Sequence[Any]) -> list[str]:
    """The columns of an index as its generated name has them: a second one of a name gets a number."""
    parts: list[str] = []
    for element in elements:
        named = str(element.name) or _named_by(element.expr) or "expr"
        numbered = (f"{named}{number or ''}" for number in range(len(elements) + 1))
        parts.append(next(part for part in numbered if part not in parts))
    return parts


def _named_by(expression: Any) -> str:
    """The name that PostgreSQL derives from an expression, such as of the function that it calls."""
    match expression.WhichOneof("node"):
        case "column_ref":
            return str(expression.column_ref.fields[-1].string.sval)
        case "func_call":
            return strings(expression.func_call.funcname)[-1]
        case "type_cast":
            return _named_by(expression.type_cast.arg) or strings(expression.type_cast.type_name.names)[-1]
        case "collate_clause":
            return _named_by(expression.collate_clause.arg)
        case "coalesce_expr":
            return "coalesce"
        case "case_expr":
            return _named_by(expression.case_expr.defresult) or "case"
    return ""


def _command(text: str) -> tuple[Any, Any]:
    import postgast

    parsed = postgast.parse(text)
    return parsed, parsed.stmts[0].stmt.alter_table_stmt.cmds[0].alter_table_cmd
