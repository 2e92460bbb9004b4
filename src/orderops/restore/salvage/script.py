"""Salvage: rows that only one of two databases has, as an SQL script that inserts them into the other. Runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing
from datetime import UTC
from pathlib import Path

from orderops.database.connection import Login
from orderops.errors import OrderopsError, UsageError
from orderops.frozen import Frozen, field
from orderops.restore.compare.comparison import CHANGED_MEANWHILE, OnProgress
from orderops.restore.compare.export import new_file, write
from orderops.restore.compare.large_objects import NAME, has_any, refers
from orderops.restore.compare.merge import Counts, Difference, RowDifference
from orderops.restore.compare.row_diff import RowHash, differences, new_row_hash
from orderops.restore.compare.samples import Row, RowFetcher
from orderops.restore.compare.sequences import uses
from orderops.restore.compare.snapshots import Snapshot, SnapshotPair, Unreadable, open_snapshots
from orderops.restore.compare.tables import OURS, TablePair, TableSnapshot, pair_tables, partitions, rewritten
from orderops.restore.salvage import statements
from orderops.restore.salvage.conflicts import UniqueIndex, conflicts, unique_indexes
from orderops.restore.salvage.foreign_keys import ForeignKey, TablePart, in_order, parts_of
from orderops.restore.salvage.large_objects import large_objects
from orderops.text.lists import counted

FOREIGN_TABLES = f"""
select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'f' and {OURS} order by 1
"""
MAX_MISSING = 5
"""Missing rows that a warning names."""


class Salvage(Frozen):
    """The source and the destination of the rows, and which rows."""

    snapshots: SnapshotPair
    second: SnapshotPair
    """Second sessions, which fetch rows while the first ones stream the differences."""
    kinds: Collection[Difference]
    row_hash: RowHash
    on_progress: OnProgress
    on_note: Callable[[str], None]
    missing: set[str] = field(default_factory=set)
    """Tables with missing rows that the script refers to."""
    named: bool = True
    """Whether tables are named, so that one that cannot be read is an error."""
    on_left_out: Callable[[str], None] = lambda _: None
    unreadable: set[str] = field(default_factory=set)
    """Tables that are not written, whose sequences the script must not read either."""

    @property
    def to_live(self) -> bool:
        """Whether rows go from the restored database to live."""
        return Difference.ONLY_RESTORED in self.kinds

    @property
    def source(self) -> Snapshot:
        return self.second.restored if self.to_live else self.second.live

    @property
    def destination(self) -> Snapshot:
        return self.second.live if self.to_live else self.second.restored


def salvage(
    live: Login,
    restored: Login,
    tables: Collection[str],
    *,
    kinds: Collection[Difference] = (Difference.ONLY_LIVE,),
    on_progress: OnProgress = lambda *_: None,
    on_note: Callable[[str], None] = lambda _: None,
    on_left_out: Callable[[str], None] = lambda _: None,
) -> Generator[str]:
    """Yield the script in pieces, for the named tables, or for all if none is named.

    ONLY_LIVE inserts rows of live into the restored database, ONLY_RESTORED the reverse; CHANGED also updates rows that
    both have. `on_note` receives the number of rows of each table, and warnings about missing rows that they refer to.
    `on_left_out` receives the tables that the script does not write, and the rows that the destination will not take.
    The commit is the last piece, so an incomplete script changes nothing.

    Raises UsageError for a named table that neither database has, OrderopsError for one that only one of them has.
    """
    with open_snapshots(live, restored) as snapshots, snapshots.second_session() as second:
        row_hash = new_row_hash(snapshots)
        job = Salvage(
            snapshots, second, kinds, row_hash, on_progress, on_note, named=bool(tables), on_left_out=on_left_out
        )
        parts, cycle = in_order(_parts(job, tables))
        yield from _head(job, parts, cycle)
        yield from _large_objects(job, parts)
        for number, part in enumerate(parts, 1):
            yield from _readable(job, part.pair.summary, _rows(job, part, number))
        yield from _sequences(job, parts)
        # Checked just before the commit: a table may be truncated while its rows are read.
        _check_unchanged(job, parts)
        yield statements.COMMIT
        if job.missing:
            options = " ".join(f"--table {name}" for name in sorted(job.missing))
            on_note(f"the script fails as it is: it refers to missing rows; re-run this command with {options}")


def wanted_kinds(*, only_live: bool, only_restored: bool, changed: bool) -> set[Difference]:
    """Return the kinds of rows for the command's flags; raises UsageError for none, or for both directions at once."""
    flags = {Difference.ONLY_LIVE: only_live, Difference.ONLY_RESTORED: only_restored, Difference.CHANGED: changed}
    kinds = {kind for kind, wanted in flags.items() if wanted}
    if not kinds:
        raise UsageError(
            "choose the rows to salvage",
            "pass --only-live to fill the restored instance, or --only-restored to fill live",
        )
    if {Difference.ONLY_LIVE, Difference.ONLY_RESTORED} <= kinds:
        raise UsageError(
            "--only-live and --only-restored cannot be combined: a script is for one database",
            "run the command once for each",
        )
    return kinds


def write_script(pieces: Iterator[str], path: Path) -> None:
    """Write the script to a new file; an incomplete file is deleted."""
    # Also after Ctrl+C: an incomplete script must not be taken for a complete one.
    file = new_file(path)
    try:
        with file:
            for piece in pieces:
                write(file, piece.encode())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _parts(job: Salvage, wanted: Collection[str]) -> list[TablePart]:
    found = pair_tables(job.snapshots, wanted)
    for single, name in ((found.only_live, "live"), (found.only_restored, "the restored instance")):
        for table in single:
            message = f"{table.summary} is only in {name}, so its rows have no table to go to"
            if wanted:
                raise OrderopsError(message, f"dump the whole table: pg_dump --table {table.summary}")
            job.on_left_out(message)
    if not wanted:
        for (name,) in job.source.rows(FOREIGN_TABLES):
            job.on_note(f"{name}: a foreign table, whose rows are elsewhere")
    tables = [(pair, pair.live if job.to_live else pair.restored) for pair in found.pairs]
    # A script of updates alone inserts nothing, so rows of its tables can be missing, too.
    inserts = {*job.kinds} - {Difference.CHANGED}
    return parts_of(job.destination, tables, {table.oid for _, table in tables} if inserts else set())


def _head(job: Salvage, parts: Sequence[TablePart], cycle: str) -> Iterator[str]:
    source, destination = job.source, job.destination
    kinds = ", ".join(sorted(map(str, job.kinds)))
    yield statements.comment(
        f"rows of {source.login.describe} as of {source.taken.astimezone(UTC):%Y-%m-%d %H:%M:%SZ},"
    )
    yield statements.comment(f"for {destination.login.describe}: {kinds}")
    yield statements.BEGIN
    yield statements.settings(compared=Difference.CHANGED in job.kinds)
    # A deferred foreign key is checked at the commit, when the rows of all tables are there.
    if any(foreign_key.deferrable for part in parts for foreign_key in part.foreign_keys):
        yield "set constraints all deferred;\n"
    if cycle:
        yield statements.comment(f"warning: tables that refer to each other in a cycle: {cycle}")
        job.on_note(f"these tables refer to each other: {cycle}; drop one of the foreign keys until the script has run")


def _large_objects(job: Salvage, parts: Sequence[TablePart]) -> Iterator[str]:
    """Yield the statements for large objects, before the rows that refer to them."""
    if (job.named and not any(refers(part.pair) for part in parts)) or not any(map(has_any, job.second.both)):
        return
    yield "\n" + statements.comment(f"{NAME}: content and owner; privileges (GRANT) are not brought")
    yield from _readable(job, NAME, _contents(job))


def _contents(job: Salvage) -> Iterator[str]:
    job.on_progress(NAME, "starts")
    objects = large_objects(job.second, {*job.kinds}, to_live=job.to_live)
    if objects.oids:
        yield from objects.statements()
        yield statements.SHOW_LEFT_OUT
    job.on_progress(NAME, "")
    job.on_note(f"{NAME}: {len(objects.oids):,}")


def _readable(job: Salvage, name: str, pieces: Iterator[str]) -> Iterator[str]:
    """Yield a table's statements. One that cannot be read is left out by name, unless tables were named."""
    try:
        yield from pieces
    except Unreadable as error:
        if job.named:
            raise
        job.on_progress(name, "")
        job.unreadable.add(name)
        message = f"{name}: not written: {error.message}" + (f" ({error.hint})" if error.hint else "")
        # What was collected before the error stays in a temporary table: only the insert would bring it.
        yield statements.comment(message)
        job.on_left_out(message)


def _rows(job: Salvage, part: TablePart, place: int) -> Iterator[str]:
    """Yield a table's notes, its inserts, then its updates."""
    pair = part.pair
    yield "\n" + statements.comment(pair.summary)
    for note in pair.notes:
        yield statements.comment(note)
    if not pair.key:
        yield statements.comment("run this once: without a key, existing rows cannot be recognised")
    if part.triggers:
        yield statements.comment(f"triggers fire for these rows: {', '.join(part.triggers)}")
    if not pair.writable:
        yield statements.comment("no column accepts values")
        return
    job.on_progress(pair.summary, "starts")
    number = 0
    # Updates come last: they may refer to rows that the inserts create.
    for kind in sorted(job.kinds, key=lambda kind: kind is Difference.CHANGED):
        number += yield from (_updates(job, part) if kind is Difference.CHANGED else _inserts(job, part, kind, place))
    job.on_progress(pair.summary, "")
    job.on_note(f"{pair.summary}: {counted(number, 'row')}")


def _inserts(job: Salvage, part: TablePart, kind: Difference, place: int) -> Generator[str, None, int]:
    """Yield the statements that insert the rows of one kind; returns the number of rows."""
    pair = part.pair
    indexes = unique_indexes(job.destination, pair, part.into)
    deferrable = any(index.deferrable for index in indexes)
    inserts = statements.Inserts(place, part.into, pair.writable, pair.key, deferrable)
    number = foreseen = 0
    for rows, _ in _batches(job, part, kind):
        yield from _warnings(job, part, rows)
        for row, index in conflicts(job.destination, (pair, part.into), indexes, rows):
            foreseen += 1
            yield _conflict(pair, row, index)
        yield inserts.collect(rows, first=not number)
        number += len(rows)
    if number:
        yield inserts.insert(part.triggers)
    if foreseen:
        where = job.destination.name
        job.on_left_out(
            f"{pair.summary}: {counted(foreseen, 'conflict')} with other rows of {where}; named in the script"
        )
    return number


def _updates(job: Salvage, part: TablePart) -> Generator[str, None, int]:
    """Yield an update for every row that both databases have with other values; returns the number of rows."""
    number = 0
    for rows, current_rows in _batches(job, part, Difference.CHANGED):
        yield from _warnings(job, part, rows)
        for row, current in zip(rows, current_rows, strict=True):
            yield statements.update(part.into, part.pair.key, part.pair.writable, row, current)
        number += len(rows)
    if number:
        yield statements.SHOW_LEFT_OUT
    return number


def _conflict(pair: TablePair, row: Row, index: UniqueIndex) -> str:
    """Return the comment about a row that another row of the destination conflicts with."""
    named = " ".join(f"{name}={'NULL' if row[name] is None else repr(row[name])}" for name in pair.key or pair.columns)
    ends = "the script fails" if index.deferrable else "left out"
    return statements.comment(f"{ends} while another row conflicts: {pair.summary} {named}: {index.name}")


def _batches(job: Salvage, part: TablePart, kind: Difference) -> Iterator[tuple[list[Row], list[Row]]]:
    """Yield the rows of one kind in batches; with the destination's rows for CHANGED."""
    fetcher = RowFetcher(part.pair, job.row_hash)
    waiting: list[RowDifference] = []
    for difference in _differences(job, part, kind):
        waiting.append(difference)
        if len(waiting) >= fetcher.batch:
            yield _fetched(job, part, fetcher, kind, waiting)
            waiting = []
    if waiting:
        yield _fetched(job, part, fetcher, kind, waiting)


def _differences(job: Salvage, part: TablePart, kind: Difference) -> Iterator[RowDifference]:
    pair = part.pair
    unequal = differences(
        job.snapshots, pair, job.row_hash, Counts(), lambda progress: job.on_progress(pair.summary, progress)
    )
    # Closing ends the queries of both servers if the caller stops reading.
    with job.snapshots.releasing_locks(), closing(unequal):
        yield from (difference for difference in unequal if difference.kind is kind)


def _fetched(
    job: Salvage, part: TablePart, fetcher: RowFetcher, kind: Difference, wanted: Sequence[RowDifference]
) -> tuple[list[Row], list[Row]]:
    source_table = part.pair.restored if job.to_live else part.pair.live
    with job.source.releasing_locks(), job.destination.releasing_locks():
        rows = fetcher.rows(job.source, source_table, wanted)
        current = fetcher.rows(job.destination, part.into, wanted) if kind is Difference.CHANGED else []
    return rows, current


def _warnings(job: Salvage, part: TablePart, rows: Sequence[Row]) -> Iterator[str]:
    """Yield comments about missing rows of other tables that these rows refer to."""
    for foreign_key in part.unmet:
        if missing := foreign_key.missing(job.destination, rows):
            job.missing.add(foreign_key.summary)
            yield statements.comment(f"warning: {_missing_rows(part.into, foreign_key, missing)}")


def _missing_rows(table: TableSnapshot, foreign_key: ForeignKey, missing: Sequence[tuple[str, ...]]) -> str:
    columns = ", ".join(foreign_key.columns)
    named = " / ".join(", ".join(values) for values in missing[:MAX_MISSING])
    more = f" and {len(missing) - MAX_MISSING} more" if len(missing) > MAX_MISSING else ""
    return f"{foreign_key.summary} has no row for {table.name}.{columns} = {named}{more}: {foreign_key.name}"


def _sequences(job: Salvage, parts: Sequence[TablePart]) -> Iterator[str]:
    """Move the sequences of the tables, so that numbers are not used twice."""
    tables = {(part.into.schema, part.into.name) for part in parts if part.pair.summary not in job.unreadable}
    last = {use.summary: use.last for use in uses(job.source)}
    used = [use for use in uses(job.destination) if use.column and (use.of_schema, use.table) in tables]
    if used:
        yield "\n"
    for use in used:
        yield statements.set_sequence(use, last.get(use.summary))


def _check_unchanged(job: Salvage, parts: Sequence[TablePart]) -> None:
    """Raise OrderopsError if a table was truncated, rewritten or dropped since the snapshot, which sees it as empty."""
    for snapshot, tables in (
        (job.snapshots.live, [part.pair.live for part in parts]),
        (job.snapshots.restored, [part.pair.restored for part in parts]),
    ):
        changed = rewritten(snapshot)
        for table in tables:
            if changed and changed & partitions(snapshot, table):
                raise OrderopsError(f"{snapshot.name}: {table.summary} was {CHANGED_MEANWHILE}", "re-run this command")
