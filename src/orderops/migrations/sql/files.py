"""Migration files on disk: find and read the pairs of a folder, and write the next pair."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from orderops.errors import UsageError
from orderops.frozen import Frozen
from orderops.migrations.sql.directives import Head, first_word, head_of

# 18 digits fit into a bigint, the type of the version in the ledger.
NAME = re.compile(r"(?P<direction>[VU])(?P<version>[0-9]{1,18})__(?P<description>[a-z0-9]+(?:_[a-z0-9]+)*)\.sql")
CANARIES = "canaries.sql"
"""A file in the folder that is no migration: the service's queries, for a rehearsal."""
# Byte order marks; PowerShell writes UTF-16 by default.
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
DUMP = re.compile(r"^-- PostgreSQL database dump\r?$", re.MULTILINE)
FORM = "the form is V003__add_order_status.sql and U003__add_order_status.sql: small letters, digits and _"
DATED = 10_000_000
"""Versions from here on are dates, such as 20261122 or 20261122093000, which have gaps."""

FORWARDS = """\
-- {title}
--
-- A file runs in one transaction. It may ask for something else in its head, as in "-- orderops: no-transaction":
--   no-transaction           each statement by itself: for CONCURRENTLY, and for NOT VALID before VALIDATE
--   batch 5000 by id         the one UPDATE or DELETE of the file in pieces
--   lock-timeout 200ms       how long one try may wait for a lock, and others behind it (50ms)
--   statement-timeout 30min  how long one statement may take (10min)
--   owner session_user       as the user that logs in: for extensions, roles and what else the schema's owner may not

"""
BACK = """\
-- Takes back: {title}

"""


class SqlFile(Frozen):
    """One SQL file."""

    path: Path
    text: str
    """Without a byte order mark; line ends are those of the file, since a value may hold one."""

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the text with Unix line ends, in hexadecimal."""
        return hashlib.sha256(unix_lines(self.text).encode()).hexdigest()

    @cached_property
    def is_dump(self) -> bool:
        """Whether pg_dump wrote it, by the comment at its beginning."""
        return bool(DUMP.search(self.text, 0, first_word(self.text)))

    @cached_property
    def head(self) -> Head:
        """Its directives; raises UsageError for an invalid one."""
        return head_of(self.name, self.text)


class Migration(Frozen):
    """A pair of files: the V file applies a version, the U file undoes it."""

    version: int
    description: str
    forwards: SqlFile
    back: SqlFile

    @property
    def name(self) -> str:
        """The name of the V file."""
        return self.forwards.name

    @property
    def checksum(self) -> str:
        """The checksum of the V file, which the ledger stores."""
        return self.forwards.checksum


def sql_folder(given: Path | None = None) -> Path:
    """The folder of migrations: `given`, else `sql` in the working directory, else the one shipped with orderops."""
    if given is not None:
        return given
    here = Path("sql")
    if any(here.glob("V*.sql")):
        return here
    inside = Path(__file__).parents[2] / "_sql"
    return inside if inside.is_dir() else Path(__file__).parents[4] / "sql"


def read_migrations(folder: Path) -> list[Migration]:
    """Read the migrations of a folder by version; raises UsageError that names the first invalid file."""
    forwards, back = _by_version(folder, "V"), _by_version(folder, "U")
    if not forwards:
        raise UsageError(f"no V*.sql in {folder}", "pass the folder of the migrations: --sql DIR")
    for version, path in sorted(forwards.items()):
        if version not in back:
            raise UsageError(
                f"{path} has no U file", f"write the file that undoes it: {path.with_name('U' + path.name[1:])}"
            )
    for version, path in sorted(back.items()):
        if version not in forwards:
            raise UsageError(f"{path} has no V file", f"is {path.with_name('V' + path.name[1:])} missing here?")
    return [
        Migration(version, _named(path)["description"].replace("_", " "), _read(path), _read(back[version]))
        for version, path in sorted(forwards.items())
    ]


def new_pair(folder: Path, description: str) -> tuple[Path, Path]:
    """Write the next pair of files; raises UsageError for a description without a letter or digit."""
    title = " ".join(description.split()).rstrip(".")
    plain = unicodedata.normalize("NFKD", title.casefold()).encode("ascii", "ignore").decode()
    words = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    if not words:
        raise UsageError(
            f"{description!r} has no letter or digit", 'describe the change: orderops migrate new "add order status"'
        )
    versions = [*_by_version(folder, "V"), *_by_version(folder, "U")] if folder.is_dir() else []
    number = f"{max(versions, default=0) + 1:03}"
    pair = folder / f"V{number}__{words}.sql", folder / f"U{number}__{words}.sql"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in zip(pair, (FORWARDS, BACK), strict=True):
            # "x" fails for an existing file instead of overwriting it.
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text.format(title=title[:1].upper() + title[1:] + "."))
    except OSError as error:
        raise UsageError(f"{error.filename or folder} cannot be written: {_why(error)}") from None
    return pair


def gap_between(one: Migration, other: Migration) -> str:
    """The missing versions between two consecutive migrations; empty for none and for dated versions."""
    missing = range(one.version + 1, other.version)
    if not missing or other.version >= DATED:
        return ""
    digits = len(other.forwards.name.partition("__")[0]) - 1
    first, last = (f"V{version:0{digits}}" for version in (missing[0], missing[-1]))
    return first if len(missing) == 1 else f"{first} to {last}"


def _by_version(folder: Path, direction: str) -> dict[int, Path]:
    found: dict[int, Path] = {}
    for path in _sql_files(folder):
        named = _named(path)
        if named["direction"] != direction:
            continue
        version = int(named["version"])
        if version == 0:
            raise UsageError(f"{path} has version 0, which means a database without migrations", "start at V001")
        if version in found:
            raise UsageError(
                f"version {version} has 2 files: {found[version].name}, {path.name}", "renumber one of them"
            )
        found[version] = path
    return found


def _sql_files(folder: Path) -> Sequence[Path]:
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".sql" and path.name[0] != ".")
        found = [path for path in found if path.name != CANARIES]
    except OSError as error:
        raise UsageError(
            f"the folder {str(folder)!r} cannot be read: {_why(error)}",
            "pass the folder of the migrations: --sql DIR",
        ) from None
    return found


def _named(path: Path) -> re.Match[str]:
    named = NAME.fullmatch(path.name)
    if not named:
        raise UsageError(f"{path} is not named like a migration", FORM)
    return named


def _read(path: Path) -> SqlFile:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {_why(error)}", "a migration is a file of plain SQL") from None
    if raw.startswith(UTF_16):
        raise UsageError(f"{path} is UTF-16", "save it as UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode()
        line, column = places(before, len(before))
        wrong = f"byte {error.object[error.start]:#04x} is not UTF-8"
        raise UsageError(f"{path}:{line}:{column}: {wrong}", "save it as UTF-8") from None
    if "\0" in text:
        line, column = places(text, text.index("\0"))
        raise UsageError(f"{path}:{line}:{column}: a zero byte", "is it SQL? Save it as UTF-8")
    return SqlFile(path, text)


def unix_lines(text: str) -> str:
    """The text as a checkout on Unix has it."""
    return text.replace("\r\n", "\n")


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def places(text: str, position: int) -> tuple[int, int]:
    """Line and column, both from 1, of a position."""
    return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)


def unapplied_gaps(migrations: Sequence[Migration], above: int) -> Iterator[tuple[Migration, str]]:
    """Yield each migration above a version that follows a gap, with the missing versions."""
    for one, other in pairwise(migrations):
        if other.version > above and (missing := gap_between(one, other)):
            yield other, missing
