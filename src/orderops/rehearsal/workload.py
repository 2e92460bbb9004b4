"""Families of queries that go on during a rehearsal: the service's own, and simple ones for tables that nobody asks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orderops.migrations.sql.files import SqlFile
from orderops.migrations.sql.parser import identifier
from orderops.rehearsal.queries import Query, QueryOrigin, read_query, said
from orderops.rehearsal.tables import ColumnDefinition, TableDefinition, draw, drawn, names_in, table_called, touched

if TYPE_CHECKING:
    from psycopg import Connection

LEAST, USUAL, MOST = 50.0, 50.0, 100.0
"""Calls a second of a family: asked more rarely, it would not see the beginning of a short stall."""
ALL = 600.0
"""Calls a second of all families: the traffic must not be what is measured."""
NEW_KEYS = {
    "uuid": "gen_random_uuid()",
    "text": "'rehearsal ' || gen_random_uuid()",
    "character varying": "'r' || md5(random()::text)",
    "bigint": "-(random() * 9e18)::bigint",
    "integer": "-(random() * 2e9)::integer",
    "smallint": "-(random() * 3e4)::smallint",
    "numeric": "-(random() * 9e18)::numeric",
}
"""A key that no row has, by the type of the column."""


@dataclass(frozen=True)
class QueryGroup:
    """Queries of one kind that go on all the time."""

    query: Query
    rate: float
    rows: Sequence[Sequence[str | None]]
    """Values for $1, $2 …, one after the other."""
    tables: Collection[int]
    """The tables that it needs."""
    names: Collection[str]
    """What they are called: of those that it writes to, where it writes."""

    @property
    def name(self) -> str:
        """What reports call it."""
        return self.query.name


@dataclass(frozen=True)
class Workload:
    """What goes on, and what cannot."""

    families: Sequence[QueryGroup]
    tables: Sequence[TableDefinition]
    """Those that the migrations touch."""
    notes: Sequence[str] = ()


def workload_for(
    connection: Connection, files: Sequence[SqlFile], canaries: Sequence[Query], live: Sequence[Query]
) -> Workload:
    """The canaries, and for each table that these files touch what the canaries do not see to."""
    tables = touched(connection, files)
    notes: list[str] = []
    families = list(_of_canaries(connection, canaries, live, notes))
    covered = {told for group in families for told in _covered(connection, group.query)}
    changed = names_in(files)
    for table in tables:
        rows = draw(connection, table) if table.key else []
        if not rows:
            why = "is empty" if table.key else "has no key: nothing finds a row of it"
            notes.append(f"{table.name} {why}, so no query on it was kept up")
            continue
        for verb, query in _derived(table, changed):
            if (verb, table.number) not in covered:
                rate = _rate_of(connection, query.kind, table, live)
                families.append(QueryGroup(query, rate, rows, {table.number}, (table.name,)))
    return Workload(_bounded(families), tables, notes)


def _of_canaries(
    connection: Connection, canaries: Sequence[Query], live: Sequence[Query], notes: list[str]
) -> Iterator[QueryGroup]:
    import psycopg

    rates = {each.fingerprint: each.rate for each in live}
    for query in canaries:
        try:
            with connection.transaction(force_rollback=True):
                rows = drawn(connection, query.values) if query.values else [[]]
        except psycopg.Error as error:
            notes.append(f"the canary {query.name!r} was left out: {said(error)}")
            continue
        if not rows:
            notes.append(f"the canary {query.name!r} was left out: there are no values for it")
            continue
        if len(rows[0]) != query.parameters:
            why = f"it wants {query.parameters} values, and {len(rows[0])} are drawn"
            notes.append(f"the canary {query.name!r} was left out: {why}")
            continue
        found = [table for name in query.tables if (table := _called(connection, name))]
        shown = [table for name in query.writes or query.reads if (table := _called(connection, name))]
        rate = query.rate or rates.get(query.fingerprint) or USUAL
        yield QueryGroup(
            query, rate, rows, {each.number for each in found}, tuple(dict.fromkeys(each.name for each in shown))
        )


def _covered(connection: Connection, query: Query) -> Iterator[tuple[str, int]]:
    """What a query does to which tables, so that nothing of that kind has to be made for them."""
    verbs = {"reads": query.reads, "writes": query.changes, "inserts": query.writes - query.changes}
    for verb, names in verbs.items():
        yield from ((verb, table.number) for name in names if (table := _called(connection, name)))


def _derived(table: TableDefinition, changed: Collection[str]) -> Iterator[tuple[str, Query]]:
    where = " and ".join(
        f"{identifier('', name)} = ${number}::{kind}"
        for number, (name, kind) in enumerate(zip(table.key, table.key_types, strict=True), 1)
    )
    yield "reads", _made(f"reads {table.name}", f"select ctid from {table.name} where {where}")
    if column := _untouched(table, changed):
        named = identifier("", column.name)
        text = f"update {table.name} set {named} = {named} where {where}"
        yield "writes", _made(f"writes {table.name}", text)
    given = [column for column in table.columns if not column.generated]
    new = NEW_KEYS.get(table.key_types[0]) if len(table.key) == 1 else None
    values = [new if new and each.name == table.key[0] else identifier("", each.name) for each in given]
    columns = ", ".join(identifier("", each.name) for each in given)
    insert = (
        f"insert into {table.name} ({columns}) overriding system value"
        f" select {', '.join(values)} from {table.name} where {where} on conflict do nothing"
    )
    yield "inserts", replace(_made(f"inserts {table.name}", insert), rolled_back=True)


def _made(name: str, text: str) -> Query:
    query = read_query(name, text, QueryOrigin.DERIVED)
    assert query, f"written here: {text}"
    return query


def _untouched(table: TableDefinition, changed: Collection[str]) -> ColumnDefinition | None:
    """A column that can be set to itself, and that no migration names; of the key only where there is no other."""
    free = [column for column in table.columns if not column.generated and column.name not in table.key]
    return next((each for each in free if each.name.lower() not in changed), next(iter(free), None))


def _rate_of(connection: Connection, kind: str, table: TableDefinition, live: Sequence[Query]) -> float:
    """How often the live database is asked for it."""
    rates = [
        each.rate or 0.0
        for each in live
        for name in (each.writes if kind == "writes" else each.reads)
        if (called := _called(connection, name)) and called.number == table.number
    ]
    return sum(rates) or USUAL


def _called(connection: Connection, name: str) -> TableDefinition | None:
    schema, _, plain = name.rpartition(".")
    return table_called(connection, identifier(schema, plain))


def _bounded(families: Sequence[QueryGroup]) -> list[QueryGroup]:
    most = min(MOST, ALL / max(1, len(families)))
    return [replace(group, rate=min(most, max(LEAST, group.rate))) for group in families]
