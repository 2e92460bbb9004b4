"""Two databases side by side, for somebody who was woken up: rows first, then the rest, then what to type."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from datetime import UTC
from pathlib import Path

from rich.markup import escape

from orderops.database.connection import Login
from orderops.restore.compare.merge import Difference
from orderops.restore.compare.result import ComparedDatabase, Comparison, TableComparison, UnmatchedTable
from orderops.restore.compare.samples import Row, Sample
from orderops.restore.compare.schema_diff import FoundIn, SchemaDifference
from orderops.ui.console import FEW, data, info, out

COLOURS = {Difference.ONLY_LIVE: "red", Difference.ONLY_RESTORED: "green", Difference.CHANGED: "yellow"}
PLAIN = re.compile("[a-z_][a-z0-9_]*")
LONGEST = 60
"""Characters of a value that are shown."""
DEFINITIONS = ("column", "constraint", "sequence", "extension", "role", "type", "index")
"""Kinds of which it is said in a line what they are on either side."""


def show_comparison(comparison: Comparison, words: str, name: str) -> None:
    """What is not the same, the most important first; the last line is what to type next."""
    _show_seen("live", comparison.live)
    _show_seen("restored", comparison.restored)
    _show_tables(comparison)
    _show_sequences(comparison)
    singles = {each.name for each in (*comparison.only_live, *comparison.only_restored)}
    _show_unlike([each for each in comparison.schema if each.kind != "table" or each.name not in singles])
    for note in comparison.notes:
        out.print(f"[yellow]not seen[/]  {escape(note)}")
    _say_what_it_means(comparison, name)
    _say_next(comparison, words)


def _show_seen(side: str, seen: ComparedDatabase) -> None:
    ledger = "" if seen.ledger is None else f"  ledger at V{seen.ledger:03}" if seen.ledger else "  no ledger"
    moment = f"{seen.moment.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
    out.print(f"[bold]{side:8}[/]  {escape(seen.database)}  [dim]as of {moment}, {seen.server}[/]{ledger}")


def _show_tables(comparison: Comparison) -> None:
    unequal = [each for each in comparison.tables if not each.same]
    singles = [*comparison.only_live, *comparison.only_restored]
    width = max(map(len, [*(each.name for each in unequal), *(each.name for each in singles)]), default=0)
    for table in sorted(unequal, key=lambda each: (not each.error, -sum(each.differences.values()))):
        _show_table(table, width)
    for single in singles:
        where = Difference.ONLY_LIVE if single in comparison.only_live else Difference.ONLY_RESTORED
        held = "rows that cannot be counted" if single.rows is None else _rows(single.rows)
        out.print(f"{escape(single.name):{width}}  [{COLOURS[where]}]the whole table {where}[/]: {held}")
    if same := [each for each in comparison.tables if each.same]:
        rows = sum(each.rows.live for each in same)
        data(f"{_number(len(same), 'table')} the same, {_rows(rows)}{'' if unequal else ' in all'}")


def _show_table(table: TableComparison, width: int) -> None:
    if table.error:
        out.print(f"{escape(table.name):{width}}  [bold red]not compared[/]: {escape(table.error)}")
        return
    counts = [f"[{COLOURS[kind]}]{count:,} {kind}[/]" for kind, count in table.differences.items() if count]
    of = f"{table.rows.live:,} in live, {table.rows.restored:,} in restored"
    out.print(f"{escape(table.name):{width}}  {', '.join(counts)}  [dim]of {of}[/]")
    for note in table.notes:
        out.print(f"    [dim]{escape(note)}[/]")
    for sample in table.samples:
        out.print(f"    {escape(_sample(sample))}")


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
    told = repr(value)
    return told if len(told) <= LONGEST else told[: LONGEST - 1] + "…"


def _show_sequences(comparison: Comparison) -> None:
    for each in comparison.sequences:
        if each.lag:
            out.print(
                f"[yellow]sequence {escape(each.name)}[/]  restored is {each.lag:,} behind live,"
                " and would give the same numbers again"
            )
        for side, standing in (("live", each.live), ("restored", each.restored)):
            for column, far in standing.behind.items():
                out.print(
                    f"[red]sequence {escape(each.name)}[/]  in {side} {far:,} behind {escape(column)}:"
                    " the next rows fail as duplicates"
                )


def _show_unlike(unlike: Sequence[SchemaDifference]) -> None:
    for each in unlike:
        what = f"{each.kind} {each.name}"
        both = f": live {each.live}, restored {each.restored}" if each.where is FoundIn.DIFFERS else ""
        told = both if each.kind in DEFINITIONS and len(both) <= 2 * LONGEST else ""
        out.print(f"[cyan]{escape(what)}[/]  {each.where}{escape(told)}")


def _say_what_it_means(comparison: Comparison, name: str) -> None:
    if comparison.same:
        info(f"{name} holds what live holds" + ("" if comparison.all_tables else ", in these tables"))
        return
    lost, back = (_counted(comparison, kind) for kind in (Difference.ONLY_LIVE, Difference.ONLY_RESTORED))
    changed = comparison.rows(Difference.CHANGED)
    tables = f", {_number(len(comparison.only_live), 'table')} lost" if comparison.only_live else ""
    info(f"if {name} took over: {lost} lost, {back} brought back, {changed:,} changed back{tables}")


def _counted(comparison: Comparison, kind: Difference) -> str:
    least = "at least " if any(each.rows is None for each in comparison.unmatched(kind)) else ""
    return least + _rows(comparison.rows(kind))


def _say_next(comparison: Comparison, words: str) -> None:
    if comparison.same:
        info(
            f"next: orderops restore discard {words}"
            if comparison.all_tables
            else f"next: orderops restore compare {words}"
        )
        return
    if back := _tables_with(comparison, Difference.ONLY_RESTORED):
        info(f"to bring {_those(comparison.rows_in_both(Difference.ONLY_RESTORED))} back to live, without a switch:")
        info(f"      orderops restore salvage {words} {back}--only-restored --output back.sql")
    if comparison.only_restored:
        what, _ = _whole(comparison.only_restored)
        info(f"to bring {what} that only restored has to live, without a switch, on {comparison.restored.database}:")
        info(f"      {_dump(comparison.only_restored, 'back-tables.sql')}")
    lost = _tables_with(comparison, Difference.ONLY_LIVE)
    if comparison.only_live:
        what, it = _whole(comparison.only_live)
        info(
            f"{what} that only live has cannot be salvaged; keep {it}, on {comparison.live.database}, before a switch:"
        )
        info(f"{'     ' if lost else 'next:'} {_dump(comparison.only_live, 'kept-tables.sql')}")
    if lost:
        info(f"to keep {_those(comparison.rows_in_both(Difference.ONLY_LIVE))} that only live has, before a switch:")
        info(f"next: orderops restore salvage {words} {lost}--only-live --output kept.sql")
    if [each for each in comparison.tables if each.error]:
        info(f"next: mend why a table could not be compared, then orderops restore compare {words}")
    elif not (lost or comparison.only_live):
        info(f"next: orderops restore promote {words}")


def _whole(singles: Sequence[UnmatchedTable]) -> tuple[str, str]:
    return ("the table", "it") if len(singles) == 1 else (f"the {len(singles):,} tables", "them")


def _dump(singles: Sequence[UnmatchedTable], file: str) -> str:
    """What writes whole tables to a file; the whole database where there are many."""
    tables = "".join(f"--table {_pattern(each.name)} " for each in singles) if len(singles) <= FEW else ""
    return f"pg_dump {tables}--file {file}"


def _pattern(name: str) -> str:
    """A table as pg_dump takes it: without quotes it would fold a name, and find others that are like it."""
    parts = name.split(".", 1)
    quoted = (each if PLAIN.fullmatch(each) else '"' + each.replace('"', '""') + '"' for each in parts)
    return shlex.quote(".".join(quoted))


def _tables_with(comparison: Comparison, kind: Difference) -> str:
    """What names the tables of such rows; nothing where there are many."""
    names = [each.name for each in comparison.tables if each.differences[kind] and not each.error]
    if not names:
        return ""
    return "".join(f"--table {shlex.quote(name)} " for name in names) if len(names) <= FEW else "--every-table "


def show_script(pieces: Iterable[str]) -> None:
    """A script as data, as it comes."""
    for piece in pieces:
        out.file.write(piece)


def say_how_to_run(file: Path | None, goal: Login, words: str) -> None:
    """Nothing was run: where and how that is done."""
    name = shlex.quote(str(file)) if file else "FILE"
    info(
        f"the script was not run; review it, then run it on {goal.describe}: psql -X -f {name} "
        "(safe to repeat on tables with a key)"
    )
    info(f"next: orderops restore compare {words}")


def _rows(number: int) -> str:
    return _number(number, "row")


def _those(number: int) -> str:
    return "the row" if number == 1 else f"the {number:,} rows"


def _number(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
