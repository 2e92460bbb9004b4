"""What the program does with the local environment: start it, stop it, look at it. Needs neither moto nor boto3."""

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
from pathlib import Path
from typing import Any
from urllib.parse import quote

from orderops.errors import OrderopsError
from orderops.local.directories import DataDirectory, data_directory

START_WITHIN = 120.0
STOP_WITHIN = 90.0
KEPT_LOG_BYTES = 20_000_000


@dataclass(frozen=True)
class LocalEndpoint:
    """Where the local environment answers."""

    url: str
    region: str
    directory: Path


def start(
    region: str,
    directory: Path | None = None,
    *,
    plain: bool | None = None,
    waiting: Callable[[str], None] = lambda _what: None,
) -> LocalEndpoint:
    """Come back when the local environment answers; one that runs already is that one.

    A `plain` one takes what AWS refuses; where it is not said, the last word holds, and at first it is strict.
    """
    place = DataDirectory(directory or data_directory())
    try:
        place.create()
    except OSError as error:
        raise OrderopsError(
            f"the local environment cannot use {place.directory}: {error.strerror}",
            "name another folder: ORDEROPS_LOCAL_DIRECTORY=DIR",
        ) from None
    with place.locked("start", START_WITHIN):
        if _answers(place):
            _refuse_another(place, plain)
        else:
            place.keep_plain(place.plain if plain is None else plain)
            _launch(place, region, waiting)
        told = place.announced()
    return LocalEndpoint(told["url"], told["region"], place.directory)


def stop(directory: Path | None = None, *, waiting: Callable[[str], None] = lambda _what: None) -> None:
    """End the local environment; its data stays."""
    place = DataDirectory(directory or data_directory())
    if not place.directory.exists():
        return
    with place.locked("start", STOP_WITHIN):
        _end(place, waiting)


def reset(directory: Path | None = None, *, waiting: Callable[[str], None] = lambda _what: None) -> None:
    """End the local environment and delete all of it."""
    place = DataDirectory(directory or data_directory())
    if not place.directory.exists():
        return
    with place.locked("start", STOP_WITHIN):
        _end(place, waiting)
        _end_what_is_left(place)
        shutil.rmtree(place.databases, ignore_errors=True)
        for inner in place.directory.iterdir():
            if inner.name != "start.lock":
                shutil.rmtree(inner) if inner.is_dir() else inner.unlink()
    shutil.rmtree(place.directory, ignore_errors=True)


def status(directory: Path | None = None) -> dict[str, Any]:
    """What runs, and where."""
    place = DataDirectory(directory or data_directory())
    told = _ask(place, "/orderops/status") or {}
    return {
        "running": bool(told),
        "aws_endpoint": place.announced().get("url") if told else None,
        "strict": bool(place.announced().get("strict")) if told else not place.plain,
        "data_directory": str(place.directory),
        "databases": told.get("databases", {}),
        "services": told.get("services", {}),
    }


def psql(identifier: str | None = None, arguments: Sequence[str] = (), directory: Path | None = None) -> int:
    """Run psql on a local database as its master user; the password travels in the environment."""
    from orderops.local.rds.binaries import find_psql

    place = DataDirectory(directory or data_directory())
    told = _ask(place, f"/orderops/credentials?{quote(identifier or '')}")
    if told is None:
        raise OrderopsError("the local environment is not running", "type: orderops local start")
    if not told:
        known = ", ".join(sorted(status(directory)["databases"])) or "none"
        what = f"no local database is named {identifier!r}" if identifier else "there is not exactly one local database"
        raise OrderopsError(what, f"one of these: orderops local psql --instance NAME, of {known}")
    environment = {**os.environ, "PGPASSWORD": told["password"]}
    place_to_go = ["-h", told["host"], "-p", str(told["port"]), "-U", told["user"], "-d", told["database"]]
    return subprocess.run([find_psql(), *place_to_go, *arguments], env=environment, check=False).returncode


def _refuse_another(place: DataDirectory, plain: bool | None) -> None:
    strict = bool(place.announced().get("strict"))
    if plain is not None and plain == strict:
        how = "as strict as AWS" if strict else "plain"
        raise OrderopsError(f"the local environment runs already, {how}", "end it first: orderops local stop")


def _launch(place: DataDirectory, region: str, waiting: Callable[[str], None]) -> None:
    place.forget_refusal()
    waiting("local environment")
    if place.log.exists() and place.log.stat().st_size > KEPT_LOG_BYTES:
        place.log.replace(place.log.with_suffix(".log.old"))
    begun = place.log.stat().st_size if place.log.exists() else 0
    process = _spawn(place, region)
    deadline = time.monotonic() + START_WITHIN
    while not _answers(place):
        ended = process.poll()
        if ended == 0:  # another one, of a command that was interrupted, has the place: it answers soon, or ends
            process = _spawn(place, region)
        elif ended is not None and not _answers(place):
            raise place.refusal() or OrderopsError(
                f"the local environment ended at once (exit {ended})\n{_tail(place.log, begun)}",
                f"read {place.log}, or begin anew: orderops local reset",
            )
        if time.monotonic() > deadline:
            raise OrderopsError(
                f"the local environment does not answer after {START_WITHIN:.0f} s", f"read {place.log}"
            )
        time.sleep(0.05)


def _spawn(place: DataDirectory, region: str) -> subprocess.Popen[bytes]:
    with place.log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "orderops.local.daemon", "--directory", place.directory, "--region", region],
            cwd=place.directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _answers(place: DataDirectory) -> bool:
    return _ask(place, "/orderops/status") is not None


def _ask(place: DataDirectory, path: str) -> dict[str, Any] | None:
    """The daemon's answer; None when it does not run, or when what answers there is another program."""
    told = place.announced()
    if not told or not _alive(told):
        return None
    try:
        with urllib.request.urlopen(told["url"] + path, timeout=10) as answer:
            found = json.load(answer)
    except (OSError, ValueError, urllib.error.URLError):
        return None
    return found if isinstance(found, dict) else None


def _alive(told: dict[str, Any]) -> bool:
    import psutil

    try:
        process = psutil.Process(told["pid"])
        same = abs(process.create_time() - told["created"]) < 1
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _end(place: DataDirectory, waiting: Callable[[str], None]) -> None:
    import psutil

    told = place.announced()
    if not told or not _alive(told):
        return
    waiting("local environment to stop")
    process = psutil.Process(told["pid"])
    process.terminate()
    deadline = time.monotonic() + STOP_WITHIN
    while _alive(told):
        if time.monotonic() > deadline:
            process.kill()
            deadline += 5
        with suppress(psutil.TimeoutExpired):
            process.wait(0.05)


def _end_what_is_left(place: DataDirectory) -> None:
    """Servers and tasks that a killed daemon left behind."""
    from orderops.local.ecs.processes import kill_orphans
    from orderops.local.rds.postgres import PostgresServer

    kill_orphans(place.tasks)
    for folder in place.databases.iterdir() if place.databases.exists() else ():
        PostgresServer(folder / "server").kill()


def _tail(path: Path, begun: int, lines: int = 15) -> str:
    with path.open("rb") as file:
        file.seek(begun)
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])


def logs(directory: Path | None = None, *, follow: bool = False) -> Iterator[str]:
    """The lines of the daemon, the tasks and the databases, each with the name of whose they are."""
    from orderops.local.log_files import lines

    return lines(DataDirectory(directory or data_directory()), follow=follow)
