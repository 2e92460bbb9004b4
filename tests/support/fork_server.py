"""Processes that start within milliseconds: forked from a server with all modules loaded."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

# At exit, Python waits for a process that waits for the fork server, which waits for our exit.
atexit.register(lambda: forkserver._forkserver._stop())  # type: ignore[attr-defined]  # no public API


def forked(
    target: Callable[..., object], arguments: tuple[Any, ...], environ: Mapping[str, str], output: Path
) -> multiprocessing.process.BaseProcess:
    """Start a process that runs `target` in this environment, and appends stdout and stderr to the file `output`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["support.preloaded_worker"])
    process = context.Process(target=_run, args=(target, arguments, dict(environ), str(output)), daemon=True)
    with _nameless_main():
        process.start()
    return process


@contextmanager
def _nameless_main() -> Iterator[None]:
    """Hide the main module: a child imports it if it has a file, and ours is slow to import."""
    main_module = vars(sys.modules["__main__"])
    hidden = {name: main_module.pop(name, None) for name in ("__file__", "__spec__")}
    main_module["__spec__"] = None
    try:
        yield
    finally:
        main_module.update(hidden)


def _run(target: Callable[..., object], arguments: tuple[Any, ...], environ: Mapping[str, str], output: str) -> None:
    # The fork server has the environment of the test that started it.
    os.environ.clear()
    os.environ.update(environ)
    file = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stdin = Path(os.devnull).open()  # noqa: SIM115 - for the life of the process
    try:
        target(*arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
