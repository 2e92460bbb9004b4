"""Large objects: their content in both databases, compared by a digest of chunks that each server calculates.

Their owners and privileges are not compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from orderops.restore.compare.merge import Difference
from orderops.restore.compare.result import TableComparison
from orderops.restore.compare.snapshots import Snapshot, SnapshotPair, Unreadable
from orderops.restore.compare.tables import TablePair

NAME = "large objects"
CHUNK = 1 << 20
"""Bytes that a server holds in memory for one digest. A large object can have 4 TB, a value 1 GB."""
# The content is read through functions, which need SELECT on the object: RDS keeps pg_largeobject from its users.
# 262144 is INV_READ, and 2 is SEEK_END. lo_close returns 0. OFFSET 0 keeps the order of the calls.
DIGESTS = f"""
select m.oid::bigint, s.size, (
    select md5(string_agg(md5(lo_get(m.oid, o, {CHUNK})), '' order by o))
    from generate_series(0, s.size - 1, {CHUNK}) o)
from pg_largeobject_metadata m
cross join lateral (
    select f.size from (
        select d.size, lo_close(d.number) as closed from (
            select n.number, lo_lseek64(n.number, 0, 2) as size
            from (select lo_open(m.oid, 262144) as number offset 0) n offset 0) d offset 0) f
    where f.closed = 0 offset 0) s
order by 1
"""
IDENTIFIERS = {"oid", "lo"}
"""Types of the columns that refer to large objects."""


def refers(pair: TablePair) -> bool:
    """Return whether a table has a column whose type makes a reference to a large object likely."""
    return any(column.basis in IDENTIFIERS for table in (pair.live, pair.restored) for column in table.columns.values())


def compare_large_objects(
    snapshots: SnapshotPair, pairs: Sequence[TablePair], *, named: bool, on_progress: Callable[[str, str], None]
) -> Iterator[TableComparison]:
    """Yield the comparison of large objects, if a database has any; named tables include them if they refer to any."""
    if (named and not any(map(refers, pairs))) or not any(map(has_any, snapshots.both)):
        return
    on_progress(NAME, "starts")
    compared = TableComparison(NAME, ("by content; owners and privileges are not compared",))
    try:
        live, restored = (dict(digests(snapshot)) for snapshot in snapshots.both)
        compared.rows.live, compared.rows.restored = len(live), len(restored)
        for kind, oids in unequal(live, restored).items():
            compared.differences[kind] = len(oids)
    except Unreadable as error:
        compared.error = error.message + (f" ({error.hint})" if error.hint else "")
    on_progress(NAME, "")
    yield compared


def has_any(snapshot: Snapshot) -> bool:
    """Return whether a database has a large object."""
    return bool(snapshot.rows("select from pg_largeobject_metadata limit 1"))


def digests(snapshot: Snapshot) -> Iterator[tuple[int, tuple[int, str | None]]]:
    """Yield the OID of every large object with its size and the digest of its content; raises Unreadable."""
    # The descriptors of large objects end with the savepoint.
    with snapshot.releasing_locks():
        rows = snapshot.rows(DIGESTS)
    yield from ((oid, (size, digest)) for oid, size, digest in rows)


def unequal(
    live: dict[int, tuple[int, str | None]], restored: dict[int, tuple[int, str | None]]
) -> dict[Difference, list[int]]:
    """Return the OIDs that differ, by kind."""
    return {
        Difference.ONLY_LIVE: sorted(live.keys() - restored.keys()),
        Difference.ONLY_RESTORED: sorted(restored.keys() - live.keys()),
        Difference.CHANGED: sorted(oid for oid in live.keys() & restored.keys() if live[oid] != restored[oid]),
    }
