"""Changes of types: lint reports exactly those for which a server writes rows or indexes anew, or reads rows."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from orderops.local.rds.postgres import PostgresServer
from orderops.migrations.lint.linter import lint
from orderops.migrations.sql.files import read_migrations
from support.lint_folder import ANYTHING, write
from support.lint_server import Watched

pytest_plugins = ["support.postgres_fixtures"]

FAMILIES = (
    ("numeric(8,2)", "numeric(10,2)", "numeric(10,3)", "numeric(6)", "numeric(9)", "numeric", "decimal(12,2)"),
    ("text", "varchar", "varchar(20)", "varchar(40)", "char(5)", "char(9)", "citext", "xml", "name"),
    ("bit(4)", "bit(8)", "varbit", "varbit(4)", "varbit(8)"),
    ("cidr", "inet", "text"),
    ("timestamp", "timestamp(3)", "timestamp(6)", "date"),
    ("timestamptz", "timestamptz(3)", "timestamptz(6)"),
    ("time", "time(3)", "time(6)"),
    ("timetz", "timetz(3)", "timetz(6)"),
    ("interval", "interval(3)", "interval(6)", "interval hour to minute", "interval day to second", "interval year"),
    ("interval second(3)", "interval second(6)", "interval month", "interval(2)", "interval year to month"),
    ("int", "bigint", "smallint", "oid", "regclass", "serial", "integer", "int4"),
    ("varchar(20)[]", "varchar(40)[]", "varchar[]", "text[]", "numeric(8,2)[]", "numeric(9,2)[]", "numeric[]"),
    ("json", "jsonb", "text"),
    ("real", "double precision", "numeric"),
)
PAIRS = sorted({(old, new) for family in FAMILIES for old in family for new in family if "serial" not in new})
# What stands besides the column, and the change: the table is t, the column c.
BESIDE = {
    "an index": ("varchar(20)", "varchar(40)", "CREATE INDEX i ON t (c)"),
    "a unique constraint": ("varchar(20)", "varchar(40)", "ALTER TABLE t ADD UNIQUE (c)"),
    "an index of an expression": ("varchar(20)", "varchar(40)", "CREATE INDEX i ON t (lower(c))"),
    "an index with a condition": ("varchar(20)", "varchar(40)", "CREATE INDEX i ON t (id) WHERE c <> ''"),
    "an index on it with a condition": ("varchar(20)", "varchar(40)", "CREATE INDEX i ON t (c) WHERE id > 5"),
    "a dropped index": ("varchar(20)", "varchar(40)", "CREATE INDEX i ON t (lower(c)); DROP INDEX i"),
    "a CHECK": ("varchar(20)", "varchar(40)", "ALTER TABLE t ADD CHECK (c <> '')"),
    "a CHECK that is not valid": ("varchar(20)", "varchar(40)", "ALTER TABLE t ADD CHECK (c <> '') NOT VALID"),
    "a CHECK that was validated": (
        "varchar(20)",
        "varchar(40)",
        "ALTER TABLE t ADD CONSTRAINT k CHECK (c <> '') NOT VALID; ALTER TABLE t VALIDATE CONSTRAINT k",
    ),
    "a dropped CHECK": (
        "varchar(20)",
        "varchar(40)",
        "ALTER TABLE t ADD CONSTRAINT k CHECK (c <> ''); ALTER TABLE t DROP CONSTRAINT k",
    ),
    "a CHECK of another column": ("varchar(20)", "varchar(40)", "ALTER TABLE t ADD CHECK (id > 0)"),
    "an index in another order": ("citext", "text", "CREATE INDEX i ON t (c)"),
    "an index on another column": ("citext", "text", "CREATE INDEX i ON t (id)"),
    "USING the column": ("varchar(20)", "varchar(40) USING c", ""),
    "USING a cast": ("varchar(20)", "varchar(40) USING c::varchar(40)", ""),
    "USING another cast": ("varchar(20)", "varchar(40) USING c::text", ""),
    "USING an expression": ("varchar(20)", "varchar(40) USING c || ''", ""),
    "a collation": ("varchar(20)", 'varchar(20) COLLATE "C"', ""),
    "a collation and an index on another column": ("text", 'text COLLATE "C"', "CREATE INDEX i ON t (id)"),
    "a collation and a CHECK": ("text", 'text COLLATE "C"', "ALTER TABLE t ADD CHECK (c <> '')"),
    "an index and a collation": ("varchar(20)", 'varchar(40) COLLATE "C"', "CREATE INDEX i ON t (c)"),
}
# The change, what stands besides the column, and the statements before it in its file.
ZONES = {
    "in UTC": ("timestamp", "timestamptz", "", "SET timezone = 'UTC';"),
    "back in UTC": ("timestamptz", "timestamp USING c", "", "SET TIME ZONE 'Etc/UTC';"),
    "in UTC for the transaction": ("timestamp", "timestamptz USING c", "", "SET LOCAL TimeZone TO utc;"),
    "in UTC with an index": ("timestamp", "timestamptz", "CREATE INDEX i ON t (c)", "SET timezone = 'UTC';"),
    "in UTC with more digits": ("timestamp(3)", "timestamptz", "", "SET timezone = 'UTC';"),
    "in UTC with fewer digits": ("timestamp", "timestamptz(3)", "", "SET timezone = 'UTC';"),
    "in UTC with an expression": ("timestamp", "timestamptz USING c AT TIME ZONE 'UTC'", "", "SET timezone = 'UTC';"),
    "in UTC no more": ("timestamp", "timestamptz", "", "SET timezone = 'UTC'; SET timezone = 'Europe/Paris';"),
    "in another zone": ("timestamp", "timestamptz", "", "SET timezone = 'Africa/Abidjan';"),
    "in an unknown zone": ("timestamp", "timestamptz", "", ""),
}
# Reported although this server would write nothing anew: a cast that changes nothing, where the files cannot tell.
CAUTIOUS = {"USING another cast"}


@pytest.fixture(scope="module")
def connection(postgres: PostgresServer) -> Iterator[psycopg.Connection]:
    name = f"types_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.create_database(name), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION citext; SET timezone = 'Australia/Sydney'")
        yield connection
    postgres.drop_database(name)


def touches(connection: psycopg.Connection, old: str, new: str, beside: str = "", before: str = "") -> bool | None:
    """Whether the server reads or writes rows or an index; None if it refuses the change."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(
                f"CREATE TABLE t (id bigint, c {old}); INSERT INTO t (id) VALUES (1); {beside}; {before}".encode()
            )
            effect = Watched(connection).run(f"ALTER TABLE t ALTER c TYPE {new}")
    except psycopg.Error:
        return None
    return bool(effect.read or effect.rewritten)


def reported(folder: Path, changes: list[tuple[str, str, str]], before: str = "") -> list[bool]:
    """Whether lint reports each change, all of them in one run."""
    folder.mkdir(exist_ok=True)
    pairs = [
        (f"{before} ALTER TABLE t{number} ALTER c TYPE {new}", ANYTHING) for number, (_, new, _) in enumerate(changes)
    ]
    write(folder, *pairs)
    made = [
        re.sub(r"\b([ti])\b", rf"\g<1>{number}", f"CREATE TABLE t (id bigint, c {old}); {beside};")
        for number, (old, _, beside) in enumerate(changes)
    ]
    (folder / "V001__case.sql").write_text("\n".join(made))
    migrations = read_migrations(folder)
    found = {
        int(finding.file.name[1:].partition("__")[0]) - 2
        for finding in lint(migrations, only=range(2, len(migrations) + 1))
        if finding.rule == "changing-column-type"
    }
    return [number in found for number in range(len(changes))]


def test_every_pair_of_types_is_reported_where_a_server_writes_rows(
    tmp_path: Path, connection: psycopg.Connection
) -> None:
    server = {pair: touches(connection, *pair) for pair in PAIRS}
    accepted = [pair for pair, touched in server.items() if touched is not None]

    found = reported(tmp_path, [(old, new, "") for old, new in accepted])

    assert {pair: told for pair, told in zip(accepted, found, strict=True) if told is not server[pair]} == {}


@pytest.mark.parametrize("name", BESIDE)
def test_what_stands_on_the_column_is_reported_where_a_server_reads_or_builds(
    name: str, tmp_path: Path, connection: psycopg.Connection
) -> None:
    old, new, beside = BESIDE[name]

    (found,) = reported(tmp_path, [BESIDE[name]])

    assert found is (touches(connection, old, new, beside) or name in CAUTIOUS)


@pytest.mark.parametrize("name", ZONES)
def test_a_change_of_a_timestamp_is_reported_unless_the_file_is_in_utc(
    name: str, tmp_path: Path, connection: psycopg.Connection
) -> None:
    old, new, beside, before = ZONES[name]

    (found,) = reported(tmp_path, [(old, new, beside)], before)

    assert found is touches(connection, old, new, beside, before)
