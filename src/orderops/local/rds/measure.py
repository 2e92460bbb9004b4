"""What RDS measures of an instance, read from processes and files of its server: no session could be refused."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from orderops.local.emulator.moto_models import DBInstance
from orderops.local.rds.directory import ADMINISTRATOR
from orderops.local.rds.postgres import PostgresServer

GIB = 1024**3
BLOCK = 512
"""Bytes of st_blocks, by POSIX."""
# PostgreSQL shows in the title of a process what its session does: "postgres: user database host(port) SELECT".
SESSION = re.compile(r"^postgres: (?P<user>\S+) \S+ (?:\[local\]|\S+\(\d+\)) (?P<doing>.+)$")
NOT_CLIENTS = frozenset({ADMINISTRATOR, "walsender"})
SIZES = {"nano": 2, "micro": 2, "small": 2, "medium": 2, "large": 2, "xlarge": 4}


def measure(server: PostgresServer, instance: DBInstance) -> Iterator[tuple[str, float]]:
    """Yield metrics of a running instance, in CloudWatch's names and units; nothing while it does not run."""
    process = server.process()
    if process is None:
        return
    doing = list(_sessions(process))
    yield "DatabaseConnections", len(doing)
    if getattr(instance, "performance_insights_enabled", False):
        active = sum(not words.startswith("idle") for words in doing)
        yield "DBLoad", active
        yield "DBLoadRelativeToNumVCPUs", active / cpus(instance.db_instance_class or "")
    yield "FreeStorageSpace", _free(server.data, instance.allocated_storage or 0)


def cpus(instance_class: str) -> int:
    """The number of vCPUs of an instance class, such as db.t4g.micro."""
    size = instance_class.rpartition(".")[2]
    times = re.fullmatch(r"(\d+)xlarge", size)
    return 4 * int(times[1]) if times else SIZES.get(size, 2)


def _sessions(process: psutil.Process) -> Iterator[str]:
    """Yield what each session of a client does."""
    for child in process.children():
        with suppress(psutil.Error):
            title = " ".join(child.cmdline()).strip()
            session = SESSION.match(title)
            if session and session["user"] not in NOT_CLIENTS:
                yield session["doing"]


def _free(data: Path, allocated: int) -> float:
    """Bytes that are left of the storage, and on the disk of this machine."""
    used = sum(_used(Path(folder) / name) for folder, _, names in os.walk(data) for name in names)
    return float(max(0, min(allocated * GIB - used, shutil.disk_usage(data).free)))


def _used(file: Path) -> int:
    # Files come and go while the server runs.
    with suppress(OSError):
        return file.lstat().st_blocks * BLOCK
    return 0
