"""The schema as pg_dump writes it, if this machine has a pg_dump: a second witness besides our own schema digest."""

from __future__ import annotations

import os
import subprocess

from orderops.database.catalog import LEDGER_SCHEMA
from orderops.database.client_programs import find_client_program
from orderops.database.connection import Login
from orderops.database.tls import trusted_roots

TIMEOUT = 120
"""Seconds."""


def schema_dump(to: Login) -> tuple[str, str]:
    """The dump without the ledger and comments, and ""; or "" and why there is none."""
    program = find_client_program("pg_dump")
    if program is None:
        return "", "there is no pg_dump on this machine"
    settings = {key: str(value) for key, value in to.parameters.items() if value is not None}
    if roots := trusted_roots(to.host, to.sslmode):
        settings.setdefault("sslrootcert", roots)
    password = settings.pop("password", "")
    where = " ".join(f"{key}='{_escaped(value)}'" for key, value in settings.items())
    command = [str(program), "--schema-only", f"--exclude-schema={LEDGER_SCHEMA}", f"--dbname={where}"]
    # In the environment, not in the arguments, which every user of the machine can read.
    environment = {**os.environ, **({"PGPASSWORD": password} if password else {})}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, env=environment)
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", f"pg_dump: {type(error).__name__}"
    if done.returncode:
        messages = done.stderr.strip().splitlines()
        return "", messages[-1] if messages else f"pg_dump exited with {done.returncode}"
    return "\n".join(line for line in done.stdout.splitlines() if line and not line.startswith(("--", "\\"))), ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")
