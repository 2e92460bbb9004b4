"""Every row that is not the same, as files that psql can copy back."""

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
from orderops.restore.compare.tables import TablePair, TableSnapshot


def new_folder(directory: Path) -> Path:
    """A folder with nothing in it, made where there is none; raises UsageError for one that holds something."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise UsageError(f"{directory} is not empty, and nothing in it is overwritten", "name a new folder")
    except OSError as error:
        raise UsageError(f"{directory} cannot be written to: {error.strerror}", "name another folder") from None
    return directory


def new_file(path: Path) -> BinaryIO:
    """A file that was not there, for nobody else to read: rows are somebody's; raises UsageError where there is one."""
    try:
        return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")
    except FileExistsError:
        raise UsageError(f"{path} is there, and is not overwritten", "name a new file") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", "name another place") from None


def write(file: BinaryIO, text: bytes) -> None:
    """Write all of it; raises OrderopsError where there is no room."""
    try:
        file.write(text)
    except OSError as error:
        raise OrderopsError(
            f"{file.name} cannot be written: {error.strerror}", "make room, or name another place"
        ) from None


@dataclass
class Export:
    """The files of one table: what only one side has, and for what changed a file of each side."""

    directory: Path
    beside: SnapshotPair
    found: RowFetcher
    _open: dict[str, BinaryIO] = field(default_factory=dict)
    _waiting: dict[Difference, list[RowDifference]] = field(default_factory=lambda: {kind: [] for kind in Difference})
    _files: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Export:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def take(self, difference: RowDifference) -> None:
        """One more row, which is written with others."""
        waiting = self._waiting[difference.kind]
        waiting.append(difference)
        if len(waiting) >= self.found.batch:
            self._write(difference.kind)

    def finish(self) -> None:
        """Write what is left."""
        for kind in Difference:
            self._write(kind)

    def _write(self, kind: Difference) -> None:
        wanted, self._waiting[kind] = self._waiting[kind], []
        if not wanted:
            return
        pairing = self.found.pairing
        word = str(kind).replace(" ", "-")
        if kind is not Difference.ONLY_RESTORED:
            name = word if kind is Difference.ONLY_LIVE else f"{word}-live"
            self._copy(self.beside.live, pairing.live, wanted, name)
        if kind is not Difference.ONLY_LIVE:
            name = word if kind is Difference.ONLY_RESTORED else f"{word}-restored"
            self._copy(self.beside.restored, pairing.restored, wanted, name)

    def _copy(self, side: Snapshot, table: TableSnapshot, wanted: Sequence[RowDifference], name: str) -> None:
        from psycopg import sql

        columns = [sql.SQL("t.{}").format(sql.Identifier(each)) for each in self.found.pairing.writable]
        copying = sql.SQL("copy ({}) to stdout (format csv)").format(self.found.query(table, wanted, columns))
        file = self._file(self.found.pairing, name)
        with side.releasing_locks(), side.connection.cursor() as cursor, cursor.copy(copying) as lines:
            for line in lines:
                write(file, bytes(line))

    def _file(self, pairing: TablePair, name: str) -> BinaryIO:
        """A file with a line of names; begun with its first row."""
        if name not in self._open:
            path = self.directory / f"{quote(pairing.summary, safe=' ')}.{name}.csv"
            file = self._files.enter_context(new_file(path))
            head = io.StringIO()
            csv.writer(head, lineterminator="\n").writerow(pairing.writable)
            write(file, head.getvalue().encode())
            self._open[name] = file
        return self._open[name]
