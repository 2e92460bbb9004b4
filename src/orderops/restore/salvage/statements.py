"""The SQL statements of a salvage script, for psql. Values are written so that they read back unchanged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from orderops.frozen import Frozen
from orderops.migrations.sql.parser import identifier
from orderops.restore.compare.samples import Row
from orderops.restore.compare.sequences import SequenceUse
from orderops.restore.compare.snapshots import SESSION_SETTINGS, TEXT_SETTINGS
from orderops.restore.compare.tables import TableSnapshot

SCRIPT_SETTINGS = {**TEXT_SETTINGS, "client_encoding": "UTF8", "standard_conforming_strings": "on"}
COMPARISON_SETTINGS = {name: SESSION_SETTINGS[name] for name in ("TimeZone", "bytea_output")}
# A message at the level of WARNING is how psql shows a row that was left out, also with -q.
# The commit comes last, so a script that was cut off changes nothing.
BEGIN = """\\set ON_ERROR_STOP on
begin;
set local client_min_messages = warning;
create temporary table pg_temp."orderops left out" ("table" text, "row" text, reason text, shown bool default false)
    on commit drop;
"""
# Values may contain control characters, which must not reach the terminal.
SHOW_LEFT_OUT = """do $orderops$
declare
    one record;
begin
    for one in update pg_temp."orderops left out" set shown = true where not shown returning * loop
        raise warning '%', regexp_replace(
            format('left out: %s %s: %s', one."table", one."row", one.reason), '[[:cntrl:]]', '?', 'g');
    end loop;
end $orderops$;
"""
EXPLAIN = """
declare
    one record;
    why text;
    detail text;
begin
    if not exists (select from {rest}) then
        return;
    end if;
    update {rest} r set there = true
        where row({listed})::text in (select row({whole})::text from {source} t);
{gone}    for one in select * from {rest} loop
        begin
            {into} values ({values});
            raise exception sqlstate 'OO001';
        exception
            when sqlstate 'OO001' then
                why := 'a trigger or a rule left it out or changed it';
            when others then
                continue when one.there;
                get stacked diagnostics why = message_text, detail = pg_exception_detail;
                why := concat_ws(': ', why, nullif(detail, '')){fired};
        end;
        insert into pg_temp."orderops left out" values ({table}, {described}, why);
    end loop;
end"""
"""The block that notes why rows were left out: it tries to insert each once more, and undoes that."""
COMMIT = """
do $orderops$
declare
    number bigint := count(*) from pg_temp."orderops left out";
begin
    if number > 0 then
        raise warning 'rows left out: %; the warnings above name them, and the other rows are committed', number;
    end if;
end $orderops$;
commit;
"""


def comment(text: str) -> str:
    """Return a comment line."""
    # A table's name may contain a line break, after which the text would be executed.
    return f"-- {' '.join(text.split())}\n"


def settings(*, compared: bool) -> str:
    """Return the settings on which the text of values depends, until the commit.

    With `compared`, the script also compares values as text, as an update does.
    """
    names = SCRIPT_SETTINGS | (COMPARISON_SETTINGS if compared else {})
    return "".join(f"set local {name} = {literal(value)};\n" for name, value in names.items())


class Inserts(Frozen):
    """The statements that insert rows of one table, and find out which rows are left out.

    The rows are collected in a temporary table and inserted by one statement: PostgreSQL checks foreign keys at its
    end, so rows may refer to each other. Rows that exist by then are left unchanged, which makes it safe to repeat.
    """

    number: int
    """Makes the names of the temporary tables unique."""
    table: TableSnapshot
    columns: Sequence[str]
    key: Sequence[str]
    deferrable: bool = False
    """Whether the table has a deferrable unique constraint, with which PostgreSQL refuses ON CONFLICT."""

    @property
    def rows(self) -> str:
        return f'pg_temp."orderops rows {self.number}"'

    @property
    def rest(self) -> str:
        return f'pg_temp."orderops rest {self.number}"'

    @property
    def names(self) -> str:
        return ", ".join(identifier("", name) for name in self.columns)

    @property
    def source(self) -> str:
        return self.table.spelled if self.table.partitioned else f"only {self.table.spelled}"

    @property
    def into(self) -> str:
        # Without the clause, PostgreSQL refuses values for a column that is GENERATED ALWAYS AS IDENTITY.
        identity = any(self.table.columns[name].identity for name in self.columns)
        override = " overriding system value" if identity else ""
        return f"insert into {self.table.spelled} ({self.names}){override}"

    def collect(self, rows: Iterable[Row], *, first: bool) -> str:
        """Return the statements that add rows to the temporary table, which the first ones create."""
        create = (
            f"create temporary table {self.rows} on commit drop as\n"
            f"    select {self.names} from {self.table.spelled} with no data;\n"
        )
        values = ",\n".join(f"({', '.join(literal(row[name]) for name in self.columns)})" for row in rows)
        return f"{create if first else ''}insert into {self.rows} values\n{values};\n"

    def insert(self, triggers: Sequence[str]) -> str:
        """Return the statements that insert the collected rows and show those that are not in the table afterwards."""
        fields = [f"c{index}" for index, _ in enumerate(self.columns)]
        texts = [f'{identifier("", name)}::text collate "C"' for name in self.columns]
        named = ", ".join(f"{text} as {field}" for text, field in zip(texts, fields, strict=True))
        listed = ", ".join(fields)
        # Compared as text: a trigger may have changed a value, and equal values may be written differently.
        return (
            f"create temporary table {self.rest} ({', '.join(f'{field} text' for field in fields)},"
            " there bool default false)\n    on commit drop;\n"
            f"with brought as (\n    {self.into}\n    select {self.names} from {self.rows} r\n"
            f"    {self._unless_there()} returning {named})\n"
            f"insert into {self.rest} ({listed})\n"
            f"    select {', '.join(texts)} from {self.rows} except all select {listed} from brought;\n"
            f"{self._explain(fields, triggers)}{SHOW_LEFT_OUT}"
        )

    def _unless_there(self) -> str:
        if not self.deferrable:
            return "on conflict do nothing"
        same = " and ".join(
            f"t.{identifier('', name)} {self.table.columns[name].equals} r.{identifier('', name)}" for name in self.key
        )
        return f"where not exists (select from {self.source} t where {same})" if self.key else ""

    def _explain(self, fields: Sequence[str], triggers: Sequence[str]) -> str:
        """Return the statement that notes why each remaining row was left out: it tries once more, and undoes that."""
        whole = ", ".join(f"t.{identifier('', name)}::text" for name in self.columns)
        values = ", ".join(
            f"one.{field}::{self.table.columns[name].type}" for field, name in zip(fields, self.columns, strict=True)
        )
        # Without a key, an equal row may be one that was there before, while a trigger left this one out.
        gone = f"    delete from {self.rest} where there;\n" if self.key or not triggers else ""
        changed_by = literal(f" (or changed by a trigger: {', '.join(triggers)})")
        fired = f" || {changed_by}" if triggers else ""
        shown = [name for name in self.columns if name in self.key] or self.columns
        described = " || ' ' || ".join(
            f"{literal(f'{name}=')} || coalesce(to_json(one.{field})::text, 'NULL')"
            for field, name in zip(fields, self.columns, strict=True)
            if name in shown
        )
        listed = ", ".join(f"r.{field}" for field in fields)
        return _do(
            EXPLAIN.format(
                rest=self.rest,
                listed=listed,
                whole=whole,
                source=self.source,
                gone=gone,
                into=self.into,
                values=values,
                fired=fired,
                table=literal(self.table.summary),
                described=described,
            )
        )


def update(table: TableSnapshot, key: Sequence[str], columns: Sequence[str], row: Row, current: Row) -> str:
    """Return the update of a row's changed columns; "" if none can be written.

    It applies only while the row still has its `current` values, so later writes by clients are kept. A row that does
    not have the wanted values afterwards is noted as left out.
    """
    changed = [name for name in columns if row[name] != current[name]]
    if not changed:
        return ""
    assignments = ", ".join(f"{identifier('', name)} = {literal(row[name])}" for name in changed)
    same_key = [f"{identifier('', name)} = {literal(current[name])}" for name in key]
    unchanged, wanted = (
        [f"{identifier('', name)}::text is not distinct from {literal(values[name])}" for name in changed]
        for values in (current, row)
    )
    shown = " ".join(f"{name}={json.dumps(current[name], ensure_ascii=False)}" for name in key)
    source = table.spelled if table.partitioned else f"only {table.spelled}"
    return (
        f"with done as (update {source} set {assignments}\n    where {' and '.join([*same_key, *unchanged])}"
        f" returning {' and '.join(wanted)} as kept)\n"
        f'insert into pg_temp."orderops left out"\n    select {literal(table.summary)}, {literal(shown)},'
        f" 'the row was deleted or changed since, or a trigger kept the old values'\n"
        "    where not exists (select from done where kept)\n"
        f"    and not exists (select from {source} where {' and '.join([*same_key, *wanted])});\n"
    )


def _do(body: str) -> str:
    """Return an anonymous block; its dollar quote is one that the body does not contain."""
    tag, number = "$orderops$", 0
    while tag in body:
        number += 1
        tag = f"$orderops{number}$"
    return f"do {tag}{body} {tag};\n"


def set_sequence(use: SequenceUse, last: int | None) -> str:
    """Return the statement that moves a sequence past its column's values and past `last`; never backwards."""
    assert use.of_schema and use.table and use.column, "the caller checks that there is a column"
    aggregate, extreme, beyond = ("max", "greatest", ">=") if use.step > 0 else ("min", "least", "<=")
    column = f"(select {aggregate}({identifier('', use.column)}) from {identifier(use.of_schema, use.table)})"
    value = column if last is None else f"{extreme}({column}, {last})"
    sequence = identifier(use.schema, use.name)
    return (
        f"select pg_catalog.setval({literal(sequence)}, v) from (select {value} as v) x"
        f" where v {beyond} (select last_value from {sequence});\n"
    )


def literal(value: str | None) -> str:
    """Return a text as an SQL literal without a type, which it takes from its column."""
    return "null" if value is None else "'" + value.replace("'", "''") + "'"
