"""What a statement would take away that holds rows: looked at before an undo begins."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

from orderops.errors import OrderopsError
from orderops.migrations.files import File
from orderops.migrations.locks import enum_name
from orderops.migrations.script import Statement, identifier

if TYPE_CHECKING:
    from psycopg import Connection

IN_SCHEMA: LiteralString = """
select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any(%s) and c.relkind in ('r', 'p')
"""


@dataclass(frozen=True)
class Loss:
    """Rows, or values of a column, that would be gone."""

    file: str
    line: int
    schema: str
    table: str
    column: str = ""

    @property
    def names(self) -> set[str]:
        """What the operator may call the table."""
        return {self.table, f"{self.schema or 'public'}.{self.table}"}

    @property
    def told(self) -> str:
        """What would be gone."""
        what = f"column {self.table}.{self.column}, which holds values" if self.column else f"the rows of {self.table}"
        return f"{self.file}:{self.line} takes away {what}"


def losses(connection: Connection, file: File, script: Sequence[Statement]) -> list[Loss]:
    """What a file would take away that holds something right now."""
    return [loss for statement in script for loss in _taken(connection, file, statement) if _holds(connection, loss)]


def refuse(found: Sequence[Loss], accepted: Collection[str]) -> None:
    """Raise OrderopsError for what is lost and was not accepted."""
    open_ones = [loss for loss in found if not loss.names & set(accepted)]
    if open_ones:
        tables = list(dict.fromkeys(loss.table for loss in open_ones))
        said = " ".join(f"--accept-data-loss {table}" for table in [*accepted, *tables])
        raise OrderopsError(
            "\n".join([*(loss.told for loss in open_ones), "nothing was undone"]),
            f"if that may go: orderops migrate undo {said}",
        )


def _taken(connection: Connection, file: File, statement: Statement) -> Iterator[Loss]:
    tree = statement.tree
    match statement.kind:
        case "drop_stmt":
            names = [[part.string.sval for part in each.list.items] for each in tree.objects]
            dropped = enum_name(tree, "remove_type")
            if dropped in ("OBJECT_TABLE", "OBJECT_MATVIEW"):
                yield from (Loss(file.name, statement.line, "".join(each[:-1][-1:]), each[-1]) for each in names)
            elif dropped == "OBJECT_SCHEMA":
                schemas = [each.string.sval for each in tree.objects]
                for schema, table in connection.execute(IN_SCHEMA, [schemas]):
                    yield Loss(file.name, statement.line, schema, table)
        case "alter_table_stmt":
            for each in tree.cmds:
                if enum_name(each.alter_table_cmd, "subtype") == "AT_DropColumn":
                    yield _of(file, statement, tree.relation, each.alter_table_cmd.name)
        case "truncate_stmt":
            yield from (_of(file, statement, each.range_var) for each in tree.relations)
        case "delete_stmt":
            yield _of(file, statement, tree.relation)


def _of(file: File, statement: Statement, relation: object, column: str = "") -> Loss:
    schema, name = getattr(relation, "schemaname", ""), getattr(relation, "relname", "")
    return Loss(file.name, statement.line, schema, name, column)


def _holds(connection: Connection, loss: Loss) -> bool:
    table = identifier(loss.schema, loss.table)
    there = connection.execute(
        "select to_regclass(%s) is not null, exists (select from pg_attribute where attrelid = to_regclass(%s)"
        " and attname = %s and not attisdropped)",
        [table, table, loss.column],
    ).fetchone()
    if not there or not there[0] or (loss.column and not there[1]):
        return False
    held = f" where {identifier('', loss.column)} is not null" if loss.column else ""
    told = connection.execute(f"select exists (select from {table}{held})".encode()).fetchone()
    return bool(told and told[0])
