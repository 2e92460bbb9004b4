"""Ledgers of other migration tools: which tool, which migrations are applied, and which files they match.

They are only read. A tool is recognised by the columns of its table, since several tools use schema_migrations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, LiteralString

from orderops.errors import OrderopsError
from orderops.frozen import Frozen
from orderops.migrations.sql.files import Migration

if TYPE_CHECKING:
    import psycopg

FLYWAY, DBMATE, YOYO, GOLANG_MIGRATE = "flyway", "dbmate", "yoyo", "golang-migrate"
RAILS, UNKNOWN = "rails", "unknown"
# Recognised so that they are not mistaken for dbmate, which uses the same table; their entries are not read.

RAILS_MARKER = "ar_internal_metadata"
NAMES = ["flyway_schema_history", "schema_migrations", "_yoyo_migration", RAILS_MARKER]
TABLES: LiteralString = """
select n.nspname, c.relname, json_object_agg(a.attname, format_type(a.atttypid, null)),
       has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select'), current_user
from pg_class c join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relname = any(%s) and c.relkind in ('r', 'p')
and (n.nspname = any(current_schemas(false)) or n.nspname = 'public')
group by n.oid, n.nspname, c.oid, c.relname
order by n.nspname, c.relname
"""
# Columns and their order as each tool's documentation and its own CREATE TABLE define them.
READ: Mapping[str, LiteralString] = {
    FLYWAY: "select version, description, type, installed_on, success from {} order by installed_rank",
    DBMATE: "select version from {} order by version",
    YOYO: "select migration_id, applied_at_utc from {} order by applied_at_utc, migration_id",
    GOLANG_MIGRATE: "select version, dirty from {}",
}
FLYWAY_COLUMNS = {"installed_rank", "version", "description", "type", "installed_on", "success"}
YOYO_COLUMNS = {"migration_id", "applied_at_utc"}
TEXTS = ("text", "character varying")
MARKS = ("SCHEMA", "TABLE")
"""Types of Flyway's rows about its own table or schema."""

DATED = re.compile(r"(?P<version>[0-9]{8}_[0-9]{2})_[A-Za-z0-9]{5}-(?P<description>.*)")
NUMBERED = re.compile(r"(?P<version>[0-9]+)[-._ ]*(?P<description>.*)")
DOTTED = re.compile(r"[0-9]+(?:\.[0-9]+)*")


class OtherToolEntry(Frozen):
    """One migration in the ledger of another tool."""

    version: str
    description: str
    when: datetime | None
    """Read as UTC, since these tools store no time zone."""


class OtherToolLedger(Frozen):
    """The ledger of another tool."""

    tool: str
    table: str
    """With its schema."""
    applied: tuple[OtherToolEntry, ...]
    """Applied migrations, in the order of their application."""
    failed: tuple[OtherToolEntry, ...]
    up_to: str = ""
    """All versions up to this one are applied without entries of their own: Flyway's baseline, and golang-migrate."""
    repeatable: tuple[OtherToolEntry, ...] = ()
    """Flyway's migrations without a version: they run whenever they change."""


def ledgers_of_other_tools(connection: psycopg.Connection[Any]) -> list[OtherToolLedger]:
    """Read the ledgers on the search path and in public; raises OrderopsError for one that this user may not read."""
    from psycopg.rows import tuple_row

    with connection.cursor(row_factory=tuple_row) as cursor:
        tables = cursor.execute(TABLES, [NAMES]).fetchall()
        rails = {schema for schema, name, *_ in tables if name == RAILS_MARKER}
        return [
            _ledger(cursor, schema, name, _tool(name, columns, schema in rails), user if not readable else "")
            for schema, name, columns, readable, user in tables
            if name != RAILS_MARKER
        ]


def match(foreign: OtherToolLedger, migrations: Sequence[Migration]) -> tuple[list[Migration], list[OtherToolEntry]]:
    """The migrations that the ledger has applied, and its entries that match no migration.

    Raises OrderopsError for a ledger that orderops cannot read.
    """
    if foreign.tool not in READ:
        owner = "Rails" if foreign.tool == RAILS else "a tool that orderops does not know"
        raise OrderopsError(
            f"{foreign.table} is the ledger of {owner}, which orderops cannot read",
            "pass the applied version: orderops migrate baseline --version N",
        )
    by_version = {migration.version: migration for migration in migrations}
    floor = _place(foreign.up_to)
    found = {version for version in by_version if floor and _place(str(version)) <= floor}
    taken: set[int] = set()  # one entry per file: yoyo may have several of one day
    missing = []
    for entry in foreign.applied:
        free = (number for number in _numbers(entry.version) if number in by_version and number not in taken)
        if (number := next(free, None)) is not None:
            taken.add(number)
        else:
            missing.append(entry)
    return [migration for migration in migrations if migration.version in found | taken], missing


def _tool(name: str, columns: Mapping[str, str], has_rails_marker: bool) -> str:
    match name:
        case "flyway_schema_history" if columns.keys() >= FLYWAY_COLUMNS:
            return FLYWAY
        case "_yoyo_migration" if columns.keys() >= YOYO_COLUMNS:
            return YOYO
        case "schema_migrations" if columns == {"version": "bigint", "dirty": "boolean"}:
            return GOLANG_MIGRATE
        case "schema_migrations" if len(columns) == 1 and columns.get("version") in TEXTS:
            return RAILS if has_rails_marker else DBMATE
    return UNKNOWN


def _ledger(cursor: psycopg.Cursor[Any], schema: str, name: str, tool: str, barred: str) -> OtherToolLedger:
    """Read one ledger; `barred` names a user without the privilege to read it."""
    from psycopg import sql

    table = f"{schema}.{name}"
    if tool not in READ:
        return OtherToolLedger(tool, table, (), ())
    if barred:
        grant = sql.SQL("grant usage on schema {0} to {2}; grant select on {1} to {2};").format(
            sql.Identifier(schema), sql.Identifier(schema, name), sql.Identifier(barred)
        )
        raise OrderopsError(
            f"{table}, the ledger of {tool}, cannot be read by user {barred}",
            f"as its owner: {grant.as_string(cursor)}",
        )
    rows = cursor.execute(sql.SQL(READ[tool]).format(sql.Identifier(schema, name))).fetchall()
    if tool == FLYWAY:
        return _of_flyway(table, rows)
    if tool == GOLANG_MIGRATE:
        return _of_golang_migrate(table, rows)
    if tool == YOYO:
        return OtherToolLedger(YOYO, table, tuple(_of_yoyo(named, when) for named, when in rows), ())
    return OtherToolLedger(DBMATE, table, tuple(OtherToolEntry(version, "", None) for (version,) in rows), ())


def _of_flyway(table: str, rows: Sequence[tuple[Any, ...]]) -> OtherToolLedger:
    """Use the latest row of each version, or of each description for repeatable migrations."""
    # An undo row has the version as spelled in its own file name, so 1, 01 and 1.0 are the same version.
    latest = _latest_by_version(rows)
    failed = tuple(entry for entry, _, success in latest.values() if not success)
    current = [(entry, kind) for entry, kind, success in latest.values() if success and not _undone(kind)]
    repeatable = tuple(entry for entry, _ in current if not entry.version)
    versioned = [(entry, kind) for entry, kind in current if entry.version]
    applied = tuple(entry for entry, kind in versioned if not _baseline(kind))
    floors = [entry.version for entry, kind in versioned if _baseline(kind)]
    return OtherToolLedger(FLYWAY, table, applied, failed, max(floors, key=_place, default=""), repeatable)


def _latest_by_version(rows: Sequence[tuple[Any, ...]]) -> dict[object, tuple[OtherToolEntry, str, bool]]:
    """The last row of each version or repeatable description: the entry, its type, and whether it succeeded."""
    latest: dict[object, tuple[OtherToolEntry, str, bool]] = {}
    for version, description, kind, when, success in rows:
        if kind in MARKS:
            continue
        entry = OtherToolEntry(version or "", description, _utc(when))
        key = (_place(version) or version) if version else f"repeatable {description}"
        latest.pop(key, None)  # the order is that of the last application
        latest[key] = entry, kind, success
    return latest


def _undone(kind: str) -> bool:
    """Whether the row marks a migration as undone, or as deleted by a repair."""
    return kind.startswith("UNDO_") or kind == "DELETE"


def _baseline(kind: str) -> bool:
    return kind.endswith(("BASELINE", "_STATE_SCRIPT"))


def _of_yoyo(named: str, when: datetime | None) -> OtherToolEntry:
    parsed = DATED.fullmatch(named) or NUMBERED.fullmatch(named)
    if not parsed:
        return OtherToolEntry(named, "", _utc(when))
    return OtherToolEntry(parsed["version"], re.sub(r"[-_]+", " ", parsed["description"]), _utc(when))


def _of_golang_migrate(table: str, rows: Sequence[tuple[Any, ...]]) -> OtherToolLedger:
    # The table has one row with the current version; dirty means that its change, up or down, did not finish.
    if not rows:
        return OtherToolLedger(GOLANG_MIGRATE, table, (), ())
    version, dirty = max(rows)
    entry = OtherToolEntry(str(version), "", None)
    if dirty:
        # golang-migrate writes the target version before it runs the file, so earlier versions are complete.
        return OtherToolLedger(GOLANG_MIGRATE, table, (), (entry,), up_to=str(version - 1) if version > 0 else "")
    return OtherToolLedger(GOLANG_MIGRATE, table, (entry,), (), up_to=entry.version)


def _place(version: str) -> tuple[int, ...]:
    """Sort key of a version in Flyway's order; empty if it is not a version."""
    if not DOTTED.fullmatch(version):
        return ()
    parts = [int(part) for part in version.split(".")]
    # Flyway treats 1 and 1.0 as the same version.
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return tuple(parts)


def _numbers(version: str) -> Iterator[int]:
    """Versions that a file may have here, the most specific first: for 20230101_02 also 20230101."""
    whole, _, of_the_day = version.partition("_")
    if of_the_day.isdecimal() and whole.isdecimal():
        yield int(whole + of_the_day)
    if whole.isdecimal():
        yield int(whole)


def _utc(when: datetime | None) -> datetime | None:
    if when is None:
        return None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
