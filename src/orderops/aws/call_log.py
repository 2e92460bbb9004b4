"""The log of every call to AWS: one line of JSON each, in a file of the user's, and on the screen when asked for.

A log that cannot be written is said once and fails nothing. Lines of processes that log at once are never lost or torn:
each is one write at the end of the file, and a file that has grown too large is put aside only when a process begins.
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
from logging.handlers import RotatingFileHandler
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from orderops.aws.redaction import masked, without_secrets

LARGEST = 5_000_000
"""Bytes after which the next process begins a new file."""
KEPT = 4
"""How many older files stay."""
CALLS = logging.getLogger("orderops.calls")
CALLS.propagate = False

Say = Callable[[str], None]
Answer = TypeVar("Answer", bound=Mapping[str, Any])


def directory() -> Path:
    """Where the log stands; ORDEROPS_LOG_DIRECTORY says otherwise."""
    if chosen := os.environ.get("ORDEROPS_LOG_DIRECTORY"):
        return Path(os.path.expanduser(chosen)).absolute()  # noqa: PTH111  # Path's raises where there is no home
    import platformdirs

    return Path(platformdirs.user_state_dir("orderops"))


@contextmanager
def kept(complain: Say) -> Iterator[None]:
    """Log every call of this process; `complain` is told once when that is not possible."""
    journal = _Journal(directory() / "calls.log", complain)
    level = CALLS.level
    CALLS.addHandler(journal)
    CALLS.setLevel(logging.INFO)
    try:
        yield
    finally:
        CALLS.setLevel(level)
        for handler in tuple(CALLS.handlers):
            if isinstance(handler, _Journal | _Shown):
                CALLS.removeHandler(handler)
                with suppress(OSError):
                    handler.close()


def show(say: Say) -> None:
    """Say every call as it ends, until the log is closed."""
    if not any(isinstance(handler, _Shown) for handler in CALLS.handlers):
        CALLS.addHandler(_Shown(say))


def where_to_look(request_id: str) -> str:
    """The command that shows what is known of a call; nothing where no log is kept."""
    path = next((handler.baseFilename for handler in CALLS.handlers if isinstance(handler, _Journal)), "")
    if not path:
        return ""
    return f"grep {request_id} {path}" if request_id else f"tail -n 20 {path}"


class Calls:
    """One call, or the pages of a listing, told to the log as each is answered."""

    def __init__(self, call: str, params: Mapping[str, Any]) -> None:
        self._call = call
        self._params = params
        self._began = monotonic()

    def answered(self, answer: Answer) -> Answer:
        """An answer, or a page of it, came; it is passed on."""
        self._note("ok", answer.get("ResponseMetadata", {}))
        return answer

    def refused(self, code: str, text: str, metadata: Mapping[str, Any]) -> None:
        """No answer came, or a refusal; `metadata` is AWS's, as far as it was heard."""
        self._note(code, metadata, without_secrets(text))

    def _note(self, outcome: str, metadata: Mapping[str, Any], text: str = "") -> None:
        if not CALLS.isEnabledFor(logging.INFO):
            return
        now = monotonic()
        told: dict[str, Any] = {
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
            told["text"] = text
        self._began = now
        CALLS.info(_shown(told), extra={"told": {**told, "params": masked(self._params)}})


class _Journal(RotatingFileHandler):
    """The file; what goes wrong with it is said once, and then it is left alone."""

    def __init__(self, path: Path, complain: Say) -> None:
        super().__init__(path, backupCount=KEPT, encoding="utf-8", delay=True)
        self._complain = complain
        self._given_up = False

    def emit(self, record: logging.LogRecord) -> None:
        if not self._given_up:
            super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(getattr(record, "told", {}), default=str)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # so logging calls it
        error = sys.exc_info()[1]
        self._given_up = True
        why = (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
        self._complain(f"calls are not logged: {self.baseFilename}: {why}")

    def _open(self) -> io.TextIOWrapper:
        """The file, to be written at its end whoever else does so too; each line is one write."""
        path = Path(self.baseFilename)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._put_aside_if_large(path)
        opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return io.TextIOWrapper(io.FileIO(opened, "a"), encoding="utf-8", write_through=True)

    def _put_aside_if_large(self, path: Path) -> None:
        """Begin a new file, unless another process is doing so; who still has the old one goes on in it."""
        if not path.exists() or path.stat().st_size <= LARGEST:
            return
        with path.with_suffix(".lock").open("w") as lock, suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and path.stat().st_size > LARGEST:
                self.doRollover()


class _Shown(logging.Handler):
    """The screen."""

    def __init__(self, say: Say) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            self._say(record.getMessage())


def _shown(told: Mapping[str, Any]) -> str:
    """A call as an operator reads it: when, which, how long, how it ended."""
    more = [f"HTTP {told['status']}"] if told["status"] and told["outcome"] != "ok" else []
    more += [f"{told['attempts']} attempts"] if (told["attempts"] or 1) > 1 else []
    more += [f"request {told['request']}"] if told["request"] and told["outcome"] != "ok" else []
    aside = f" ({', '.join(more)})" if more else ""
    return f"{told['time'][11:19]} {told['call']} {told['ms']} ms {told['outcome']}{aside}"
