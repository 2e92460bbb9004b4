"""Entry point of a remote job's task: runs the command that the operator's orderops has requested."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from orderops import __version__
from orderops.errors import Interrupted, OrderopsError
from orderops.remote.framing import Mark, MarkedStream, pieces
from orderops.remote.request import FORM, JOB_URL

if TYPE_CHECKING:
    from orderops.remote.job import CurrentJob

RESULT_TIMEOUT = 30
"""Seconds in which the result must be stored."""


def main() -> None:
    """Run the job of this task, and report its end in the last line and in the exit code."""
    # ECS stops a task with SIGTERM; the command then ends as after Ctrl+C and releases its locks.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _write(Mark.BEGIN, {"form": FORM, "version": __version__})
    try:
        end = _run_job()
    except OrderopsError as error:
        end = _ended(error)
    except KeyboardInterrupt:
        end = _ended(Interrupted(()))
    _write(Mark.END, end)
    raise SystemExit(end["exit_code"])


def _run_job() -> dict[str, Any]:
    from orderops.remote.job import read_job

    url = os.environ.get(JOB_URL)
    if not url:
        raise OrderopsError("this process has no job", "only orderops starts this module, in a task inside the VPC")
    job = read_job(url)
    end: dict[str, Any] = {"exit_code": 1}
    try:
        with _folder_of(job.request.sql) as folder, _marked():
            argv = list(job.request.argv)
            # Only commands that read migrations have --sql, and only their jobs carry files.
            end = _run([*argv, "--sql", str(folder)] if job.request.sql else argv, job)
    finally:
        _store_result(job)
    return end


def _run(argv: list[str], job: CurrentJob) -> dict[str, Any]:
    """Run the command and return its end. Its error goes into the last line, which the operator's orderops shows."""
    from orderops.cli import verbose_first
    from orderops.cli.tree import tree

    try:
        tree()(verbose_first(argv), prog_name="orderops", obj=job)
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
def _folder_of(sql: Mapping[str, str]) -> Iterator[Path]:
    """A folder with the job's migration files, which is deleted afterwards."""
    # The commands read files, and a task has no disk that outlives it.
    with tempfile.TemporaryDirectory(prefix="orderops-") as folder:
        for name, text in sql.items():
            # Only the last part of a name, so that a job cannot write outside the folder. Line ends are kept,
            # since the ledger holds checksums.
            (Path(folder) / Path(name).name).write_text(text, encoding="utf-8", newline="")
        yield Path(folder)


@contextmanager
def _marked() -> Iterator[None]:
    # One lock for both: half a line of the one must not end up inside a line of the other.
    lock = threading.RLock()
    out, err = MarkedStream(Mark.OUT, _line, lock), MarkedStream(Mark.ERR, _line, lock)
    with redirect_stdout(out), redirect_stderr(err):
        try:
            yield
        finally:
            out.finish()
            err.finish()


def _store_result(job: CurrentJob) -> None:
    """Store what the command has set. Failing to store it undoes nothing, so it is reported and not raised."""
    result = {"form": FORM, "notes": job.notes, "result": job.result}
    body = json.dumps(result, default=str).encode()
    # urllib would add a content type, which the signature of the presigned URL does not cover.
    request = Request(job.request.result_url, body, {"Content-Type": ""}, method="PUT")
    try:
        with urlopen(request, timeout=RESULT_TIMEOUT):
            pass
    except (URLError, OSError) as error:
        # Without a result nothing is lost.
        if job.notes or job.result:
            for line in pieces(Mark.ERR, f"the result could not be stored: {error}"):
                _line(line)


def _write(mark: Mark, value: dict[str, Any]) -> None:
    for line in pieces(mark, json.dumps(value)):
        _line(line)


def _line(text: str) -> None:
    """Write one line of the log, past the redirected stdout."""
    stream = sys.__stdout__
    assert stream
    # Bytes, since a container may have an ASCII locale.
    stream.buffer.write(f"{text}\n".encode(errors="backslashreplace"))
    stream.buffer.flush()


if __name__ == "__main__":
    main()
