"""What in a database stands in the way of an upgrade: extensions, prepared transactions and logical slots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

from orderops.errors import OrderopsError
from orderops.frozen import Frozen, as_dict
from orderops.text.lists import counted, joined

if TYPE_CHECKING:
    from psycopg import Connection

# Contrib modules that the release notes of PostgreSQL 17 call removed.
REMOVED = {"adminpack": 17, "old_snapshot": 17}
"""Extensions, and the major version that has them no longer."""
# "Upgrading PostgreSQL extensions" in the RDS user guide: an upgrade of the server does not change these, and fails
# where the new one has not the old version.
UPDATED_FIRST = frozenset({"pgrouting", "postgis", "postgis_raster", "postgis_tiger_geocoder", "postgis_topology"})
MANY = 50
EXTENSIONS: LiteralString = (
    "select e.extname, e.extversion, coalesce(a.default_version, '') from pg_extension e"
    " left join pg_available_extensions a on a.name = e.extname where e.extname <> 'plpgsql' order by 1"
)
# "Performing a major version upgrade" in the RDS user guide: with one of them, RDS does not begin.
PREPARED: LiteralString = "select count(*) from pg_prepared_xacts"
LOGICAL: LiteralString = "select count(*) from pg_replication_slots where slot_type = 'logical'"
# "Replica Identity" in the documentation of PostgreSQL's publications: changes of such a table are not replicated, and
# once it is published, UPDATE and DELETE of it fail.
UNKEYED: LiteralString = (
    "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace"
    " where c.relkind = 'r' and c.relpersistence = 'p'"
    " and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_toast%'"
    " and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')"
    " and (c.relreplident = 'n' or c.relreplident = 'd'"
    " and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary))"
    " order by 1"
)
LARGE_OBJECTS: LiteralString = "select count(*) from pg_largeobject_metadata"


@dataclass(frozen=True)
class Extension:
    """An installed extension, and the version that the running server would install."""

    name: str
    version: str
    offered: str = ""


class UpgradeCheck(Frozen):
    """What a database has that an upgrade looks at."""

    extensions: tuple[Extension, ...] = ()
    prepared: int = 0
    """Transactions that were prepared and neither committed nor rolled back."""
    logical_slots: int = 0
    unkeyed: tuple[str, ...] | None = None
    """Tables that cannot be replicated by rows: without a primary key or replica identity; None if not read."""
    large_objects: int | None = None
    """Large objects, which are not replicated by rows; None if not read."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return as_dict(self)

    def check(self, major: int) -> None:
        """Raise OrderopsError for what makes an upgrade to this major version fail."""
        gone = [item.name for item in self.extensions if REMOVED.get(item.name, major + 1) <= major]
        if gone:
            drops = "; ".join(f"DROP EXTENSION {name}" for name in gone)
            raise OrderopsError(
                f"PostgreSQL {major} has no {joined(gone, MANY)}, which the database uses; nothing was changed", drops
            )
        if self.prepared:
            raise OrderopsError(
                f"the database has {counted(self.prepared, 'prepared transaction')}, and RDS upgrades none with them",
                "list them: SELECT gid, owner FROM pg_prepared_xacts; then COMMIT PREPARED or ROLLBACK PREPARED each",
            )
        if self.logical_slots:
            raise OrderopsError(
                f"the database has {counted(self.logical_slots, 'logical replication slot')}, and RDS upgrades none "
                "with them",
                "end their readers, then: SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots",
            )

    def check_replicable(self) -> None:
        """Raise OrderopsError for what a green instance of another major version would not receive."""
        if self.unkeyed:
            raise OrderopsError(
                f"{counted(len(self.unkeyed), 'table')} without a primary key or replica identity would not be "
                f"replicated to green: {joined(self.unkeyed, MANY)}; nothing was changed",
                f"give each a primary key, or: ALTER TABLE {self.unkeyed[0]} REPLICA IDENTITY FULL",
            )
        if self.large_objects:
            raise OrderopsError(
                f"the database has {counted(self.large_objects, 'large object')}, whose changes are not replicated to "
                "green; nothing was changed",
                "upgrade in place: the same command without --blue-green",
            )

    def in_words(self) -> str:
        """The extensions with their versions, and those that have to be brought up to date first."""
        if not self.extensions:
            return "none but plpgsql"
        text = joined([f"{item.name} {item.version}" for item in self.extensions], MANY)
        first = [item for item in self.extensions if item.name in UPDATED_FIRST and item.version != item.offered]
        updates = "; ".join(f"ALTER EXTENSION {item.name} UPDATE" for item in first)
        return f"{text}; before the upgrade: {updates}" if first else f"{text}; afterwards ALTER EXTENSION … UPDATE"


@dataclass(frozen=True)
class UpgradeCheckShape:
    """The result of a remote job, to validate it with."""

    extensions: tuple[Extension, ...]
    prepared: int
    logical_slots: int
    # A task of an older image does not look.
    unkeyed: tuple[str, ...] | None = None
    large_objects: int | None = None


def read(connection: Connection) -> UpgradeCheck:
    """Read what the database of this connection has."""
    found = tuple(Extension(*row) for row in connection.execute(EXTENSIONS))
    return UpgradeCheck(
        found,
        _count(connection, PREPARED),
        _count(connection, LOGICAL),
        tuple(name for (name,) in connection.execute(UNKEYED)),
        _count(connection, LARGE_OBJECTS),
    )


def _count(connection: Connection, query: LiteralString) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
