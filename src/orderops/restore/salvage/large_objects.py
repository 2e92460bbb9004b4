"""Large objects in a salvage script: content and owner. Their privileges are not brought."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from orderops.frozen import Frozen
from orderops.restore.compare.large_objects import CHUNK, digests, unequal
from orderops.restore.compare.merge import Difference
from orderops.restore.compare.snapshots import Snapshot, SnapshotPair
from orderops.restore.salvage.statements import literal

COLLECT = """
create temporary table pg_temp."orderops large objects" (id oid, place bigint, data bytea) on commit drop;
create temporary table pg_temp."orderops large object owners" (id oid, owner text, size bigint, digest text)
    on commit drop;
"""
# A size is set for an object that is to be changed: it must still have the content that it was compared with.
# 131072 is INV_WRITE. A new object takes its OID, by which rows refer to it.
BRING = f"""do $orderops$
declare
    one record;
    part record;
    number int;
    found bool;
begin
    for one in select * from pg_temp."orderops large object owners" order by id loop
        found := exists (select from pg_largeobject_metadata where oid = one.id);
        if one.size is null and found or one.size is not null and not found then
            insert into pg_temp."orderops left out" values ('large object', one.id::text,
                case when found then 'one with this OID exists' else 'it was deleted since' end);
            continue;
        end if;
        if found then
            number := lo_open(one.id, 262144);
            if lo_lseek64(number, 0, 2) <> one.size or one.digest is distinct from (
                select md5(string_agg(md5(lo_get(one.id, o, {CHUNK})), '' order by o))
                from generate_series(0, one.size - 1, {CHUNK}) o)
            then
                insert into pg_temp."orderops left out" values ('large object', one.id::text, 'it was changed since');
                perform lo_close(number);
                continue;
            end if;
            perform lo_close(number);
            number := lo_open(one.id, 131072);
            perform lo_truncate(number, 0), lo_close(number);
        else
            perform lo_create(one.id);
        end if;
        for part in select * from pg_temp."orderops large objects" l where l.id = one.id order by l.place loop
            perform lo_put(one.id, part.place, part.data);
        end loop;
        if not found and exists (select from pg_roles where rolname = one.owner) and one.owner <> current_user then
            begin
                execute format('alter large object %s owner to %I', one.id, one.owner);
            exception when insufficient_privilege then
                raise warning 'large object % keeps the owner %, and not %', one.id, current_user, one.owner;
            end;
        end if;
    end loop;
end $orderops$;
"""


class LargeObjects(Frozen):
    """The large objects to bring, and the content that changed ones have in the destination."""

    source: Snapshot
    oids: Sequence[int]
    current: Mapping[int, tuple[int, str | None]]

    def statements(self) -> Iterator[str]:
        """Yield the statements that collect their chunks and write them; raises Unreadable."""
        yield COLLECT
        for oid in self.oids:
            with self.source.releasing_locks():
                owner = self.source.rows(
                    f"select quote_literal(pg_get_userbyid(lomowner)) from pg_largeobject_metadata where oid = {oid}"
                )[0][0]
                yield from self._chunks(oid)
            size, digest = self.current.get(oid, (None, None))
            expected = f"{'null' if size is None else size}, {literal(digest)}"
            yield f'insert into pg_temp."orderops large object owners" values ({oid}, {owner}, {expected});\n'
        yield BRING

    def _chunks(self, oid: int) -> Iterator[str]:
        place = 0
        while True:
            chunk = self.source.rows(f"select lo_get({oid}, {place}, {CHUNK})")[0][0]
            if chunk:
                yield f"insert into pg_temp.\"orderops large objects\" values ({oid}, {place}, '\\x{chunk.hex()}');\n"
            if len(chunk) < CHUNK:
                return
            place += CHUNK


def large_objects(snapshots: SnapshotPair, kinds: set[Difference], *, to_live: bool) -> LargeObjects:
    """Return the large objects of these kinds; raises Unreadable without the privilege to read one."""
    live, restored = (dict(digests(snapshot)) for snapshot in snapshots.both)
    found = unequal(live, restored)
    current = restored if not to_live else live
    changed = found[Difference.CHANGED]
    return LargeObjects(
        snapshots.restored if to_live else snapshots.live,
        [oid for kind in Difference if kind in kinds for oid in found[kind]],
        {oid: current[oid] for oid in changed},
    )
