"""The tools that carry out a migration in the benchmarks, each given the same SQL and run as its users run it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from orderops.local.rds.binaries import find_bindir

YOYO = ("yoyo-migrations==9.0.0", "psycopg[binary]")
TIMEOUT = 300


@dataclass(frozen=True)
class Migration:
    """One change of the schema: forwards, back, and whether it may run in a transaction."""

    name: str
    forwards: str
    back: str
    transaction: bool = True

    def write(self, folder: Path, version: int = 1) -> Path:
        """Put it into the folder as orderops has it; psql takes the head for a comment."""
        head = "" if self.transaction else "-- orderops: no-transaction\n"
        (folder / f"U{version:03}__{self.name}.sql").write_text(head + self.back)
        forwards = folder / f"V{version:03}__{self.name}.sql"
        forwards.write_text(head + self.forwards)
        return forwards

    def write_for_yoyo(self, folder: Path) -> None:
        """Put it into the folder as yoyo has it."""
        head = "" if self.transaction else "-- transactional: false\n"
        (folder / f"0001.{self.name}.sql").write_text(head + self.forwards)


@dataclass(frozen=True)
class Outcome:
    """How a command ended: empty when it did what was asked, or else its last words."""

    refused: str


Migrator = Callable[[Migration, str, Path], Outcome]
"""Carries a migration out on the database of a DSN, with an empty folder to write its files into."""


def psql(migration: Migration, dsn: str, folder: Path) -> Outcome:
    """psql -f, each statement by itself."""
    return run(psql_command(dsn, [migration.write(folder)]), dsn)


def orderops(migration: Migration, dsn: str, folder: Path) -> Outcome:
    """orderops migrate apply, its interpreter's start included."""
    migration.write(folder)
    return run(orderops_command("apply", dsn, folder), dsn)


def yoyo(open_folders: ExitStack) -> Migrator:
    """yoyo, installed into an environment of its own that goes when the stack is closed."""
    place = Path(open_folders.enter_context(tempfile.TemporaryDirectory(prefix="orderops-yoyo-")))
    venv.create(place, with_pip=True)
    bin_folder = place / ("Scripts" if os.name == "nt" else "bin")
    subprocess.run([bin_folder / "python", "-m", "pip", "install", "-qq", *YOYO], check=True)

    def migrate(migration: Migration, dsn: str, folder: Path) -> Outcome:
        migration.write_for_yoyo(folder)
        words = conninfo_to_dict(dsn)
        url = f"postgresql+psycopg://{words['user']}@{words['host']}:{words['port']}/{words['dbname']}"
        apply = [str(bin_folder / "yoyo"), "apply", "--batch", "--no-config-file", "--database", url, str(folder)]
        return run(apply, dsn)

    return migrate


def orderops_command(verb: str, dsn: str, folder: Path) -> list[str]:
    """A verb of orderops migrate, asking nothing."""
    command = [sys.executable, "-m", "orderops", "migrate", verb, "--dsn", without_password(dsn), "--sql", str(folder)]
    return command if verb == "info" else [*command, "--yes"]


def psql_command(dsn: str, files: Sequence[Path]) -> list[str]:
    """One psql session that runs the files and stops at the first mistake."""
    named = [word for file in files for word in ("-f", str(file))]
    return [str(find_bindir() / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", without_password(dsn), *named]


def run(command: list[str], dsn: str) -> Outcome:
    """Run a command to its end; one that hangs is ended and named."""
    try:
        done = subprocess.run(
            command, env=with_password(dsn), capture_output=True, text=True, check=False, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        return Outcome(f"not done after {TIMEOUT} s")
    said = [line.strip(" │") for line in done.stderr.splitlines() if line.strip(" │╭╮╰╯─")]
    return Outcome("" if done.returncode == 0 else f"exit {done.returncode}: {(said or ['no word'])[-1]}")


def without_password(dsn: str) -> str:
    """The DSN as it may stand in a command line."""
    return make_conninfo(**{name: str(value) for name, value in conninfo_to_dict(dsn).items() if name != "password"})


def with_password(dsn: str) -> Mapping[str, str]:
    """Our environment, and the password of the DSN in it."""
    return {**os.environ, "PGPASSWORD": str(conninfo_to_dict(dsn)["password"])}
