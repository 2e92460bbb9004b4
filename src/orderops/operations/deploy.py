"""Deploy: roll out images of some services."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta

from orderops.engine.resource import Resource
from orderops.engine.step import Action, Step
from orderops.images.resolve import ImageChoice, check_can_build, materialize
from orderops.infra.address import service_url
from orderops.infra.apply import Release
from orderops.infra.workspace import Workspace
from orderops.operations.apply import TAKING_BACK, keep_images, show_image_choices, show_taken_back
from orderops.operations.guarded import Change, Outcome, check_covered, guarded_change
from orderops.operations.options import ChangeOptions
from orderops.operations.release_check import check_release
from orderops.operations.release_start import changing_services, releases_under_way, watch_releases
from orderops.operations.release_watch import WatchedRelease, failures_shown
from orderops.operations.schema_check import SchemaCheck
from orderops.operations.workspace import confirm_change, slow_resources
from orderops.runs.run import Run
from orderops.text.durations import in_words
from orderops.ui import console
from orderops.ui.progress import Progress


def deploy_services(
    workspace: Workspace,
    options: ChangeOptions,
    choices: Mapping[str, ImageChoice],
    bake: timedelta | None,
    *,
    ignore_schema: bool = False,
) -> None:
    """Show what a release changes, ask, roll it out, and return when it has baked. Raises ReleaseFailed.

    Without `ignore_schema` an image that does not work with the schema of the database is refused.
    """
    show_image_choices(choices)
    change = _Deploy(workspace, options, choices, bake, SchemaCheck(workspace, choices, ignore_schema))
    with failures_shown(as_json=options.as_json):
        outcome = guarded_change(workspace, options, change)
    if outcome is None:
        return
    if options.as_json:
        console.show_json(_result(workspace, change, outcome))
        return
    if outcome.progress:
        show_released(change.released)
        console.info(f"released in {in_words(outcome.progress.elapsed)}")
    else:
        console.info("0 changes: every service runs the requested image")
    console.data(f"{service_url(workspace.stack, change.release.outputs)}/")
    console.info(f"next: orderops status --env {workspace.environment.name}")


def _result(workspace: Workspace, change: _Deploy, outcome: Outcome[list[Step]] | None) -> dict[str, object]:
    """The document of --json: the plan of a dry run, else what was done."""
    document = console.result_json(
        console.plan_json(workspace.environment.name, change.shown if outcome is None else outcome.steps, ()),
        url=service_url(workspace.stack, change.release.outputs) if outcome else None,
        users=workspace.environment.demonstration,
        applied=outcome is not None and outcome.run is not None,
        elapsed=outcome.progress.elapsed if outcome and outcome.progress else None,
    )
    return {**document, "releases": [one.outcome.to_dict() for one in change.released]}


def show_released(releases: Iterable[WatchedRelease]) -> None:
    """Show what became of releases that are good, and by what they were judged."""
    for one in releases:
        console.info_folded(f"{one.service}: {one.rollout.verdict}; {'; '.join([one.rollout.runs_now(), *one.notes])}")


class _Deploy(Change[list[Step]]):
    compares = True
    release: Release
    shown: Sequence[Step] = ()
    """The plan that was shown last, for the result of a dry run."""

    def __init__(
        self,
        workspace: Workspace,
        options: ChangeOptions,
        choices: Mapping[str, ImageChoice],
        bake: timedelta | None,
        schema: SchemaCheck,
    ) -> None:
        self._workspace = workspace
        self._options = options
        self._choices = choices
        self._bake = bake
        self._schema = schema
        self.released: Sequence[WatchedRelease] = ()
        self._taken_back: list[str] = []
        self._under_way: list[str] = []

    def plan(self) -> list[Step]:
        self.release = Release(self._workspace)
        self._under_way = releases_under_way(self._workspace, self._choices)
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
        return _changes(plan) or bool(self._under_way)

    def ask(self, plan: list[Step]) -> bool:
        if not _changes(plan):
            return False
        check_can_build(self._choices)
        there = {service: choice.uri for service, choice in self._choices.items() if not choice.pending}
        check_release(self._workspace, there, self.release.outputs)
        self._schema.check(self._changing(plan))
        question = f"Release to {self._workspace.environment.name}{TAKING_BACK if self._taken_back else ''}?"
        return confirm_change(self._workspace, question, self._options)

    def check(self, confirmed: list[Step], plan: list[Step], *, prompted: bool) -> None:
        if prompted:
            check_covered(confirmed, plan)

    def apply(self, plan: list[Step], run: Run, progress: Progress) -> None:
        if not run.undisturbed:
            # Who held the lease meanwhile may have migrated the database.
            with progress.paused():
                self._schema.check(self._changing(plan))
        # Built or copied only after the confirmation: a build takes minutes.
        images = materialize(self._workspace.aws, self._choices, console.info)
        keep_images(self._workspace, images)
        changing = changing_services(self._workspace, plan, images)
        self._schema.note(run, list(changing))
        watch = watch_releases(
            self._workspace, run, changing, self.release.outputs, self._bake, under_way=self._under_way
        )

        def roll_out() -> None:
            on_wait = watch.beside(progress.watch)
            for step in self.release.roll_out(images, recent_writes=run.recent_writes, on_wait=on_wait):
                progress.done(step)

        watch.rolled_out(roll_out)
        self.released = watch.baked(progress.watch)

    def _changing(self, plan: list[Step]) -> list[str]:
        uris = {service: choice.uri for service, choice in self._choices.items()}
        return list(changing_services(self._workspace, plan, uris))

    def progress_resources(self, plan: list[Step]) -> Collection[Resource]:
        return slow_resources(self._workspace)


def _changes(plan: Iterable[Step]) -> bool:
    return any(step.action is not Action.NO_OP for step in plan)
