"""State file of the emulator: all moto backends and our own records.

The file is replaced atomically after a sync, so that a kill or a full disk leaves either the old or the new state.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import moto
from moto.backends import get_backend
from moto.logs.models import LogEvent

from orderops.errors import OrderopsError
from orderops.local.emulator.state_pickle import pickled

# Increased when the pickled classes of this package change incompatibly.
FORMAT = 3
# Seconds. An apply sends dozens of requests in a row: one save is enough for them.
DEBOUNCE_SECONDS = 0.2
# Seconds. A full disk is not repaired sooner.
RETRY_SECONDS = 5.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SaveReport:
    """Result of the last save: why it failed and since when saves do, or what it left out."""

    problem: str = ""
    failing_since: datetime | None = None
    left_out: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        since = self.failing_since.isoformat(timespec="seconds") if self.failing_since else None
        return {"problem": self.problem, "failing_since": since, "left_out": list(self.left_out)}


class StateFile:
    """State file and the thread that writes it soon after a change."""

    def __init__(self, path: Path, lock: threading.RLock, records: Callable[[], Any]) -> None:
        self.report = SaveReport()
        self._path = path
        self._lock = lock
        self._records = records
        self._due: float | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._writing = threading.Lock()
        self._thread = threading.Thread(target=self._write_when_due, name="memory", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def touch(self, within: float = DEBOUNCE_SECONDS) -> None:
        """Schedule a write within the given number of seconds."""
        due = time.monotonic() + within
        with self._changed:
            if self._due is None or due < self._due:
                self._due = due
                self._changed.notify()

    def close(self) -> SaveReport:
        """Write a last time, stop the thread, and return how it went."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        return self.save(verify=True)

    def write(self, *, verify: bool = False) -> None:
        """Write the whole state. Call without holding the emulator's lock; raises an exception when it fails."""
        with self._writing:
            try:
                with self._lock:
                    state = pickled(self._records(), verify=verify)
                self._replace(_header_line() + state.content)
            except Exception as error:
                self._note_failure(error)
                raise
            if new := sorted(set(state.left_out) - set(self.report.left_out)):
                log.error("the state is saved without: %s", ", ".join(new))
            self.report = SaveReport(left_out=state.left_out)

    def save(self, *, verify: bool = False) -> SaveReport:
        """Write the whole state and return how it went."""
        # Reported and logged.
        with suppress(Exception):
            self.write(verify=verify)
        return self.report

    def _replace(self, content: bytes) -> None:
        temporary = self._path.with_suffix(".half")
        try:
            with open(temporary, "wb", opener=_open_private) as file:
                file.write(content)
                file.flush()
                # Without it, a power cut can leave an empty file under the new name.
                os.fsync(file.fileno())
            temporary.replace(self._path)
        except OSError:
            # On a full disk, half a file takes the space that the next one needs.
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise

    def _note_failure(self, error: Exception) -> None:
        text = error.strerror if isinstance(error, OSError) else None
        problem = text or f"{type(error).__name__}: {error}"
        # Once for each cause: on a full disk, the log would grow with every try.
        if problem != self.report.problem:
            log.error("cannot write the state: %s", problem, exc_info=not text)
        since = self.report.failing_since or datetime.now(UTC)
        self.report = SaveReport(problem, since, self.report.left_out)

    def _write_when_due(self) -> None:
        while True:
            with self._changed:
                while not self._closed and (self._due is None or self._due > time.monotonic()):
                    self._changed.wait(None if self._due is None else max(0, self._due - time.monotonic()))
                if self._closed:
                    return
                self._due = None
            began = time.monotonic()
            if self.save().problem:
                self.touch(RETRY_SECONDS)
            # Writing holds the lock. A pause of four times the duration leaves requests at least 80 % of the time.
            self._rest(4 * (time.monotonic() - began))

    def _rest(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed, seconds)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def dump(records: Any) -> bytes:
    """Return the content of a state file with the emulator's state and our own records."""
    return _header_line() + pickled(records).content


def load(path: Path) -> Any:
    """Restore the state and return our own records; None when the file does not exist.

    Raises OrderopsError for a file of another moto version, and for one that cannot be read.
    """
    if not path.exists():
        return None
    header, _, content = path.read_bytes().partition(b"\n")
    written = _read_header(header)
    if written != _header():
        raise _written_by_another_version(written)
    try:
        state = pickle.loads(content)
        backends, attributes, log_event, own = (state[key] for key in ("backends", "attributes", "log_event", "own"))
    except Exception as error:
        raise OrderopsError(
            f"the state of the local environment cannot be read: {type(error).__name__}: {error}",
            f"keep a copy of {path.parent}, then delete everything in it: orderops local reset",
        ) from error
    for name, accounts in backends.items():
        backend = get_backend(name)
        for account, regions in accounts.items():
            backend[account].update(regions)
        vars(backend).update(attributes[name])
    # moto numbers log events by a class attribute; starting at 0 again would repeat ids that followers have seen.
    LogEvent._event_id = log_event
    return own


def _written_by_another_version(written: dict[str, Any]) -> OrderopsError:
    version = written.get("moto", "?")
    keep = (
        f"to keep it: pip install 'moto[server]=={version}', then re-run this command"
        if written.get("format") == FORMAT
        else "to keep it: run the version of orderops that wrote it"
    )
    return OrderopsError(
        f"the state of the local environment was written by moto {version} "
        f"(format {written.get('format', '?')}), but moto {moto.__version__} (format {FORMAT}) is installed",
        f"{keep}\nto delete it and everything else in the local environment: orderops local reset",
    )


def _header() -> dict[str, Any]:
    return {"format": FORMAT, "moto": moto.__version__}


def _header_line() -> bytes:
    return json.dumps(_header()).encode() + b"\n"


def _read_header(line: bytes) -> dict[str, Any]:
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return header if isinstance(header, dict) else {}
