"""Every row that differs, as CSV files that psql's \\copy can load."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from orderops.errors import OrderopsError, UsageError
from orderops.restore.compare.merge import Difference, RowDifference
from orderops.restore.compare.samples import RowFetcher
from orderops.restore.compare.snapshots import Snapshot, SnapshotPair
from orderops.restore.compare.tables import TableSnapshot


def new_folder(directory: Path) -> Path:
    """Create a folder, or accept an empty one; raises UsageError for one that is not empty or not writable."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise UsageError(f"{directory} is not empty, and its files are never overwritten", "name a new folder")
    except OSError as error:
        raise UsageError(f"cannot write to {directory}: {error.strerror}", "name another folder") from None
    return directory


def new_file(path: Path) -> BinaryIO:
    """Create a file that only its owner can read; raises UsageError if it exists or cannot be created."""
    # Rows may be personal data, so the mode is set at creation, not after it.
    try:
        return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")
    except FileExistsError:
        raise UsageError(f"{path} exists and is not overwritten", "name a new file") from None
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}", "name another file") from None


def write(file: BinaryIO, text: bytes) -> None:
    """Write to a file; raises OrderopsError if the disk is full or fails."""
    try:
        file.write(text)
    except OSError as error:
        raise OrderopsError(
            f"cannot write {file.name}: {error.strerror}", "free some disk space, or name another folder"
        ) from None


@dataclass
class Export:
    """The files of one table: rows that only one database has, and both versions of changed ones."""

    directory: Path
    snapshots: SnapshotPair
    fetcher: RowFetcher
    _open: dict[str, BinaryIO] = field(default_factory=dict)
    _waiting: dict[Difference, list[RowDifference]] = field(default_factory=lambda: {kind: [] for kind in Difference})
    _files: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Export:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def take(self, difference: RowDifference) -> None:
        """Add a row; rows are fetched and written in batches."""
        waiting = self._waiting[difference.kind]
        waiting.append(difference)
        if len(waiting) >= self.fetcher.batch:
            self._write(difference.kind)

    def finish(self) -> None:
        """Write the rows that still wait for a full batch."""
        for kind in Difference:
            self._write(kind)

    def _write(self, kind: Difference) -> None:
        wanted, self._waiting[kind] = self._waiting[kind], []
        if not wanted:
            return
        pair = self.fetcher.pair
        suffix = str(kind).replace(" ", "-")
        if kind is not Difference.ONLY_RESTORED:
            name = suffix if kind is Difference.ONLY_LIVE else f"{suffix}-live"
            self._copy(self.snapshots.live, pair.live, wanted, name)
        if kind is not Difference.ONLY_LIVE:
            name = suffix if kind is Difference.ONLY_RESTORED else f"{suffix}-restored"
            self._copy(self.snapshots.restored, pair.restored, wanted, name)

    def _copy(self, snapshot: Snapshot, table: TableSnapshot, wanted: Sequence[RowDifference], name: str) -> None:
        from psycopg import sql

        columns = [sql.SQL("t.{}").format(sql.Identifier(column)) for column in self.fetcher.pair.writable]
        query = self.fetcher.query(table, wanted, columns)
        statement = sql.SQL("copy ({}) to stdout (format csv)").format(query)
        file = self._file(name)
        with snapshot.releasing_locks(), snapshot.connection.cursor() as cursor, cursor.copy(statement) as lines:
            for line in lines:
                write(file, bytes(line))

    def _file(self, name: str) -> BinaryIO:
        """Return the open file, created with a header line when its first rows arrive."""
        if name not in self._open:
            pair = self.fetcher.pair
            path = self.directory / f"{quote(pair.summary, safe=' ')}.{name}.csv"
            file = self._files.enter_context(new_file(path))
            header = io.StringIO()
            csv.writer(header, lineterminator="\n").writerow(pair.writable)
            write(file, header.getvalue().encode())
            self._open[name] = file
        return self._open[name]
