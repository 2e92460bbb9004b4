"""The comparison of a live and a restored database: rows first, then the schema, then the command to type next.

Written for an operator who was woken up, so the worst loss comes first and every command can be pasted.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from datetime import UTC
from pathlib import Path

from orderops.database.connection import Login
from orderops.restore.compare.large_objects import NAME as LARGE_OBJECTS
from orderops.restore.compare.merge import Difference
from orderops.restore.compare.result import ComparedDatabase, Comparison, TableComparison, UnmatchedTable
from orderops.restore.compare.samples import Row, Sample
from orderops.restore.compare.schema_diff import FoundIn, SchemaDifference
from orderops.text.lists import counted
from orderops.ui.console import data, info, info_folded, out_folded, write_data
from orderops.ui.escaping import escape

COLOURS = {Difference.ONLY_LIVE: "red", Difference.ONLY_RESTORED: "green", Difference.CHANGED: "yellow"}
PLAIN = re.compile("[a-z_][a-z0-9_]*")
FEW = 3
"""Names that are listed one by one."""
LONGEST = 60
"""Characters of a value that are shown."""
# Definitions of functions, views and triggers take many lines, so only their names are shown.
DEFINITIONS = ("column", "constraint", "sequence", "extension", "role", "type", "index")
"""Kinds whose two definitions fit on a line."""


def show_comparison(comparison: Comparison, options: str, name: str) -> None:
    """Show the differences, the most important first; the last line is the command to type next."""
    _show_database("live", comparison.live)
    _show_database("restored", comparison.restored)
    _show_tables(comparison)
    _show_sequences(comparison)
    # A table that only one side has is listed above with its rows.
    unmatched = {table.name for table in (*comparison.only_live, *comparison.only_restored)}
    _show_schema([item for item in comparison.schema if item.kind != "table" or item.name not in unmatched])
    for note in comparison.notes:
        out_folded(f"[yellow]note:[/] {escape(note)}")
    _show_consequence(comparison, name)
    _show_next(comparison, options)


def _show_database(side: str, database: ComparedDatabase) -> None:
    ledger = (
        "" if database.ledger is None else f", ledger at V{database.ledger:03}" if database.ledger else ", no ledger"
    )
    moment = f"{database.moment.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
    server = escape(database.server)
    out_folded(
        f"[bold]{side:8}[/]  {escape(database.database)}  [dim]as of {moment}, {server}{ledger}[/]",
        indent=10,
    )


def _show_tables(comparison: Comparison) -> None:
    unequal = [table for table in comparison.tables if not table.same]
    unmatched = [*comparison.only_live, *comparison.only_restored]
    names = [*(table.name for table in unequal), *(table.name for table in unmatched)]
    width = max((len(escape(name)) for name in names), default=0)
    # Tables that could not be compared may hide any loss, so they come first.
    for table in sorted(unequal, key=lambda table: (not table.error, -sum(table.differences.values()))):
        _show_table(table, width)
    for missing in unmatched:
        where = Difference.ONLY_LIVE if missing in comparison.only_live else Difference.ONLY_RESTORED
        rows = "rows that cannot be counted" if missing.rows is None else _rows(missing.rows)
        out_folded(f"{escape(missing.name):{width}}  [{COLOURS[where]}]table {where}[/]: {rows}")
    _show_same([table for table in comparison.tables if table.same], anything_differs=bool(unequal))


def _show_same(tables: Sequence[TableComparison], *, anything_differs: bool) -> None:
    for table in tables:
        if table.name == LARGE_OBJECTS:
            data(f"{counted(table.rows.live, 'large object')} the same")
    if same := [table for table in tables if table.name != LARGE_OBJECTS]:
        total = _rows(sum(table.rows.live for table in same))
        data(f"{counted(len(same), 'table')} the same, {total}{'' if anything_differs else ' in all'}")


def _show_table(table: TableComparison, width: int) -> None:
    if table.error:
        out_folded(f"{escape(table.name):{width}}  [bold red]not compared[/]: {escape(table.error)}")
        return
    counts = [f"[{COLOURS[kind]}]{count:,} {kind}[/]" for kind, count in table.differences.items() if count]
    totals = f"({table.rows.live:,} live, {table.rows.restored:,} restored)"
    out_folded(f"{escape(table.name):{width}}  {', '.join(counts)}  [dim]{totals}[/]")
    for note in table.notes:
        out_folded(f"    [dim]{escape(note)}[/]", indent=6)
    for sample in table.samples:
        out_folded(f"    {escape(_sample(sample))}", indent=6)


def _sample(sample: Sample) -> str:
    lead = f"{sample.kind}: "
    if sample.kind is not Difference.CHANGED:
        return lead + _row(sample.live or sample.restored)
    changes = [f"{name}: {_value(sample.restored[name])} -> {_value(sample.live[name])}" for name in sample.live]
    return f"{lead}{_row(sample.key)}, restored -> live  {', '.join(changes)}"


def _row(row: Row) -> str:
    return " ".join(f"{name}={_value(value)}" for name, value in row.items())


def _value(value: str | None) -> str:
    if value is None:
        return "NULL"
    # Shown as a literal: line breaks and control characters in a value must not reach the terminal.
    literal = repr(value)
    return literal if len(literal) <= LONGEST else literal[: LONGEST - 1] + "…"


def _show_sequences(comparison: Comparison) -> None:
    for sequence in comparison.sequences:
        lead = f"sequence {escape(sequence.name)}"
        if sequence.lag:
            out_folded(f"[yellow]{lead}[/]  restored is {sequence.lag:,} behind live and would repeat numbers")
        for side, state in (("live", sequence.live), ("restored", sequence.restored)):
            for column, lag in state.behind.items():
                out_folded(f"[red]{lead}[/]  in {side} {lag:,} behind {escape(column)}: the next inserts fail")


def _show_schema(differences: Sequence[SchemaDifference]) -> None:
    for item in differences:
        both = f": live {item.live}, restored {item.restored}" if item.where is FoundIn.DIFFERS else ""
        definitions = both if item.kind in DEFINITIONS and len(both) <= 2 * LONGEST else ""
        out_folded(f"[cyan]{escape(f'{item.kind} {item.name}')}[/]  {item.where}{escape(definitions)}")


def _show_consequence(comparison: Comparison, name: str) -> None:
    if comparison.same:
        info(f"{name} equals live" + ("" if comparison.all_tables else " in these tables"))
        return
    lost, back = (_counted(comparison, kind) for kind in (Difference.ONLY_LIVE, Difference.ONLY_RESTORED))
    reverted = _rows(comparison.rows(Difference.CHANGED))
    tables = f", {counted(len(comparison.only_live), 'table')} lost" if comparison.only_live else ""
    info_folded(f"if {name} is promoted: {lost} lost, {back} brought back, {reverted} reverted{tables}")


def _counted(comparison: Comparison, kind: Difference) -> str:
    least = "at least " if any(table.rows is None for table in comparison.unmatched(kind)) else ""
    return least + _rows(comparison.rows(kind))


def _show_next(comparison: Comparison, options: str) -> None:
    if comparison.same:
        # A partial comparison does not show that the instance can go.
        info(f"next: orderops restore {'discard' if comparison.all_tables else 'compare'} {options}")
        return
    if restored := _tables_with(comparison, Difference.ONLY_RESTORED):
        rows = _those(comparison.rows_in_both(Difference.ONLY_RESTORED))
        info_folded(f"to copy {rows} back to live without promoting:")
        info(f"      orderops restore salvage {options} {restored}--only-restored --output back.sql")
    if comparison.only_restored:
        tables, _ = _those_tables(comparison.only_restored)
        info_folded(f"to copy {tables} that only restored has without promoting, on {comparison.restored.database}:")
        info(f"      {_dump(comparison.only_restored, 'back-tables.sql')}")
    live = _tables_with(comparison, Difference.ONLY_LIVE)
    if comparison.only_live:
        tables, them = _those_tables(comparison.only_live)
        info_folded(
            f"salvage cannot copy {tables} that only live has; to keep {them}, before promoting, on "
            f"{comparison.live.database}:"
        )
        info(f"{'     ' if live else 'next:'} {_dump(comparison.only_live, 'kept-tables.sql')}")
    if live:
        info_folded(
            f"to keep {_those(comparison.rows_in_both(Difference.ONLY_LIVE))} that only live has, before promoting:"
        )
        info(f"next: orderops restore salvage {options} {live}--only-live --output kept.sql")
    if any(table.error for table in comparison.tables):
        info("fix why a table could not be compared, then compare again:")
        info(f"next: orderops restore compare {options}")
    elif not (live or comparison.only_live):
        info(f"next: orderops restore promote {options}")


def _those_tables(tables: Sequence[UnmatchedTable]) -> tuple[str, str]:
    return ("the table", "it") if len(tables) == 1 else (f"the {len(tables):,} tables", "them")


def _dump(unmatched: Sequence[UnmatchedTable], file: str) -> str:
    """The command that dumps these tables, or the whole database if there are many."""
    tables = "".join(f"--table {_pattern(table.name)} " for table in unmatched) if len(unmatched) <= FEW else ""
    return f"pg_dump {tables}--file {file}"


def _pattern(name: str) -> str:
    """A table name for pg_dump, which folds unquoted names to lower case and reads them as patterns."""
    parts = name.split(".", 1)
    quoted = (part if PLAIN.fullmatch(part) else '"' + part.replace('"', '""') + '"' for part in parts)
    return shlex.quote(".".join(quoted))


def _tables_with(comparison: Comparison, kind: Difference) -> str:
    """The options that name the tables with such rows; --every-table if there are many."""
    names = [table.name for table in comparison.tables if table.differences[kind] and not table.error]
    if not names:
        return ""
    # Large objects are no table: a script brings them with the tables that may refer to them.
    if len(names) > FEW or LARGE_OBJECTS in names:
        return "--every-table "
    return "".join(f"--table {shlex.quote(name)} " for name in names)


def show_script(pieces: Iterable[str]) -> None:
    """Write a script to stdout piece by piece, as rows arrive."""
    for piece in pieces:
        write_data(piece)


def show_left_out(lines: Sequence[str]) -> None:
    """Show the tables that a script does not write, and the conflicts of its rows."""
    for line in lines:
        info_folded(f"left out: {line}")


def show_how_to_run(file: Path | None, login: Login, options: str) -> None:
    """Show where and how to run the script, which orderops does not run itself."""
    name = shlex.quote(str(file)) if file else "FILE"
    info_folded(f"the script was not run; review it, then run it on {login.describe}:")
    info(f"      psql -X -f {name}")
    info_folded("psql shows a warning that names every row that the database does not take")
    info("the script is safe to repeat on tables with a key")
    info(f"next: orderops restore compare {options}")


def _rows(number: int) -> str:
    return counted(number, "row")


def _those(number: int) -> str:
    return "the row" if number == 1 else f"the {number:,} rows"
