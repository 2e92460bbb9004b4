"""Destroy: delete an environment, and keep what holds data unless it is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.infra.destroy import DestroyPlan, leftovers_of, plan_destroy, record_of
from orderops.infra.stack import KINDS
from orderops.infra.workspace import Workspace
from orderops.operations.apply import changes_made
from orderops.operations.guarded import Change, check_covered, guarded_change
from orderops.operations.options import ChangeOptions
from orderops.operations.workspace import confirm_change
from orderops.runs.run import Run
from orderops.text.durations import in_words
from orderops.ui import console
from orderops.ui.progress import Progress


def destroy_everything(
    workspace: Workspace, options: ChangeOptions, *, only: Sequence[str] = (), infra_only: bool = False
) -> None:
    """Show what is deleted and what is kept, ask, delete; ends with what was kept and the command that deletes it."""

    def planned(named: frozenset[str]) -> DestroyPlan:
        return plan_destroy(workspace, only=only, named=named, infra_only=infra_only)

    again = " ".join([f"orderops down --env {workspace.environment.name}", *(f"--only {address}" for address in only)])
    change = Destroy(workspace, options, planned, again, f"nothing to delete in {workspace.environment.name}")
    plan = change.carried_out()
    if plan is not None and plan.removed:
        # With --only, leftovers of kinds that were not deleted are none of this command.
        kinds = {owned.kind: None for owned in plan.removed} if only else KINDS
        console.show_leftovers([*leftovers_of(workspace, kinds), record_of(workspace)])


class Destroy(Change[DestroyPlan]):
    """A deletion that `planned` plans with the names given so far; `again` is the command for what it kept."""

    def __init__(
        self,
        workspace: Workspace,
        options: ChangeOptions,
        planned: Callable[[frozenset[str]], DestroyPlan],
        again: str,
        nothing: str,
    ) -> None:
        self._workspace = workspace
        self._options = options
        self._planned = planned
        self._again = again
        self._nothing = nothing
        self._named = frozenset(options.confirm)
        self.carried: DestroyPlan | None = None
        """The plan that was carried out, where it is another than the confirmed one."""

    def carried_out(self) -> DestroyPlan | None:
        """Go through the whole change and show its end; None for a dry run."""
        outcome = guarded_change(self._workspace, self._options, self)
        if outcome is None:
            return None
        if outcome.run and outcome.progress:
            console.info(f"{changes_made(outcome.progress, outcome.run)} in {in_words(outcome.progress.elapsed)}")
        else:
            console.info(self._nothing)
        plan = self.carried or outcome.plan
        self._show_kept(plan)
        return plan

    def plan(self) -> DestroyPlan:
        return self._planned(self._named)

    def show(self, plan: DestroyPlan) -> None:
        if self._options.dry_run or not self._options.yes:
            console.show_plan(list(plan.run(dry_run=True)))

    def preview(self, plan: DestroyPlan) -> None:
        console.info(f"{len(plan.removed)} to delete, {len(plan.kept)} to keep")

    def extend(self, plan: DestroyPlan) -> DestroyPlan:
        """Ask for the name of each resource that holds data; one that is typed is deleted as well."""
        if self._options.yes:
            return plan
        typed = [
            owned.own_name
            for owned in plan.unnamed
            if console.confirm_name(
                owned.own_name,
                f"{owned.kind.kind}/{owned.own_name} holds {plan.holds[owned.key]}",
                given=(),
                yes="delete that too",
                no="keep it",
            )
        ]
        extended = plan.with_named(typed)
        self._named = extended.named
        if typed:
            kept = {address for address, _ in plan.kept}
            steps = extended.run(dry_run=True)
            console.show_plan([step for step in steps if step.action is Action.DELETE and step.address in kept])
        return extended

    def is_needed(self, plan: DestroyPlan) -> bool:
        return bool(plan.removed)

    def ask(self, plan: DestroyPlan) -> bool:
        question = f"Delete {len(plan.removed)} resources of {self._workspace.environment.name}?"
        return confirm_change(self._workspace, question, self._options)

    def check(self, confirmed: DestroyPlan, plan: DestroyPlan, *, prompted: bool) -> None:
        if prompted:
            check_covered(confirmed.run(dry_run=True), plan.run(dry_run=True))

    def apply(self, plan: DestroyPlan, run: Run, progress: Progress) -> None:
        try:
            for step in plan.run(on_wait=progress.watch):
                progress.done(step)
        # What was kept is often the reason why a step failed.
        except Unfinished:
            self._show_kept(plan)
            raise

    def _show_kept(self, plan: DestroyPlan) -> None:
        holding = [owned for owned in plan.found if owned.key in plan.kept and plan.kept[owned.key].startswith("holds")]
        shown = holding or [owned for owned in plan.found if owned.key in plan.kept]
        for owned in sorted(shown, key=lambda owned: owned.key):
            console.info_folded(f"kept: {owned.kind.kind}/{owned.own_name} ({plan.kept[owned.key]})")
        # A database keeps its subnets, security groups and VPC; listing them would hide what holds data.
        if holding and len(plan.kept) > len(holding):
            console.info(f"kept: {len(plan.kept) - len(holding)} more, needed by those that hold data")
        if holding:
            options = [f"--confirm {name}" for name in sorted(owned.own_name for owned in holding)]
            console.info(f"to delete these too: {self._again} {' '.join(options)}")
