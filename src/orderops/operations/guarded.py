"""A guarded change: plan, show, ask, take the lease, plan again, compare with what was confirmed, apply.

Every command that changes an environment follows this sequence, which is written here once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar, Generic, TypeVar

from orderops.engine.resource import Resource, unknown_in
from orderops.engine.step import Action, Step
from orderops.errors import Differences, OrderopsError
from orderops.frozen import Frozen
from orderops.infra.workspace import Workspace
from orderops.operations.locked import locked_run, read_lease
from orderops.operations.options import ChangeOptions
from orderops.runs.run import Run, Runs
from orderops.ui.progress import Progress

P = TypeVar("P")


class Change(ABC, Generic[P]):
    """What one command plans, shows, asks and applies; `P` is its plan."""

    compares: ClassVar[bool] = False
    """Whether a dry run compares the environment with what is declared, and so ends with 3 if there is work to do."""

    @abstractmethod
    def plan(self) -> P:
        """Read the account and plan. Called again under the lease if the environment may have changed meanwhile."""

    @abstractmethod
    def show(self, plan: P) -> None:
        """Show the plan, before the question."""

    def preview(self, plan: P) -> None:
        """What a dry run shows after the plan."""

    def extend(self, plan: P) -> P:
        """Let the operator add to the plan before it is confirmed."""
        return plan

    @abstractmethod
    def is_needed(self, plan: P) -> bool:
        """Whether there is anything to do."""

    @abstractmethod
    def ask(self, plan: P) -> bool:
        """Ask for confirmation; return whether the operator was asked. Raises OrderopsError if it is refused."""

    def check(self, confirmed: P, plan: P, *, prompted: bool) -> None:
        """Raise OrderopsError if the second plan does more than the confirmed one."""

    @abstractmethod
    def apply(self, plan: P, run: Run, progress: Progress) -> None:
        """Apply the plan. Called only while the lease is held."""

    def progress_resources(self, plan: P) -> Iterable[Resource]:
        """Resources whose typical duration is shown while they are waited for."""
        return ()


class Outcome(Frozen, Generic[P]):
    """The plan that was applied; without run and progress if nothing was applied."""

    plan: P
    run: Run | None = None
    progress: Progress | None = None

    @property
    def steps(self) -> Sequence[Step]:
        """The steps that were taken."""
        return self.progress.steps if self.progress else ()


def guarded_change(
    workspace: Workspace, options: ChangeOptions, change: Change[P], *, runs: Runs | None = None
) -> Outcome[P] | None:
    """Carry a change through the whole sequence; None for a dry run. Raises Differences if that found work to do.

    `runs` are the runs of the part that is changed; without it, of the whole environment.
    """
    # Read while the plan is made: whether another operator is at work matters only once something is changed.
    lease = read_lease(workspace, runs)
    plan = change.plan()
    change.show(plan)
    if options.dry_run:
        change.preview(plan)
        if change.compares and change.is_needed(plan):
            raise Differences
        return None
    plan = change.extend(plan)
    if not change.is_needed(plan):
        return Outcome(plan)
    prompted = change.ask(plan)
    with locked_run(workspace, options, lease, runs) as run:
        # While the operator decided, or another run held the lease, the environment may have changed.
        if prompted or not run.undisturbed:
            confirmed, plan = plan, change.plan()
            change.check(confirmed, plan, prompted=prompted)
        with Progress(change.progress_resources(plan), noted=run.done) as progress:
            change.apply(plan, run, progress)
    return Outcome(plan, run, progress)


def check_covered(confirmed: Iterable[Step], now: Iterable[Step]) -> None:
    """Raise OrderopsError if a step would be taken that the confirmed ones do not cover."""
    before = {(step.address, step.note): step for step in confirmed}
    more = [step.address for step in now if not _covered(step, before.get((step.address, step.note)))]
    if more:
        rest = f" and {len(more) - 1} more" if len(more) > 1 else ""
        raise OrderopsError(
            f"{more[0]}{rest} changed while you decided; nothing was changed", "re-run this command to see the new plan"
        )


def _covered(step: Step, confirmed: Step | None) -> bool:
    if step.action in (Action.NO_OP, Action.KEEP):
        return True
    if confirmed is None or confirmed.action in (Action.NO_OP, Action.KEEP):
        return False
    if any(change not in confirmed.carried for change in step.carried):
        return False
    # A killed run may have created the resource meanwhile; its settings are those that were confirmed.
    if confirmed.action is Action.CREATE:
        return step.action in (Action.CREATE, Action.UPDATE)
    return confirmed.action is step.action and all(
        # A value that was unknown in the first plan, such as an ARN, may be anything in the second.
        key in confirmed.changes and (unknown_in(confirmed.changes[key][1]) or confirmed.changes[key][1] == desired)
        for key, (_, desired) in step.changes.items()
    )
