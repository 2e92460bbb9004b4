"""Deploy: roll out images of some services."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from orderops.engine.resource import Resource
from orderops.engine.step import Action, Step
from orderops.images.resolve import ImageChoice, check_can_build, materialize
from orderops.infra.apply import Release
from orderops.infra.stack import load_balancer_url
from orderops.infra.workspace import Workspace
from orderops.operations.apply import TAKING_BACK, keep_images, show_image_choices, show_taken_back
from orderops.operations.guarded import Change, Outcome, check_covered, guarded_change
from orderops.operations.options import ChangeOptions
from orderops.operations.workspace import confirm_change, slow_resources
from orderops.runs.run import Run
from orderops.text.durations import in_words
from orderops.ui import console
from orderops.ui.progress import Progress


def deploy_services(workspace: Workspace, options: ChangeOptions, choices: Mapping[str, ImageChoice]) -> None:
    """Show what a release changes, ask, roll it out, and return when its tasks are healthy."""
    show_image_choices(choices)
    change = _Deploy(workspace, options, choices)
    outcome = guarded_change(workspace, options, change)
    if outcome is None:
        return
    if options.as_json:
        console.show_json(_result(workspace, change, outcome))
        return
    if outcome.progress:
        console.info(f"released in {in_words(outcome.progress.elapsed)}")
    else:
        console.info("0 changes: every service runs the requested image")
    console.data(f"{load_balancer_url(workspace.stack, change.release.outputs)}/")
    console.info(f"next: orderops status --env {workspace.environment.name}")


def _result(workspace: Workspace, change: _Deploy, outcome: Outcome[list[Step]] | None) -> dict[str, object]:
    """The document of --json: the plan of a dry run, else what was done."""
    return console.result_json(
        console.plan_json(workspace.environment.name, change.shown if outcome is None else outcome.steps, ()),
        url=load_balancer_url(workspace.stack, change.release.outputs) if outcome else None,
        users=workspace.environment.demonstration,
        applied=outcome is not None and outcome.run is not None,
        elapsed=outcome.progress.elapsed if outcome and outcome.progress else None,
    )


class _Deploy(Change[list[Step]]):
    compares = True
    release: Release
    shown: Sequence[Step] = ()
    """The plan that was shown last, for the result of a dry run."""

    def __init__(self, workspace: Workspace, options: ChangeOptions, choices: Mapping[str, ImageChoice]) -> None:
        self._workspace = workspace
        self._options = options
        self._choices = choices
        self._taken_back: list[str] = []

    def plan(self) -> list[Step]:
        self.release = Release(self._workspace)
        return self.release.plan({service: choice.uri for service, choice in self._choices.items()})

    def show(self, plan: list[Step]) -> None:
        self.shown = plan
        if self._options.as_json:
            return
        if self._options.dry_run or self.is_needed(plan):
            console.show_plan(plan)
            console.info(console.summary(plan))
            self._taken_back = show_taken_back(self._workspace, plan, self._choices)

    def preview(self, plan: list[Step]) -> None:
        if self._options.as_json:
            console.show_json(_result(self._workspace, self, None))

    def is_needed(self, plan: list[Step]) -> bool:
        return any(step.action is not Action.NO_OP for step in plan)

    def ask(self, plan: list[Step]) -> bool:
        check_can_build(self._choices)
        question = f"Release to {self._workspace.environment.name}{TAKING_BACK if self._taken_back else ''}?"
        return confirm_change(self._workspace, question, self._options)

    def check(self, confirmed: list[Step], plan: list[Step], *, prompted: bool) -> None:
        if prompted:
            check_covered(confirmed, plan)

    def apply(self, plan: list[Step], run: Run, progress: Progress) -> None:
        # Built or copied only after the confirmation: a build takes minutes.
        images = materialize(self._workspace.aws, self._choices, console.info)
        keep_images(self._workspace, images)
        for step in self.release.roll_out(images, recent_writes=run.recent_writes, on_wait=progress.watch):
            progress.done(step)

    def progress_resources(self, plan: list[Step]) -> Collection[Resource]:
        return slow_resources(self._workspace)
