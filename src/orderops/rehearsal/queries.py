"""Queries of the running service: which tables they read and write, how often, and where their values come from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from orderops.database.catalog import LEDGER_SCHEMA
from orderops.database.connection import Login, connect
from orderops.frozen import Frozen, replace
from orderops.migrations.sql.parser import masked, without_comments

if TYPE_CHECKING:
    from psycopg import Connection

KINDS = ("select_stmt", "insert_stmt", "update_stmt", "delete_stmt", "merge_stmt")
WRITERS = ("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt")
SYSTEM_SCHEMAS = ("pg_catalog", "information_schema", LEDGER_SCHEMA)
PARAMETER = re.compile(r"\$(\d+)\b")
# Marks the queries that orderops sends to tables of others. Not at the start, where pg_stat_statements cuts comments.
OWN_QUERY_MARK = "/* orderops */"
# How a comparison of databases spells a table.
OWN_QUERY_SHAPE = re.compile(r'\bonly "[^"]+"\."[^"]+" t\b')
# The most frequent queries of a database; the rest is too rare to matter for a verdict.
MAX_QUERIES = 500


class QueryOrigin(StrEnum):
    """Where a query comes from."""

    LIVE = "pg_stat_statements"
    CANARY = "canaries.sql"
    DERIVED = "derived for a table that is touched"


class Query(Frozen):
    """A statement that the service runs."""

    name: str
    text: str
    """With parameters $1, $2 …"""
    origin: QueryOrigin
    rate: float | None = None
    """Calls a second; None if unknown."""
    fingerprint: str = ""
    """Equal for texts that differ only in their values."""
    reads: frozenset[str] = frozenset()
    """Tables, spelled as in the text."""
    writes: frozenset[str] = frozenset()
    changes: frozenset[str] = frozenset()
    """Tables whose existing rows it changes; a part of `writes`."""
    values: str = ""
    """A query that selects existing values for the parameters; "" without parameters."""
    rolled_back: bool = False

    @property
    def kind(self) -> str:
        """`writes` or `reads`."""
        return "writes" if self.writes else "reads"

    @property
    def shown(self) -> str:
        """Its text for a report; that of a live query without its comments, in which values may stand."""
        return without_comments(self.text).strip() if self.origin is QueryOrigin.LIVE else self.text

    @property
    def parameters(self) -> int:
        """How many parameters it has."""
        return max((int(number) for number in PARAMETER.findall(self.text)), default=0)

    @property
    def tables(self) -> frozenset[str]:
        """Every table that it uses."""
        return self.reads | self.writes


def read_query(name: str, text: str, origin: QueryOrigin) -> Query | None:
    """Parse one statement; None for a text that is not one, or that neither reads nor writes rows."""
    import postgast

    try:
        parsed = postgast.parse(text)
        fingerprint = postgast.fingerprint(text)
    # pg_stat_statements truncates long texts, which then do not parse.
    except postgast.PgQueryError:
        return None
    if len(parsed.stmts) != 1:
        return None
    node = parsed.stmts[0].stmt
    if node.WhichOneof("node") not in KINDS:
        return None
    ctes = set(_names_of_ctes(node))
    reads: set[str] = set()
    writes: set[str] = set()
    changes: set[str] = set()
    for table, verb in _tables(node):
        (writes if verb else reads).add(table)
        if verb not in ("", "InsertStmt"):
            changes.add(table)
    return Query(
        name,
        text.strip().rstrip(";").rstrip(),
        origin,
        fingerprint=fingerprint.hex,
        reads=frozenset(reads - ctes),
        writes=frozenset(writes),
        changes=frozenset(changes),
    )


def queries_of(live: Login) -> Sequence[Query]:
    """The queries of a database and their rates, from pg_stat_statements. Changes nothing."""
    with connect(live, name="orderops rehearsal queries") as connection:
        return live_queries(connection)


def live_queries(connection: Connection) -> list[Query]:
    """The same on a connection; texts that differ only in their values are one query with the calls of all."""
    from psycopg import sql

    schema = connection.execute(
        "select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace"
        " where e.extname = 'pg_stat_statements'"
        " and position('pg_stat_statements' in coalesce(current_setting('shared_preload_libraries', true), '')) > 0"
    ).fetchone()
    if schema is None:
        return []
    rows = connection.execute(
        sql.SQL(
            "select s.query, sum(s.calls)::float8 / greatest(1, extract(epoch from now() - i.stats_reset))::float8"
            " from {0}.pg_stat_statements s, {0}.pg_stat_statements_info i"
            " where s.dbid = (select oid from pg_database where datname = current_database())"
            " group by s.query, i.stats_reset order by 2 desc limit {1}"
        ).format(sql.Identifier(schema[0]), sql.Literal(MAX_QUERIES))
    ).fetchall()
    found: dict[str, Query] = {}
    for text, rate in rows:
        if OWN_QUERY_MARK in text or OWN_QUERY_SHAPE.search(text):
            continue
        query = read_query(masked(text), text, QueryOrigin.LIVE)
        if query is None or not query.tables or any(_is_system_table(table) for table in query.tables):
            continue
        before = found.get(query.fingerprint)
        found[query.fingerprint] = replace(query, rate=rate + (before.rate or 0.0 if before else 0.0))
    return list(found.values())


def plain(table: str) -> str:
    """The name of a table without its schema."""
    return table.rpartition(".")[2]


def error_text(error: Exception) -> str:
    """The server's message of an error, in one line."""
    diagnosis = getattr(error, "diag", None)
    return (diagnosis.message_primary if diagnosis else None) or " ".join(str(error).split())


def _is_system_table(table: str) -> bool:
    schema, _, name = table.rpartition(".")
    return schema in SYSTEM_SCHEMAS or name.startswith("pg_")


def _tables(node: Any) -> Iterator[tuple[str, str]]:
    """Every table in a part of a statement, with the kind of statement that writes to it, or ""."""
    for field, value in node.ListFields():
        if field.type != field.TYPE_MESSAGE:
            continue
        for child in value if field.is_repeated else [value]:
            kind = child.DESCRIPTOR.name
            if kind == "RangeVar":
                target = node.DESCRIPTOR.name in WRITERS and field.name == "relation"
                name = f"{child.schemaname}.{child.relname}" if child.schemaname else child.relname
                yield name, node.DESCRIPTOR.name if target else ""
            else:
                yield from _tables(child)


def _names_of_ctes(node: Any) -> Iterator[str]:
    for field, value in node.ListFields():
        if field.type != field.TYPE_MESSAGE:
            continue
        for child in value if field.is_repeated else [value]:
            if child.DESCRIPTOR.name == "CommonTableExpr":
                yield child.ctename
            yield from _names_of_ctes(child)
