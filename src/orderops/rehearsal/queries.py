"""Queries of the running service: what they read and write, how often, and where their values come from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from orderops.database.connection import Login, connect
from orderops.migrations.sql.parser import masked

if TYPE_CHECKING:
    from psycopg import Connection

KINDS = ("select_stmt", "insert_stmt", "update_stmt", "delete_stmt", "merge_stmt")
WRITERS = ("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt")
NOT_OURS = ("pg_catalog", "information_schema", "orderops")
PARAMETER = re.compile(r"\$(\d+)\b")
OUR_WORD = "/* orderops */"
"""Stands in what orderops itself asks of the tables of others; not at the head, where servers cut comments off."""
OUR_SHAPE = re.compile(r'\bonly "[^"]+"\."[^"]+" t\b')
"""How a comparison names the rows of a table."""
MOST = 500
"""Queries of a live database that are taken into account, those that are called most."""


class QueryOrigin(StrEnum):
    """Where a query comes from."""

    LIVE = "pg_stat_statements"
    CANARY = "canaries.sql"
    DERIVED = "made for a table that is touched"


@dataclass(frozen=True)
class Query:
    """A statement that the service runs."""

    name: str
    text: str
    """With its values as $1, $2 …"""
    origin: QueryOrigin
    rate: float | None = None
    """A second; None where nobody knows."""
    fingerprint: str = ""
    """Alike for texts that differ in their values only."""
    reads: frozenset[str] = frozenset()
    """Tables, as the text names them, with their schema where it does."""
    writes: frozenset[str] = frozenset()
    changes: frozenset[str] = frozenset()
    """Those of them of which it changes rows that are there."""
    values: str = ""
    """A query that draws values which are there; nothing for a text without $1."""
    rolled_back: bool = False

    @property
    def kind(self) -> str:
        """What is stopped when it is stopped."""
        return "writes" if self.writes else "reads"

    @property
    def parameters(self) -> int:
        """How many values it wants."""
        return max((int(each) for each in PARAMETER.findall(self.text)), default=0)

    @property
    def tables(self) -> frozenset[str]:
        """Every table that it needs."""
        return self.reads | self.writes


def read_query(name: str, text: str, origin: QueryOrigin) -> Query | None:
    """Look into one statement; None for a text that is none, or that neither reads nor writes rows."""
    import postgast

    try:
        parsed = postgast.parse(text)
        fingerprint = postgast.fingerprint(text)
    except postgast.PgQueryError:  # cut off by the server
        return None
    if len(parsed.stmts) != 1:
        return None
    node = parsed.stmts[0].stmt
    if node.WhichOneof("node") not in KINDS:
        return None
    made = set(_names_of_ctes(node))
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
        reads=frozenset(reads - made),
        writes=frozenset(writes),
        changes=frozenset(changes),
    )


def queries_of(live: Login) -> Sequence[Query]:
    """What a database is asked, and how often, by its pg_stat_statements; changes nothing."""
    with connect(live, name="orderops rehearsal looks") as connection:
        return live_queries(connection)


def live_queries(connection: Connection) -> list[Query]:
    """The same on a connection; of texts that differ in their values only, one with the calls of all."""
    from psycopg import sql

    schema = connection.execute(
        "select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace"
        " where e.extname = 'pg_stat_statements'"
        " and position('pg_stat_statements' in coalesce(current_setting('shared_preload_libraries', true), '')) > 0"
    ).fetchone()
    if schema is None:
        return []
    told = connection.execute(
        sql.SQL(
            "select s.query, sum(s.calls)::float8 / greatest(1, extract(epoch from now() - i.stats_reset))::float8"
            " from {0}.pg_stat_statements s, {0}.pg_stat_statements_info i"
            " where s.dbid = (select oid from pg_database where datname = current_database())"
            " group by s.query, i.stats_reset order by 2 desc limit {1}"
        ).format(sql.Identifier(schema[0]), sql.Literal(MOST))
    ).fetchall()
    found: dict[str, Query] = {}
    for text, rate in told:
        if OUR_WORD in text or OUR_SHAPE.search(text):
            continue
        query = read_query(masked(text), text, QueryOrigin.LIVE)
        if query is None or not query.tables or any(_is_of_the_system(table) for table in query.tables):
            continue
        before = found.get(query.fingerprint)
        found[query.fingerprint] = replace(query, rate=rate + (before.rate or 0.0 if before else 0.0))
    return list(found.values())


def plain(table: str) -> str:
    """The name of a table without its schema."""
    return table.rpartition(".")[2]


def said(error: Exception) -> str:
    """The server's own words for an error, in a line."""
    diagnosis = getattr(error, "diag", None)
    return (diagnosis.message_primary if diagnosis else None) or " ".join(str(error).split())


def _is_of_the_system(table: str) -> bool:
    schema, _, name = table.rpartition(".")
    return schema in NOT_OURS or name.startswith("pg_")


def _tables(node: Any) -> Iterator[tuple[str, str]]:
    """Every table that a part of a statement names, and the statement that writes to it, if one does."""
    for field, value in node.ListFields():
        if field.type != field.TYPE_MESSAGE:
            continue
        for each in value if field.is_repeated else [value]:
            kind = each.DESCRIPTOR.name
            if kind == "RangeVar":
                target = node.DESCRIPTOR.name in WRITERS and field.name == "relation"
                name = f"{each.schemaname}.{each.relname}" if each.schemaname else each.relname
                yield name, node.DESCRIPTOR.name if target else ""
            else:
                yield from _tables(each)


def _names_of_ctes(node: Any) -> Iterator[str]:
    for field, value in node.ListFields():
        if field.type != field.TYPE_MESSAGE:
            continue
        for each in value if field.is_repeated else [value]:
            if each.DESCRIPTOR.name == "CommonTableExpr":
                yield each.ctename
            yield from _names_of_ctes(each)
