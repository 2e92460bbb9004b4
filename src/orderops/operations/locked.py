"""A run of a command: begun once the lease is free, with the holder shown while it is not."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta

from orderops.aws.documents import Document
from orderops.infra.workspace import Workspace
from orderops.operations.options import ChangeOptions
from orderops.runs.run import Run, Runs
from orderops.text.durations import in_words
from orderops.ui import console
from orderops.ui.progress import Progress

LeaseReading = Future[Document | None]


def read_lease(workspace: Workspace, runs: Runs | None = None) -> LeaseReading:
    """Start reading the lease in the background."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="lease")
    reading = pool.submit((runs or workspace.runs).peek)
    # The thread ends with its only task; waiting for it here would defeat the background reading.
    pool.shutdown(wait=False)
    return reading


@contextmanager
def locked_run(
    workspace: Workspace, options: ChangeOptions, lease: LeaseReading, runs: Runs | None = None
) -> Iterator[Run]:
    """A run of this command, while no other operator changes the environment, or the part of it that `runs` change.

    Shows the holder of the lease and waits for up to `options.wait`. Raises OrderopsError after that.
    """
    name = workspace.environment.name
    with ExitStack() as waits:
        shown: list[Progress] = []

        def waiting(holder: str, silent_for: timedelta) -> None:
            if not shown:
                console.info(f"{name} is {holder}; waiting for up to {in_words(options.wait)}")
                shown.append(waits.enter_context(Progress()))
            shown[0].watch(name, f"its holder was last seen {in_words(silent_for)} ago")

        with (runs or workspace.runs).begun(
            f"{options.command} --env {name}", lease.result(), wait=options.wait, waiting=waiting
        ) as run:
            # The live view of the wait must end before that of the run begins.
            waits.close()
            yield run
