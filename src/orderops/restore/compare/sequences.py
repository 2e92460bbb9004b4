"""Sequences: whether one would return numbers that its column already contains or that live has returned since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orderops.frozen import Frozen
from orderops.restore.compare.snapshots import Snapshot, SnapshotPair, Unreadable
from orderops.restore.compare.tables import NOT_ANOTHERS, OURS, source_of

# A serial or identity column owns its sequence (deptype a or i); a plain default of nextval() only depends on it.
# pg_sequence_last_value() raises an error without the privilege, so that is checked first.
SEQUENCES = f"""
with used (sequence, relation, number) as (
    select d.objid, d.refobjid, d.refobjsubid from pg_depend d
    where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0
        and d.deptype in ('a', 'i')
    union
    select d.refobjid, f.adrelid, f.adnum from pg_depend d join pg_attrdef f on f.oid = d.objid
    where d.classid = 'pg_attrdef'::regclass and d.refclassid = 'pg_class'::regclass)
select n.nspname, c.relname, q.seqincrement,
    case when has_sequence_privilege(c.oid, 'select, usage') then pg_sequence_last_value(c.oid) end,
    has_sequence_privilege(c.oid, 'select, usage'),
    tn.nspname, t.relname, t.relkind = 'p', a.attname
from pg_sequence q join pg_class c on c.oid = q.seqrelid join pg_namespace n on n.oid = c.relnamespace
left join used u on u.sequence = c.oid
left join pg_class t on t.oid = u.relation and t.relkind in ('r', 'p')
left join pg_namespace tn on tn.oid = t.relnamespace
left join pg_attribute a on a.attrelid = t.oid and a.attnum = u.number
    and a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
where {OURS} and c.relpersistence <> 't' and {NOT_ANOTHERS}
order by 1, 2, 6, 7, 9
"""


class SequencePosition(Frozen):
    """The position of a sequence in one database."""

    last: int | None
    """The last number it returned; None if it has not been used."""
    furthest: Mapping[str, int]
    """By column: the highest value in it (the lowest for a descending sequence)."""
    step: int

    @property
    def behind(self) -> Mapping[str, int]:
        """The columns with values that the sequence has yet to return, and by how much it is behind."""
        last = self.last
        if last is None:
            # An unused sequence counts from 1 (or -1), so it never returns values of the other sign.
            return {name: abs(value) for name, value in self.furthest.items() if value * self.step > 0}
        lags = {name: (value - last) * (1 if self.step > 0 else -1) for name, value in self.furthest.items()}
        return {name: lag for name, lag in lags.items() if lag > 0}

    def to_dict(self) -> dict[str, Any]:
        """Return the part of `--json`; its keys are stable."""
        return {"last_value": self.last, "furthest": dict(self.furthest), "behind": dict(self.behind)}


class Sequence(Frozen):
    """A sequence that both databases have."""

    name: str
    live: SequencePosition
    restored: SequencePosition

    @property
    def lag(self) -> int:
        """How many numbers that live has returned the restored sequence would return again."""
        if self.live.last is None:
            return 0
        step = self.live.step
        # A sequence that has not been used has no last value; its first number is usually 1.
        restored = self.restored.last if self.restored.last is not None else 0
        return max(0, (self.live.last - restored) * (1 if step > 0 else -1))

    @property
    def in_order(self) -> bool:
        """Whether it needs no attention."""
        return not (self.lag or self.live.behind or self.restored.behind)

    def to_dict(self) -> dict[str, Any]:
        """Return the part of `--json`; its keys are stable."""
        return {
            "name": self.name,
            "live": self.live.to_dict(),
            "restored": self.restored.to_dict(),
            "restored_behind_live": self.lag,
        }


def sequences(snapshots: SnapshotPair, notes: list[str]) -> list[Sequence]:
    """Return the sequences that both databases have; adds to `notes` what cannot be read."""
    live, restored = (dict(_positions(snapshot, notes)) for snapshot in snapshots.both)
    return [Sequence(name, live[name], restored[name]) for name in sorted(live.keys() & restored.keys())]


class SequenceUse(Frozen):
    """A sequence, and a column that takes its values from it, if any."""

    schema: str
    name: str
    step: int
    last: int | None
    readable: bool
    of_schema: str | None
    table: str | None
    partitioned: bool | None
    column: str | None

    @property
    def summary(self) -> str:
        """The sequence's name with its schema."""
        return f"{self.schema}.{self.name}"


def uses(snapshot: Snapshot) -> list[SequenceUse]:
    """Return every sequence, once for each column that takes its values from it."""
    return [SequenceUse(*row) for row in snapshot.rows(SEQUENCES)]


def _positions(snapshot: Snapshot, notes: list[str]) -> Iterator[tuple[str, SequencePosition]]:
    found: dict[str, tuple[int | None, int, dict[str, int]]] = {}
    for use in uses(snapshot):
        if not use.readable:
            notes.append(f"sequence {use.summary} of {snapshot.name} cannot be read by {snapshot.login.username}")
            continue
        _, _, furthest = found.setdefault(use.summary, (use.last, use.step, {}))
        value = _furthest(snapshot, use, notes) if use.column else None
        if value is not None:
            furthest[f"{use.of_schema}.{use.table}.{use.column}"] = value
    for name, (last, step, furthest) in found.items():
        yield name, SequencePosition(last, furthest, step)


def _furthest(snapshot: Snapshot, use: SequenceUse, notes: list[str]) -> int | None:
    """Return the highest value of a sequence's column (the lowest for a descending one); None if it has none."""
    from psycopg import sql

    assert use.of_schema and use.table and use.column, "the caller checks that there is a column"
    query = sql.SQL("select {}(t.{}) from {}").format(
        sql.SQL("max" if use.step > 0 else "min"),
        sql.Identifier(use.column),
        source_of(use.of_schema, use.table, partitioned=bool(use.partitioned)),
    )
    try:
        with snapshot.releasing_locks():
            value: int | None = snapshot.rows(query)[0][0]
    except Unreadable as error:
        notes.append(f"the values of {use.of_schema}.{use.table}.{use.column} cannot be read: {error.message}")
        return None
    return value
