"""Start, stop, reset and inspect the local environment. Imports neither moto nor boto3."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from orderops.errors import OrderopsError
from orderops.local.directories import DataDirectory, data_directory
from orderops.local.emulator.signatures import sign
from orderops.local.keys import AccessKey

# Seconds. Importing moto alone takes over 10 s on a busy machine.
START_WITHIN = 120.0
# Seconds: 30 for tasks with the default stop timeout, 30 for databases, and a margin.
STOP_WITHIN = 90.0
# Seconds, for a busy machine.
ANSWER_WITHIN = 10.0
# Bytes. The daemon runs for weeks, and a log without a limit fills the disk.
KEPT_LOG_BYTES = 20_000_000
# Report of saves in an environment that has never been started.
NOTHING_LOST: dict[str, Any] = {"problem": "", "failing_since": None, "left_out": []}


@dataclass(frozen=True)
class LocalEndpoint:
    """Address and data directory of a running local environment."""

    url: str
    region: str
    directory: Path
    key: AccessKey
    """Key with which requests to the emulator are signed."""


def start(
    region: str,
    directory: Path | None = None,
    *,
    plain: bool | None = None,
    on_wait: Callable[[str], None] = lambda _what: None,
) -> LocalEndpoint:
    """Start the local environment, or return the one that is already running.

    `plain` turns AWS's own checks off; None keeps the mode of the last start, which is strict at first.
    Raises OrderopsError when the environment does not start, or runs in the other mode.
    """
    files = DataDirectory(directory or data_directory())
    try:
        files.create()
    except OSError as error:
        raise OrderopsError(
            f"the local environment cannot use {files.directory}: {error.strerror}",
            "choose another directory: ORDEROPS_LOCAL_DIRECTORY=DIR",
        ) from None
    with files.locked("start", START_WITHIN):
        if _answers(files):
            _check_mode(files, plain)
        else:
            files.keep_plain(files.plain if plain is None else plain)
            _launch(files, region, on_wait)
        return _endpoint(files)


def running_endpoint(directory: Path | None = None) -> LocalEndpoint:
    """Return the environment that is running. Raises OrderopsError when none is."""
    files = DataDirectory(directory or data_directory())
    if not _answers(files):
        raise OrderopsError("the local environment is not running", "run: orderops local start")
    return _endpoint(files)


def stop(
    directory: Path | None = None,
    *,
    without_saving: bool = False,
    on_wait: Callable[[str], None] = lambda _what: None,
) -> None:
    """Stop the local environment and keep its data.

    Raises OrderopsError when its state cannot be saved; it then goes on running, unless `without_saving` is given.
    """
    files = DataDirectory(directory or data_directory())
    if not files.directory.exists():
        return
    with files.locked("start", STOP_WITHIN):
        report = _ask(files, "/orderops/save") or {}
        if report.get("problem") and not without_saving:
            raise OrderopsError(
                f"the local environment was not stopped, since its state cannot be saved: {report['problem']}",
                f"free space in {files.directory}, or fix what its log says: orderops local logs\n"
                "to stop it and lose what is not saved: orderops local stop --without-saving",
            )
        # An earlier version of the daemon has no key, and reports nothing.
        if _end(files, on_wait) and files.key and not without_saving:
            _check_saved(files)


def reset(directory: Path | None = None, *, on_wait: Callable[[str], None] = lambda _what: None) -> None:
    """Stop the local environment and delete all its data."""
    files = DataDirectory(directory or data_directory())
    if not files.directory.exists():
        return
    with files.locked("start", STOP_WITHIN):
        _end(files, on_wait)
        _kill_orphans(files)
        shutil.rmtree(files.databases, ignore_errors=True)
        for entry in files.directory.iterdir():
            # The lock file is deleted last: another command that waits for it must find the same file.
            if entry.name != "start.lock":
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    shutil.rmtree(files.directory, ignore_errors=True)


def status(directory: Path | None = None) -> dict[str, Any]:
    """Return the endpoint, mode, data directory, saves, databases and services of the local environment."""
    files = DataDirectory(directory or data_directory())
    report = _ask(files, "/orderops/status") or {}
    return {
        "running": bool(report),
        "aws_endpoint": files.announced().get("url") if report else None,
        "strict": bool(files.announced().get("strict")) if report else not files.plain,
        "data_directory": str(files.directory),
        "state": report.get("state") or files.last_save() or NOTHING_LOST,
        "databases": report.get("databases", {}),
        "services": report.get("services", {}),
    }


def database_version() -> str:
    """Return the major version of the PostgreSQL that runs here, such as 18; empty if there is none."""
    from orderops.local.rds.binaries import find_bindir, server_version

    try:
        return str(server_version(find_bindir()))
    except OrderopsError:
        return ""


def psql(identifier: str | None = None, arguments: Sequence[str] = (), directory: Path | None = None) -> int:
    """Run psql on a local database as its master user, and return its exit code.

    The password is passed in the environment, so that it does not appear in the process list.
    """
    from orderops.local.rds.binaries import find_psql

    files = DataDirectory(directory or data_directory())
    credentials = _ask(files, f"/orderops/credentials?{quote(identifier or '')}")
    if credentials is None:
        raise OrderopsError("the local environment is not running", "run: orderops local start")
    if not credentials:
        known = ", ".join(sorted(status(directory)["databases"])) or "none"
        problem = (
            f"no local database is named {identifier!r}"
            if identifier
            else "the environment does not have exactly one local database"
        )
        raise OrderopsError(problem, f"name one of {known}: orderops local psql --instance NAME")
    environment = {**os.environ, "PGPASSWORD": credentials["password"]}
    connection = [
        "-h",
        credentials["host"],
        "-p",
        str(credentials["port"]),
        "-U",
        credentials["user"],
        "-d",
        credentials["database"],
    ]
    return subprocess.run([find_psql(), *connection, *arguments], env=environment, check=False).returncode


def _endpoint(files: DataDirectory) -> LocalEndpoint:
    info, key = files.announced(), files.key
    if key is None:
        raise OrderopsError(
            "the local environment that runs was started by an earlier version of orderops",
            "stop it: orderops local stop",
        )
    return LocalEndpoint(info["url"], info["region"], files.directory, key)


def _check_saved(files: DataDirectory) -> None:
    """Check that a daemon that has ended saved everything. Raises OrderopsError."""
    report = files.last_save()
    if report is None:
        lost = "it ended before it reported that its state is saved"
    elif report.get("problem"):
        lost = f"its state was not saved: {report['problem']}"
    elif report.get("left_out"):
        lost = f"its state was saved without: {', '.join(report['left_out'])}"
    else:
        return
    raise OrderopsError(
        f"the local environment has stopped, and {lost}",
        "read its log: orderops local logs\nto start it with what was saved: orderops local start",
    )


def _check_mode(files: DataDirectory, plain: bool | None) -> None:
    strict = bool(files.announced().get("strict"))
    if plain is not None and plain == strict:
        mode = "strict" if strict else "plain"
        raise OrderopsError(
            f"the local environment is already running in {mode} mode", "stop it first: orderops local stop"
        )


def _launch(files: DataDirectory, region: str, on_wait: Callable[[str], None]) -> None:
    files.clear_start_error()
    on_wait("local environment")
    if files.log.exists() and files.log.stat().st_size > KEPT_LOG_BYTES:
        files.log.replace(files.log.with_suffix(".log.old"))
    log_start = files.log.stat().st_size if files.log.exists() else 0
    process = _spawn(files, region)
    deadline = time.monotonic() + START_WITHIN
    while not _answers(files):
        exit_code = process.poll()
        if exit_code == 0:
            # A daemon started by an interrupted command holds the lock: it answers soon, or exits.
            process = _spawn(files, region)
        elif exit_code is not None and not _answers(files):
            raise files.start_error() or OrderopsError(
                f"the local environment exited during start-up (exit code {exit_code})\n{_tail(files.log, log_start)}",
                f"read {files.log}, or delete its data: orderops local reset",
            )
        if time.monotonic() > deadline:
            raise OrderopsError(
                f"the local environment does not answer after {START_WITHIN:.0f} s", f"read {files.log}"
            )
        time.sleep(0.05)


def _spawn(files: DataDirectory, region: str) -> subprocess.Popen[bytes]:
    with files.log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "orderops.local.daemon", "--directory", files.directory, "--region", region],
            cwd=files.directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl+C in the operator's terminal must not reach the daemon.
            start_new_session=True,
        )


def _answers(files: DataDirectory) -> bool:
    return _ask(files, "/orderops/status") is not None


def _ask(files: DataDirectory, path: str) -> dict[str, Any] | None:
    """Return a page of the daemon, or None when the daemon is not running or another program has its port."""
    info, key = files.announced(), files.key
    if not info or not _alive(info):
        return None
    url = info["url"] + path
    signed = sign("GET", url, key, region=info["region"], service="orderops", now=datetime.now(UTC)) if key else {}
    # Never through a proxy, which HTTP_PROXY may name: it cannot reach this machine's loopback address.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, headers=dict(signed)), timeout=ANSWER_WITHIN) as response:
            document = json.load(response)
    except (OSError, ValueError, urllib.error.URLError):
        return None
    return document if isinstance(document, dict) else None


def _alive(info: dict[str, Any]) -> bool:
    import psutil

    try:
        process = psutil.Process(info["pid"])
        # A pid is reused: the creation time tells whether it is still the daemon. It is read with a resolution of 10
        # ms.
        same = abs(process.create_time() - info["created"]) < 1
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _end(files: DataDirectory, on_wait: Callable[[str], None]) -> bool:
    """End the daemon; return False when none was running."""
    import psutil

    info = files.announced()
    if not info or not _alive(info):
        return False
    on_wait("local environment to stop")
    process = psutil.Process(info["pid"])
    process.terminate()
    deadline = time.monotonic() + STOP_WITHIN
    while _alive(info):
        if time.monotonic() > deadline:
            process.kill()
            # A process that writes to a hung disk ends some time after SIGKILL.
            deadline += 5
        with suppress(psutil.TimeoutExpired):
            process.wait(0.05)
    return True


def _kill_orphans(files: DataDirectory) -> None:
    """Kill the servers and tasks of a daemon that was killed."""
    from orderops.local.ecs.processes import kill_orphans
    from orderops.local.rds.postgres import PostgresServer

    kill_orphans(files.tasks)
    for folder in files.databases.iterdir() if files.databases.exists() else ():
        PostgresServer(folder / "server").kill()


def _tail(path: Path, log_start: int, lines: int = 15) -> str:
    with path.open("rb") as file:
        file.seek(log_start)
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])


def pause_replay(identifier: str, directory: Path | None = None, *, paused: bool) -> None:
    """Pause or resume the replay of a replica, which makes it late. Raises OrderopsError for any other instance."""
    files = DataDirectory(directory or data_directory())
    query = f"{'pause' if paused else 'resume'}={quote(identifier)}"
    answer = _ask(files, f"/orderops/replay?{query}")
    if answer is None:
        raise OrderopsError("the local environment is not running", "start it: orderops local start")
    if problem := answer.get("problem"):
        raise OrderopsError(str(problem), "list the databases: orderops local status")


def logs(directory: Path | None = None, *, follow: bool = False) -> Iterator[str]:
    """Yield log lines of the daemon, the tasks and the databases, each prefixed with its source."""
    from orderops.local.log_files import lines

    return lines(DataDirectory(directory or data_directory()), follow=follow)
