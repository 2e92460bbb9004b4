"""`sql/` and the ledger of what was applied: a plain runner for databases that nobody else uses."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString

from orderops.errors import OrderopsError, UsageError

if TYPE_CHECKING:
    import psycopg

FILE = re.compile(r"V(\d{3,})__([a-z0-9_]+)\.sql")
LEDGER: LiteralString = """
create schema if not exists orderops;
create table if not exists orderops.ledger (
    version     integer     primary key,
    description text        not null,
    checksum    text        not null,
    applied_by  text        not null default current_user,
    applied_at  timestamptz not null default clock_timestamp()
);
"""
LOCK = 4_612_021
"""The advisory lock of whoever migrates; any number of our own serves."""


@dataclass(frozen=True)
class Migration:
    """One file that takes the schema a version further."""

    version: int
    description: str
    path: Path
    text: str

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, with line ends made alike."""
        return hashlib.sha256(self.text.replace("\r\n", "\n").encode()).hexdigest()


def sql_folder(given: Path | None = None) -> Path:
    """Where migrations are: as given, else in the working directory, else those that come with orderops."""
    if given is not None:
        return given
    here = Path("sql")
    if any(here.glob("V*.sql")):
        return here
    inside = Path(__file__).parent / "_sql"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "sql"


def read_migrations(folder: Path) -> list[Migration]:
    """The migrations of a folder by version; raises UsageError for a name or text that is none."""
    found = [_read(path) for path in sorted(folder.glob("V*.sql"))]
    if not found:
        raise UsageError(f"no V*.sql in {folder}", "name the folder of the migrations: --sql DIR")
    versions = [migration.version for migration in found]
    for version in versions:
        if versions.count(version) > 1:
            names = ", ".join(each.name for each in found if each.version == version)
            raise UsageError(
                f"version {version} is there {versions.count(version)} times: {names}", "renumber one of them"
            )
    return sorted(found, key=lambda migration: migration.version)


def pending(connection: psycopg.Connection, migrations: Sequence[Migration]) -> list[Migration]:
    """What is not applied yet; raises OrderopsError when an applied file was edited since."""
    applied = _applied(connection)
    for migration in migrations:
        if applied.get(migration.version, migration.checksum) != migration.checksum:
            raise OrderopsError(
                f"{migration.name} was applied and has been edited since",
                "undo the edit and put the change into a new file",
            )
    return [migration for migration in migrations if migration.version not in applied]


def apply(connection: psycopg.Connection, migrations: Sequence[Migration]) -> Iterator[Migration]:
    """Apply what is pending, each file in a transaction with its line in the ledger; yields each when it is done."""
    import psycopg

    connection.execute("select pg_advisory_lock(%s)", [LOCK])
    try:
        connection.execute(LEDGER)
        for migration in pending(connection, migrations):
            try:
                with connection.transaction():
                    connection.execute(migration.text)
                    connection.execute(
                        "insert into orderops.ledger (version, description, checksum) values (%s, %s, %s)",
                        [migration.version, migration.description, migration.checksum],
                    )
            except psycopg.Error as error:
                raise _broken(migration, error) from None
            yield migration
    finally:
        if not connection.closed:
            connection.execute("select pg_advisory_unlock(%s)", [LOCK])


def _read(path: Path) -> Migration:
    named = FILE.fullmatch(path.name)
    if not named:
        raise UsageError(f"{path} is not named like a migration", "the form is V003__add_order_status.sql")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 at byte {error.start}", "save it as UTF-8") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    return Migration(int(named[1]), named[2].replace("_", " "), path, text)


def _applied(connection: psycopg.Connection) -> dict[int, str]:
    told = connection.execute("select to_regclass('orderops.ledger')").fetchone()
    if not told or told[0] is None:
        return {}
    return {row[0]: row[1] for row in connection.execute("select version, checksum from orderops.ledger")}


def _broken(migration: Migration, error: Any) -> OrderopsError:
    diagnosis = error.diag
    place = ""
    if diagnosis.statement_position:
        before = migration.text[: int(diagnosis.statement_position) - 1]
        place = f":{before.count(chr(10)) + 1}"
    said = diagnosis.message_primary or str(error).strip()
    more = f" ({diagnosis.message_detail})" if diagnosis.message_detail else ""
    return OrderopsError(
        f"{migration.name}{place}: {said}{more}; nothing of this file was applied",
        f"mend {migration.path}, then the same command again",
    )
