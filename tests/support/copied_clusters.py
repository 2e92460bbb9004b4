"""Data directories of PostgreSQL, created once in a run and copied after that: initdb takes half a second of CPU.

Two copies have the same passwords and the same system identifier, as a server and its standby do.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

from orderops.local.rds.postgres import PostgresServer

FOLDER = "ORDEROPS_TEST_CLUSTERS"
"""Variable with the folder of the clusters, for the workers of a run and for the daemons that they fork."""
_initdb_or_other = PostgresServer.program


@contextmanager
def folder_of_clusters(environ: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """Create the folder for a run and delete it at the end; a worker uses the folder of the run."""
    if FOLDER in environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="orderops-clusters-") as folder:
        environ[FOLDER] = folder
        try:
            yield
        finally:
            del environ[FOLDER]


def copy_clusters() -> None:
    """Copy data directories in this process, where `folder_of_clusters` has made a place for them."""
    PostgresServer.program = _program  # type: ignore[method-assign,assignment]


def _program(server: PostgresServer, name: str, *arguments: str, secret: str = "") -> subprocess.CompletedProcess[str]:
    folder = os.environ.get(FOLDER)
    if name != "initdb" or not folder:
        return _initdb_or_other(server, name, *arguments, secret=secret)
    # All that the result depends on, but for the two paths in it.
    own = str(server.directory)
    key = " ".join([str(server.bindir), str(server.account), *(word for word in arguments if own not in word)])
    kept = Path(folder) / hashlib.sha256(key.encode()).hexdigest()[:16]
    with Path(f"{kept}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            done = _initdb_or_other(server, name, *arguments, secret=secret)
            if done.returncode == 0:
                _keep(server, kept)
            return done
    _copy(kept / "data", server.data)
    server._write("password", (kept / "password").read_text())
    if server.account:
        server.account.chown(server.data)
    return subprocess.CompletedProcess([name, *arguments], 0, "", "")


def _keep(server: PostgresServer, kept: Path) -> None:
    partial = kept.with_suffix(".partial")
    partial.mkdir()
    _copy(server.data, partial / "data")
    (partial / "password").write_text(server.password)
    partial.rename(kept)


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target)
