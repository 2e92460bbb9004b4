"""Changing an environment before the operator's eyes: waiting for the lease, and what changed while they decided."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta

from orderops.aws.documents import Document
from orderops.engine.resource import unknown_in
from orderops.engine.step import Action, Step
from orderops.errors import OrderopsError
from orderops.infra.workspace import Workspace
from orderops.operations.workspace import ChangeOptions
from orderops.runs.run import Run, Runs
from orderops.text.durations import in_words
from orderops.ui import console
from orderops.ui.progress import Progress

LeaseReading = Future[Document | None]


def read_lease(workspace: Workspace, runs: Runs | None = None) -> LeaseReading:
    """Begin to read the lease; who holds it matters only when something is to be changed."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="lease")
    reading = pool.submit((runs or workspace.runs).peek)
    pool.shutdown(wait=False)
    return reading


@contextmanager
def locked_run(
    workspace: Workspace, manner: ChangeOptions, lease: LeaseReading, runs: Runs | None = None
) -> Iterator[Run]:
    """A run of this command, begun when nobody else changes the environment, or the part of it that `runs` change."""
    name = workspace.environment.name
    with ExitStack() as waits:
        shown: list[Progress] = []

        def waiting(told: str, silent_for: timedelta) -> None:
            if not shown:
                console.info(f"{name} is {told}; waiting for up to {in_words(manner.wait)}")
                shown.append(waits.enter_context(Progress()))
            shown[0].watch(name, f"its holder was last seen {in_words(silent_for)} ago")

        with (runs or workspace.runs).begun(
            f"{manner.command} --env {name}", lease.result(), wait=manner.wait, waiting=waiting
        ) as run:
            waits.close()
            yield run


def check_as_agreed(agreed: Iterable[Step], now: Iterable[Step]) -> None:
    """Refuse when more would be done now than was agreed to: somebody changed something meanwhile."""
    before = {(step.address, step.note): step for step in agreed}
    more = [step.address for step in now if not _covered(step, before.get((step.address, step.note)))]
    if more:
        rest = f" and {len(more) - 1} more" if len(more) > 1 else ""
        raise OrderopsError(
            f"{more[0]}{rest} changed while you decided; nothing was done", "the same command shows the new plan"
        )


def _covered(step: Step, agreed: Step | None) -> bool:
    if step.action in (Action.NO_OP, Action.KEEP):
        return True
    if agreed is None or agreed.action in (Action.NO_OP, Action.KEEP):
        return False
    if agreed.action is Action.CREATE:
        return step.action in (Action.CREATE, Action.UPDATE)
    return agreed.action is step.action and all(
        key in agreed.changes and (unknown_in(agreed.changes[key][1]) or agreed.changes[key][1] == desired)
        for key, (_, desired) in step.changes.items()
    )
