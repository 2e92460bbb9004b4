"""Rows that one database has and the other has not, as a script that brings them back. Nothing is run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path

from orderops.database.connection import Login
from orderops.errors import OrderopsError, UsageError
from orderops.restore.compare.comparison import CHANGED_MEANWHILE, OnProgress
from orderops.restore.compare.export import new_file, write
from orderops.restore.compare.merge import Counts, Difference, RowDifference
from orderops.restore.compare.row_diff import RowHash, differences, new_row_hash
from orderops.restore.compare.samples import Row, RowFetcher
from orderops.restore.compare.sequences import uses
from orderops.restore.compare.snapshots import Snapshot, SnapshotPair, open_snapshots
from orderops.restore.compare.tables import TableSnapshot, pair_tables, partitions, rewritten
from orderops.restore.salvage import statements as script
from orderops.restore.salvage.foreign_keys import NAMED, ForeignKey, Part, in_order, parts_of


@dataclass(frozen=True)
class Salvage:
    """From which of the two to which, and how it is looked at."""

    sides: SnapshotPair
    beside: SnapshotPair
    """For rows that are fetched while others are counted."""
    kinds: Collection[Difference]
    made: RowHash
    watch: OnProgress
    say: Callable[[str], None]
    missing: set[str] = field(default_factory=set)
    """Tables in which rows are missing that the script refers to."""

    @property
    def back(self) -> bool:
        """Whether rows of the restored one go to live: after the switch it is the older of the two that has more."""
        return Difference.ONLY_RESTORED in self.kinds

    @property
    def origin(self) -> Snapshot:
        """Where the rows are."""
        return self.beside.restored if self.back else self.beside.live

    @property
    def goal(self) -> Snapshot:
        """Where they go."""
        return self.beside.live if self.back else self.beside.restored


def salvage(
    live: Login,
    restored: Login,
    tables: Collection[str],
    *,
    kinds: Collection[Difference] = (Difference.ONLY_LIVE,),
    on_progress: OnProgress = lambda *_: None,
    on_note: Callable[[str], None] = lambda _: None,
) -> Generator[str]:
    """The script, piece by piece: rows that only live has, for the restored one; or with ONLY_RESTORED the other way.

    Of these tables, or of all where none is named.
    CHANGED gives the values of rows that both have as well. `say` is told how many rows there are, and of rows without
    which some cannot come back. A script that breaks off has no commit.
    Raises UsageError for a table that neither has, OrderopsError for one that only one of them has, where it is named.
    """
    with open_snapshots(live, restored) as sides, sides.second_session() as beside:
        course = Salvage(sides, beside, kinds, new_row_hash(sides), on_progress, on_note)
        parts, circle = in_order(_parts(course, tables))
        yield from _head(course, parts, circle)
        for part in parts:
            yield from _rows(course, part)
        yield from _sequences(course, parts)
        _refuse_what_changed(course, parts)
        yield script.COMMIT
        if course.missing:
            more = " ".join(f"--table {name}" for name in sorted(course.missing))
            on_note(f"it fails as it is: rows that it refers to are missing; the same command with {more}")


def wanted_kinds(*, only_live: bool, only_restored: bool, changed: bool) -> set[Difference]:
    """What is asked for, as kinds of rows; raises UsageError where it is nothing, or both ways at once."""
    asked = {Difference.ONLY_LIVE: only_live, Difference.ONLY_RESTORED: only_restored, Difference.CHANGED: changed}
    kinds = {kind for kind, wanted in asked.items() if wanted}
    if not kinds:
        raise UsageError("say which rows", "--only-live for the restored instance, --only-restored for live")
    if {Difference.ONLY_LIVE, Difference.ONLY_RESTORED} <= kinds:
        raise UsageError("rows come back either from live or from the restored one", "ask for one of them at a time")
    return kinds


def write_script(pieces: Iterator[str], path: Path) -> None:
    """The script as a new file; where it breaks off there is none."""
    file = new_file(path)
    try:
        with file:
            for piece in pieces:
                write(file, piece.encode())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _parts(course: Salvage, wanted: Collection[str]) -> list[Part]:
    found = pair_tables(course.sides, wanted)
    for single, where in ((found.only_live, "live"), (found.only_restored, "the restored one")):
        for table in single:
            told = f"{table.summary} is only in {where}: there is no table that its rows could go to"
            if wanted:
                raise OrderopsError(told, f"the whole of it: pg_dump --table {table.summary}")
            course.say(told)
    tables = [(each, each.live if course.back else each.restored) for each in found.pairs]
    coming = {table.oid for _, table in tables} if {*course.kinds} - {Difference.CHANGED} else set()
    return parts_of(course.goal, tables, coming)


def _head(course: Salvage, parts: Sequence[Part], circle: str) -> Iterator[str]:
    origin, goal = course.origin, course.goal
    yield script.comment(f"rows of {origin.login.describe} as of {origin.taken.astimezone(UTC):%Y-%m-%d %H:%M:%SZ},")
    yield script.comment(f"for {goal.login.describe}: {', '.join(sorted(map(str, course.kinds)))}")
    yield script.BEGIN
    yield script.settings(compared=Difference.CHANGED in course.kinds)
    if any(tie.deferrable for part in parts for tie in part.ties):
        yield "set constraints all deferred;\n"
    if circle:
        yield script.comment(f"warning: tables that refer to each other in a circle: {circle}")
        course.say(f"{circle}: these refer to each other; drop one of the foreign keys until it is done")


def _rows(course: Salvage, part: Part) -> Iterator[str]:
    """What is to be known of a table, then its rows: those that come back, then the values of changed ones."""
    pairing = part.pairing
    yield "\n" + script.comment(pairing.summary)
    for note in pairing.notes:
        yield script.comment(note)
    if not pairing.key:
        yield script.comment("run this once: without a key nothing tells a row that is there already")
    if part.triggers:
        yield script.comment(f"triggers fire for these rows: {', '.join(part.triggers)}")
    if not pairing.writable:
        yield script.comment("no column into which a value can be written")
        return
    course.watch(pairing.summary, "begins")
    number = 0
    for kind in sorted(course.kinds, key=lambda kind: kind is Difference.CHANGED):
        number += yield from _statements(course, part, kind)
    course.watch(pairing.summary, "")
    course.say(f"{pairing.summary}: {number:,} rows")


def _statements(course: Salvage, part: Part, kind: Difference) -> Generator[str, None, int]:
    """The statements for rows of one kind; answers how many rows they are about."""
    columns = part.pairing.writable
    number = 0
    for rows, there in _batches(course, part, kind):
        yield from _warnings(course, part, rows)
        if kind is Difference.CHANGED:
            for row, other in zip(rows, there, strict=True):
                yield script.update(part.into, part.pairing.key, columns, row, other)
        elif part.of_itself:
            yield ",\n" if number else script.head(part.into, columns)
            yield script.values(columns, rows)
        else:
            yield script.head(part.into, columns) + script.values(columns, rows) + script.LEFT_ALONE
        number += len(rows)
    if number and part.of_itself and kind is not Difference.CHANGED:
        yield script.LEFT_ALONE
    return number


def _batches(course: Salvage, part: Part, kind: Difference) -> Iterator[tuple[list[Row], list[Row]]]:
    """The rows of one kind, some at a time; of changed ones, what is there as well."""
    found = RowFetcher(part.pairing, course.made)
    waiting: list[RowDifference] = []
    for each in _differences(course, part, kind):
        waiting.append(each)
        if len(waiting) >= found.batch:
            yield _fetched(course, part, found, kind, waiting)
            waiting = []
    if waiting:
        yield _fetched(course, part, found, kind, waiting)


def _differences(course: Salvage, part: Part, kind: Difference) -> Iterator[RowDifference]:
    pairing, told = part.pairing, part.pairing.summary
    with (
        course.sides.releasing_locks(),
        closing(
            differences(course.sides, pairing, course.made, Counts(), lambda how: course.watch(told, how))
        ) as found,
    ):
        yield from (each for each in found if each.kind is kind)


def _fetched(
    course: Salvage, part: Part, found: RowFetcher, kind: Difference, wanted: Sequence[RowDifference]
) -> tuple[list[Row], list[Row]]:
    of_origin = part.pairing.restored if course.back else part.pairing.live
    with course.origin.releasing_locks(), course.goal.releasing_locks():
        rows = found.rows(course.origin, of_origin, wanted)
        there = found.rows(course.goal, part.into, wanted) if kind is Difference.CHANGED else []
    return rows, there


def _warnings(course: Salvage, part: Part, rows: Sequence[Row]) -> Iterator[str]:
    """Rows of other tables without which these cannot come."""
    for tie in part.loose:
        if missing := tie.missing(course.goal, rows):
            course.missing.add(tie.summary)
            yield script.comment(f"warning: {_told(part.into, tie, missing)}")


def _told(table: TableSnapshot, tie: ForeignKey, missing: Sequence[tuple[str, ...]]) -> str:
    shown = [", ".join(values) for values in missing[:NAMED]]
    more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    return f"{tie.summary} has no row for {table.name}.{', '.join(tie.columns)} = {' / '.join(shown)}{more}: {tie.name}"


def _sequences(course: Salvage, parts: Sequence[Part]) -> Iterator[str]:
    """Numbers that were given out are not given again."""
    coming = {(part.into.schema, part.into.name) for part in parts}
    last = {use.summary: use.last for use in uses(course.origin)}
    served = [use for use in uses(course.goal) if use.column and (use.of_schema, use.table) in coming]
    if served:
        yield "\n"
    for use in served:
        yield script.set_sequence(use, last.get(use.summary))


def _refuse_what_changed(course: Salvage, parts: Sequence[Part]) -> None:
    for side, tables in (
        (course.sides.live, [part.pairing.live for part in parts]),
        (course.sides.restored, [part.pairing.restored for part in parts]),
    ):
        changed = rewritten(side)
        for table in tables:
            if changed and changed & partitions(side, table):
                raise OrderopsError(f"{side.name}: {table.summary} was {CHANGED_MEANWHILE}", "the same command again")
