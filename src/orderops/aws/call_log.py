"""The log of all calls to AWS: one line of JSON each in the user's log file, and on the screen with `--verbose`.

A log that cannot be written is reported once and fails no command.
"""

from __future__ import annotations

import fcntl
import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from orderops.aws.redaction import masked, without_secrets
from orderops.aws.user_directory import user_directory
from orderops.errors import OrderopsError

# About 12,000 calls: small enough to open in an editor. With the older files the log takes at most 25 MB.
MAX_BYTES = 5_000_000
OLDER_FILES = 4
CALLS = logging.getLogger("orderops.calls")
CALLS.propagate = False

Report = Callable[[str], None]
Response = TypeVar("Response", bound=Mapping[str, Any])


def directory() -> Path:
    """Return the directory of the log: ORDEROPS_LOG_DIRECTORY, else the user's state directory.

    Raises OrderopsError if the user has neither a home nor a private temporary directory.
    """
    if configured := os.environ.get("ORDEROPS_LOG_DIRECTORY"):
        return Path(os.path.expanduser(configured)).absolute()  # noqa: PTH111  # Path's raises where HOME is missing
    import platformdirs

    return user_directory(platformdirs.user_state_dir("orderops"))


@contextmanager
def logged(report: Report, *, verbose: bool = False) -> Iterator[None]:
    """Log every call of this process meanwhile; `verbose` reports each call as well.

    `report` also gets one line if the log file cannot be written.
    """
    level = CALLS.level
    handlers: list[logging.Handler] = []
    try:
        handlers.append(_LogFile(directory() / "calls.log", report))
    except OrderopsError as error:
        report(f"calls are not logged: {error.message}")
    if verbose:
        handlers.append(_Screen(report))
    for handler in handlers:
        CALLS.addHandler(handler)
    CALLS.setLevel(logging.INFO)
    try:
        yield
    finally:
        CALLS.setLevel(level)
        for handler in handlers:
            CALLS.removeHandler(handler)
            with suppress(OSError):
                handler.close()


def log_command(request_id: str) -> str:
    """Return the command that shows a request in the log file; "" while no file is written."""
    path = next((handler.baseFilename for handler in CALLS.handlers if isinstance(handler, _LogFile)), "")
    if not path:
        return ""
    return f"grep {request_id} {path}" if request_id else f"tail -n 20 {path}"


class LoggedCall:
    """A call under way, or the pages of a listing: logs each response, with its duration."""

    def __init__(self, call: str, params: Mapping[str, Any]) -> None:
        self._call = call
        self._params = params
        self._began = monotonic()

    def succeeded(self, response: Response) -> Response:
        """Log a response, or a page of it, and return it."""
        self._log("ok", response.get("ResponseMetadata", {}))
        return response

    def failed(self, code: str, text: str, metadata: Mapping[str, Any]) -> None:
        """Log an error; `metadata` is {} where no response arrived."""
        self._log(code, metadata, without_secrets(text))

    def _log(self, outcome: str, metadata: Mapping[str, Any], text: str = "") -> None:
        if not CALLS.isEnabledFor(logging.INFO):
            return
        now = monotonic()
        entry: dict[str, Any] = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "pid": os.getpid(),
            "call": self._call,
            "ms": round((now - self._began) * 1000),
            "outcome": outcome,
            "status": metadata.get("HTTPStatusCode"),
            "attempts": metadata["RetryAttempts"] + 1 if "RetryAttempts" in metadata else None,
            "request": metadata.get("RequestId", ""),
        }
        if text:
            entry["text"] = text
        self._began = now
        CALLS.info(_line(entry), extra={"entry": {**entry, "params": masked(self._params)}})


class _LogFile(logging.FileHandler):
    """The log file. The first error is reported; after that nothing is written any more."""

    def __init__(self, path: Path, report: Report) -> None:
        super().__init__(path, encoding="utf-8", delay=True)
        self._report = report
        self._disabled = False

    def emit(self, record: logging.LogRecord) -> None:
        if self._disabled:
            return
        try:
            super().emit(record)
        except OSError:
            # From opening the file, which the first line does.
            self.handleError(record)

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(getattr(record, "entry", {}), default=str)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # the name that logging calls
        error = sys.exc_info()[1]
        self._disabled = True
        reason = (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
        self._report(f"calls are not logged: {self.baseFilename}: {reason}")

    def _open(self) -> io.TextIOWrapper:
        """Open the file for appending, unbuffered."""
        path = Path(self.baseFilename)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._rotate_if_large(path)
        # With O_APPEND and one write a line, lines of processes that log at the same time are neither lost nor mixed.
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return io.TextIOWrapper(io.FileIO(descriptor, "a"), encoding="utf-8", write_through=True)

    def _rotate_if_large(self, path: Path) -> None:
        """Rename a large file and begin a new one, unless another process is doing so at the moment."""
        if not path.exists() or path.stat().st_size <= MAX_BYTES:
            return
        # Rotated when a process begins, not in the middle: a process that still has the old file open writes on in it.
        with path.with_suffix(".lock").open("w") as lock, suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and path.stat().st_size > MAX_BYTES:
                # Imported where a file is renamed, which few commands do: it loads pickle and sockets.
                from logging.handlers import RotatingFileHandler

                RotatingFileHandler(path, backupCount=OLDER_FILES, delay=True).doRollover()


class _Screen(logging.Handler):
    """Reports each call as it ends."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            self._report(record.getMessage())


def _line(entry: Mapping[str, Any]) -> str:
    """Return a call for the screen: time, call, duration, outcome, and how an error came about."""
    failed = entry["outcome"] != "ok"
    notes = [f"HTTP {entry['status']}"] if failed and entry["status"] else []
    notes += [f"{entry['attempts']} attempts"] if (entry["attempts"] or 1) > 1 else []
    notes += [f"request {entry['request']}"] if failed and entry["request"] else []
    suffix = f" ({', '.join(notes)})" if notes else ""
    return f"{entry['time'][11:19]} {entry['call']} {entry['ms']} ms {entry['outcome']}{suffix}"
