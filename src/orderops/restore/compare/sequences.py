"""Sequences: whether one would give numbers again that its column has, or that live has given out since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orderops.restore.compare.snapshots import Snapshot, SnapshotPair, Unreadable
from orderops.restore.compare.tables import NOT_ANOTHERS, OURS, source_of

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


@dataclass(frozen=True)
class SequencePosition:
    """How far a sequence is on one side."""

    last: int | None
    """None where it gave no number yet."""
    furthest: Mapping[str, int]
    """By column: the furthest value there is."""
    step: int

    @property
    def behind(self) -> Mapping[str, int]:
        """The columns that have numbers which it would give again, and how many it is behind."""
        last = self.last
        if last is None:
            return {name: abs(value) for name, value in self.furthest.items() if value * self.step > 0}
        found = {name: (value - last) * (1 if self.step > 0 else -1) for name, value in self.furthest.items()}
        return {name: far for name, far in found.items() if far > 0}

    def to_dict(self) -> dict[str, Any]:
        """The same for machines; keys stay as they are."""
        return {"last_value": self.last, "furthest": dict(self.furthest), "behind": dict(self.behind)}


@dataclass(frozen=True)
class Sequence:
    """A sequence that both have."""

    name: str
    live: SequencePosition
    restored: SequencePosition

    @property
    def lag(self) -> int:
        """So many numbers that live has given out would be given again by the restored one."""
        if self.live.last is None:
            return 0
        step = self.live.step
        begins = self.restored.last if self.restored.last is not None else 0
        return max(0, (self.live.last - begins) * (1 if step > 0 else -1))

    @property
    def fine(self) -> bool:
        """Whether nobody need look at it."""
        return not (self.lag or self.live.behind or self.restored.behind)

    def to_dict(self) -> dict[str, Any]:
        """The same for machines; keys stay as they are."""
        return {
            "name": self.name,
            "live": self.live.to_dict(),
            "restored": self.restored.to_dict(),
            "restored_behind_live": self.lag,
        }


def sequences(sides: SnapshotPair, notes: list[str]) -> list[Sequence]:
    """Every sequence of both, with how far it is; adds to `notes` what could not be seen."""
    live, restored = (dict(_standings(side, notes)) for side in sides.both)
    return [Sequence(name, live[name], restored[name]) for name in sorted(live.keys() & restored.keys())]


@dataclass(frozen=True)
class Use:
    """A sequence, and one column that takes its numbers from it, or none."""

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
        """The sequence's name, with its schema."""
        return f"{self.schema}.{self.name}"


def uses(side: Snapshot) -> list[Use]:
    """Every sequence, once for each column that it serves."""
    return [Use(*row) for row in side.rows(SEQUENCES)]


def _standings(side: Snapshot, notes: list[str]) -> Iterator[tuple[str, SequencePosition]]:
    found: dict[str, tuple[int | None, int, dict[str, int]]] = {}
    for use in uses(side):
        if not use.readable:
            notes.append(f"sequence {use.summary} of {side.name} cannot be read by {side.login.username}")
            continue
        _, _, furthest = found.setdefault(use.summary, (use.last, use.step, {}))
        value = _furthest(side, use, notes) if use.column else None
        if value is not None:
            furthest[f"{use.of_schema}.{use.table}.{use.column}"] = value
    for told, (last, step, furthest) in found.items():
        yield told, SequencePosition(last, furthest, step)


def _furthest(side: Snapshot, use: Use, notes: list[str]) -> int | None:
    from psycopg import sql

    assert use.of_schema and use.table and use.column, "only asked where there is a column"
    asked = sql.SQL("select {}(t.{}) from {}").format(
        sql.SQL("max" if use.step > 0 else "min"),
        sql.Identifier(use.column),
        source_of(use.of_schema, use.table, partitioned=bool(use.partitioned)),
    )
    try:
        with side.releasing_locks():
            value: int | None = side.rows(asked)[0][0]
    except Unreadable as error:
        notes.append(f"how far {use.of_schema}.{use.table}.{use.column} is cannot be seen: {error.message}")
        return None
    return value
