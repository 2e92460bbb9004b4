"""The schema as pg_dump writes it, where there is a pg_dump: a second witness beside our own digest."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from orderops.database.connection import Login
from orderops.database.tls import trusted_roots
from orderops.errors import OrderopsError

SECONDS = 120


def schema_dump(to: Login) -> tuple[str, str]:
    """The dump without the ledger and without what differs from one to the next; or nothing, and why."""
    program = next(_programs(), None)
    if program is None:
        return "", "there is no pg_dump on this machine"
    settings = {key: str(value) for key, value in to.parameters.items() if value is not None}
    if roots := trusted_roots(to.host, to.sslmode):
        settings.setdefault("sslrootcert", roots)
    password = settings.pop("password", "")
    where = " ".join(f"{key}='{_escaped(value)}'" for key, value in settings.items())
    command = [str(program), "--schema-only", "--exclude-schema=orderops", f"--dbname={where}"]
    environment = {**os.environ, **({"PGPASSWORD": password} if password else {})}
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=environment)
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", f"pg_dump: {type(error).__name__}"
    if told.returncode:
        said = told.stderr.strip().splitlines()
        return "", said[-1] if said else f"pg_dump ended with {told.returncode}"
    return "\n".join(line for line in told.stdout.splitlines() if line and not line.startswith(("--", "\\"))), ""


def _programs() -> Iterator[Path]:
    """That of the laptop environment fits its server; another machine may have one of its own."""
    from orderops.local.rds.binaries import find_bindir

    try:
        inside = find_bindir() / "pg_dump"
        if inside.exists():
            yield inside
    except (OrderopsError, OSError):
        pass
    if found := shutil.which("pg_dump"):
        yield Path(found)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")
