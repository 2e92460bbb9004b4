"""Inside a remote job: `python -m orderops.cli.remote_entrypoint` runs the command that was agreed on outside."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from orderops import __version__
from orderops.errors import Interrupted, OrderopsError
from orderops.remote.framing import Mark, MarkedStream, pieces
from orderops.remote.request import FORM

if TYPE_CHECKING:
    from orderops.remote.job import CurrentJob

LEAVING = 30
"""Seconds in which a result must be taken."""


def main() -> None:
    """Run the job of this task, and report its end in the last line and in the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a task that is stopped ends as by Ctrl+C
    _write(Mark.BEGIN, {"form": FORM, "version": __version__})
    try:
        told = _carried_out()
    except OrderopsError as error:
        told = _ended(error)
    except KeyboardInterrupt:
        told = _ended(Interrupted(()))
    _write(Mark.END, told)
    raise SystemExit(told["exit_code"])


def _carried_out() -> dict[str, Any]:
    from orderops.remote.job import current_job

    found = current_job()
    if found is None:
        raise OrderopsError("this process has no job", "orderops starts this module itself, in a task inside the VPC")
    _settle(found.request.width)
    told = {"exit_code": 1}
    try:
        with _files(found.request.sql), _marked():
            told = _ran(list(found.request.argv))
    finally:
        _leave(found)
    return told


def _settle(width: int) -> None:
    """As wide as the operator's terminal; a user without a home writes where all may.

    The certificates of RDS are those that the image holds for its service, if it holds any.
    """
    nowhere = Path(tempfile.gettempdir()) / "orderops"
    os.environ["COLUMNS"] = str(width)
    os.environ.setdefault("ORDEROPS_LOG_DIRECTORY", str(nowhere))
    os.environ.setdefault("XDG_DATA_HOME", str(nowhere))
    if held := os.environ.get("DATABASE_CA"):
        os.environ.setdefault("ORDEROPS_RDS_CA_BUNDLE", held)


def _ran(words: list[str]) -> dict[str, Any]:
    """How a command ended; what it refuses is told in the last line, and so not shown here."""
    from orderops.cli import commands, verbose_first

    try:
        commands(verbose_first(words), prog_name="orderops")
    except OrderopsError as error:
        return _ended(error)
    except SystemExit as end:
        if end.code == Interrupted.exit_code:
            return _ended(Interrupted(()))
        return {"exit_code": end.code if isinstance(end.code, int) else int(bool(end.code))}
    return {"exit_code": 0}


def _ended(error: OrderopsError) -> dict[str, Any]:
    left = {"left": error.left} if isinstance(error, Interrupted) else {}
    return {"exit_code": error.exit_code, "message": "\n".join(error.lines), "hint": error.hint, **left}


@contextmanager
def _files(sql: dict[str, str] | Any) -> Iterator[None]:
    """Write the job's files to where the commands look for migrations."""
    with tempfile.TemporaryDirectory(prefix="orderops-") as folder:
        for name, text in sql.items():
            (Path(folder) / Path(name).name).write_text(text, encoding="utf-8", newline="")
        os.environ["ORDEROPS_SQL"] = folder
        yield


@contextmanager
def _marked() -> Iterator[None]:
    lock = threading.RLock()
    out, err = MarkedStream(Mark.OUT, _line, lock), MarkedStream(Mark.ERR, _line, lock)
    with redirect_stdout(out), redirect_stderr(err):
        try:
            yield
        finally:
            out.finish()
            err.finish()


def _leave(found: CurrentJob) -> None:
    """Put what the command left where it is looked for; a result that is not taken fails nothing that was done."""
    left = {"form": FORM, "notes": found.notes, "result": found.result}
    body = json.dumps(left, default=str).encode()
    try:
        with urlopen(Request(found.request.result_url, body, {"Content-Type": ""}, method="PUT"), timeout=LEAVING):
            pass
    except (URLError, OSError) as error:
        if found.notes or found.result:
            for line in pieces(Mark.ERR, f"the result could not be left: {error}"):
                _line(line)


def _write(mark: Mark, told: dict[str, Any]) -> None:
    for line in pieces(mark, json.dumps(told)):
        _line(line)


def _line(text: str) -> None:
    """One line of the log, whatever else stands for stdout meanwhile."""
    stream = sys.__stdout__
    assert stream
    stream.buffer.write(f"{text}\n".encode(errors="backslashreplace"))
    stream.buffer.flush()


if __name__ == "__main__":
    main()
