"""Query groups that run during a rehearsal: the service's own, and derived ones for tables without any."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from orderops.frozen import Frozen, replace
from orderops.migrations.sql.files import SqlFile
from orderops.migrations.sql.parser import identifier
from orderops.rehearsal.queries import Query, QueryOrigin, error_text, read_query
from orderops.rehearsal.tables import (
    ColumnDefinition,
    TableDefinition,
    fetch_text,
    find_table,
    names_in,
    sample_keys,
    tables_touched,
)

if TYPE_CHECKING:
    from psycopg import Connection

# Queries a second of a group. A slower one would miss the start of a short stall.
MIN_RATE, DEFAULT_RATE, MAX_RATE = 50.0, 50.0, 100.0
# Queries a second of all groups. With more, the load itself would be what is measured.
MAX_TOTAL_RATE = 600.0
NEW_KEYS = {
    "uuid": "gen_random_uuid()",
    "text": "'rehearsal ' || gen_random_uuid()",
    "character varying": "'r' || md5(random()::text)",
    "bigint": "-(random() * 9e18)::bigint",
    "integer": "-(random() * 2e9)::integer",
    "smallint": "-(random() * 3e4)::smallint",
    "numeric": "-(random() * 9e18)::numeric",
}
"""Expressions for a key that no row has, by column type."""


class QueryGroup(Frozen):
    """One query that runs repeatedly, with changing values."""

    query: Query
    rate: float
    rows: Sequence[Sequence[str | None]]
    """Values for $1, $2 …, used in turn."""
    tables: Collection[int]
    """OIDs of the tables that it uses."""
    names: Collection[str]
    """Names of the tables in a verdict: those that it writes to, or else reads."""

    @property
    def name(self) -> str:
        """Its name in reports."""
        return self.query.name


class Workload(Frozen):
    """The query groups of a rehearsal, and notes about queries that cannot run."""

    families: Sequence[QueryGroup]
    tables: Sequence[TableDefinition]
    """Tables that the migrations touch."""
    notes: Sequence[str] = ()


def workload_for(
    connection: Connection, files: Sequence[SqlFile], canaries: Sequence[Query], live: Sequence[Query]
) -> Workload:
    """The canaries, and derived queries for each table that the files touch and the canaries do not cover."""
    tables = tables_touched(connection, files)
    notes: list[str] = []
    families = list(_canary_groups(connection, canaries, live, notes))
    covered = {access for group in families for access in _covered(connection, group.query)}
    changed = names_in(files)
    for table in tables:
        rows = sample_keys(connection, table) if table.key else []
        if not rows:
            why = "is empty" if table.key else "has no key to find a row by"
            notes.append(f"{table.name} {why}, so no query ran on it")
            continue
        for verb, query in _derived(table, changed):
            if (verb, table.number) not in covered:
                rate = _rate_of(connection, query.kind, table, live)
                families.append(QueryGroup(query, rate, rows, {table.number}, (table.name,)))
    return Workload(_with_bounded_rates(families), tables, notes)


def _canary_groups(
    connection: Connection, canaries: Sequence[Query], live: Sequence[Query], notes: list[str]
) -> Iterator[QueryGroup]:
    rates = {query.fingerprint: query.rate for query in live}
    for query in canaries:
        rows, problem = _canary_values(connection, query)
        if problem:
            notes.append(f"the canary {query.name!r} was left out: {problem}")
            continue
        found = [table for name in query.tables if (table := _find_table(connection, name))]
        shown = [table for name in query.writes or query.reads if (table := _find_table(connection, name))]
        rate = query.rate or rates.get(query.fingerprint) or DEFAULT_RATE
        yield QueryGroup(
            query, rate, rows, {table.number for table in found}, tuple(dict.fromkeys(table.name for table in shown))
        )


def _canary_values(connection: Connection, query: Query) -> tuple[list[list[str | None]], str]:
    """Return the rows of a canary's values query, and why the canary cannot run (empty if it can)."""
    import psycopg

    try:
        with connection.transaction(force_rollback=True):
            rows = fetch_text(connection, query.values) if query.values else [[]]
    except psycopg.Error as error:
        return [], error_text(error)
    if not rows:
        return [], "its values query returned no row"
    if len(rows[0]) != query.parameters:
        return [], f"it has {query.parameters} parameters, and its values query returns {len(rows[0])} columns"
    return rows, ""


def _covered(connection: Connection, query: Query) -> Iterator[tuple[str, int]]:
    """Which kinds of access to which tables a query covers, so that none has to be derived."""
    verbs = {"reads": query.reads, "writes": query.changes, "inserts": query.writes - query.changes}
    for verb, names in verbs.items():
        yield from ((verb, table.number) for name in names if (table := _find_table(connection, name)))


def _derived(table: TableDefinition, changed: Collection[str]) -> Iterator[tuple[str, Query]]:
    where = " and ".join(
        f"{identifier('', name)} = ${number}::{kind}"
        for number, (name, kind) in enumerate(zip(table.key, table.key_types, strict=True), 1)
    )
    yield "reads", _derived_query(f"reads {table.name}", f"select ctid from {table.name} where {where}")
    if column := _settable_column(table, changed):
        named = identifier("", column.name)
        text = f"update {table.name} set {named} = {named} where {where}"
        yield "writes", _derived_query(f"writes {table.name}", text)
    given = [column for column in table.columns if not column.generated]
    new = NEW_KEYS.get(table.key_types[0]) if len(table.key) == 1 else None
    values = [new if new and column.name == table.key[0] else identifier("", column.name) for column in given]
    columns = ", ".join(identifier("", column.name) for column in given)
    insert = (
        f"insert into {table.name} ({columns}) overriding system value"
        f" select {', '.join(values)} from {table.name} where {where} on conflict do nothing"
    )
    yield "inserts", replace(_derived_query(f"inserts {table.name}", insert), rolled_back=True)


def _derived_query(name: str, text: str) -> Query:
    query = read_query(name, text, QueryOrigin.DERIVED)
    assert query, f"derived text does not parse: {text}"
    return query


def _settable_column(table: TableDefinition, changed: Collection[str]) -> ColumnDefinition | None:
    """A column outside of the key that can be set to itself, preferably one that no migration names."""
    free = [column for column in table.columns if not column.generated and column.name not in table.key]
    return next((column for column in free if column.name.lower() not in changed), next(iter(free), None))


def _rate_of(connection: Connection, kind: str, table: TableDefinition, live: Sequence[Query]) -> float:
    """Calls a second of such queries in the original."""
    rates = [
        query.rate or 0.0
        for query in live
        for name in (query.writes if kind == "writes" else query.reads)
        if (found := _find_table(connection, name)) and found.number == table.number
    ]
    return sum(rates) or DEFAULT_RATE


def _find_table(connection: Connection, name: str) -> TableDefinition | None:
    schema, _, plain = name.rpartition(".")
    return find_table(connection, identifier(schema, plain))


def _with_bounded_rates(families: Sequence[QueryGroup]) -> list[QueryGroup]:
    most = min(MAX_RATE, MAX_TOTAL_RATE / max(1, len(families)))
    return [replace(group, rate=min(most, max(MIN_RATE, group.rate))) for group in families]
