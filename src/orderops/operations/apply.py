"""Apply: create and update everything that an environment declares."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from orderops.engine.resource import Resource
from orderops.engine.step import Action, Step
from orderops.errors import OrderopsError
from orderops.frozen import replace
from orderops.images.released import releases_taken_back
from orderops.images.resolve import ImageChoice, check_can_build, materialize
from orderops.images.retention import keep_released
from orderops.infra.address import service_url
from orderops.infra.alarms import check_pages
from orderops.infra.apply import Apply
from orderops.infra.plan import Plan, make_plan
from orderops.infra.saved_plan import SavedPlan, check_unmoved
from orderops.infra.service_login import login_is_due_in
from orderops.infra.workspace import Workspace
from orderops.operations.costs import show_sum
from orderops.operations.guarded import Change, Outcome, check_covered, guarded_change
from orderops.operations.migrate import migrate, migrations_of, show_pending, to_migrate
from orderops.operations.options import ChangeOptions
from orderops.operations.release_start import changing_services, releases_under_way, watch_releases
from orderops.operations.release_watch import failures_shown
from orderops.operations.saved_plan import PlanScope, exact_images, open_plan, save_plan
from orderops.operations.service_login import login_role
from orderops.operations.workspace import asks_by_name, confirm_change, slow_resources
from orderops.resources.sns_subscription import SnsSubscription
from orderops.runs.run import Run
from orderops.text.durations import in_words
from orderops.text.lists import counted
from orderops.ui import console
from orderops.ui.progress import Progress

TAKING_BACK = ", and take back the release above"


def apply_everything(
    workspace: Workspace,
    options: ChangeOptions,
    *,
    choices: Mapping[str, ImageChoice] | None,
    adopt: Sequence[str],
    prune: bool,
    sql: Path | None = None,
    out: Path | None = None,
) -> None:
    """Plan, ask and apply; with `choices` of images, the release and migrations too. Shows the next step.

    With `out`, the plan is saved there and nothing is changed.
    """
    if out and choices is not None:
        choices = exact_images(workspace, choices)
    scope = PlanScope(choices, adopt, prune, sql)
    _apply(workspace, replace(options, dry_run=options.dry_run or out is not None), scope, out=out)


def apply_saved(workspace: Workspace, options: ChangeOptions, file: Path, sql: Path | None) -> None:
    """Apply exactly a saved plan. Raises OrderopsError, naming the property, if anything that it touches moved."""
    saved, scope = open_plan(workspace, file, sql)
    console.info(f"the plan that {saved.who} made at {saved.made} on {saved.host}")
    _apply(workspace, options, scope, saved=saved)


def _apply(
    workspace: Workspace,
    options: ChangeOptions,
    scope: PlanScope,
    *,
    out: Path | None = None,
    saved: SavedPlan | None = None,
) -> None:
    choices = scope.choices
    show_image_choices(choices or {})
    change = _ApplyEverything(workspace, options, scope, out=out, saved=saved)
    with failures_shown(as_json=options.as_json):
        outcome = guarded_change(workspace, options, change)
    if outcome is None:
        return
    if options.as_json:
        console.show_json(_result(workspace, change, outcome, released=choices is not None))
        return
    if outcome.run and outcome.progress:
        console.info(f"{changes_made(outcome.progress, outcome.run)} in {in_words(outcome.progress.elapsed)}")
    else:
        ignored = console.ignored_text(outcome.plan.steps)
        console.info(f"{workspace.environment.name} is up to date ({len(outcome.plan.steps)} resources){ignored}")
    _show_next(workspace, outcome.plan, change.work, released=choices is not None)


def show_image_choices(choices: Mapping[str, ImageChoice]) -> None:
    """Show images that still have to be built or copied, and warnings about others."""
    for service, choice in choices.items():
        if choice.note:
            console.info(f"{service}: {choice.note}")


def show_taken_back(workspace: Workspace, steps: Sequence[Step], choices: Mapping[str, ImageChoice]) -> list[str]:
    """Show which releases by hand a plan takes back; return the sentences."""
    taken_back = list(releases_taken_back(workspace, steps, choices))
    for sentence in taken_back:
        console.info(sentence)
    return taken_back


def keep_images(workspace: Workspace, images: Mapping[str, str]) -> None:
    """Keep the images of a release from expiring, before it is rolled out."""
    keep_released(workspace.aws, workspace.environment, workspace.stack.cluster.name, images)


def changes_made(progress: Progress, run: Run) -> str:
    """What a run has done, such as "3 created, 1 updated"."""
    words = {Action.CREATE: "created", Action.ADOPT: "taken over", Action.UPDATE: "updated", Action.DELETE: "deleted"}
    counts = {word: sum(step.action is action for step in progress.steps) for action, word in words.items()}
    migrations = sum("migration" in noted for noted in run.record.steps)
    counts[f"migration{'s' * (migrations > 1)} applied"] = migrations
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "0 changes"


class _ApplyEverything(Change[Plan]):
    compares = True

    def __init__(
        self,
        workspace: Workspace,
        options: ChangeOptions,
        scope: PlanScope,
        *,
        out: Path | None,
        saved: SavedPlan | None,
    ) -> None:
        self._workspace = workspace
        self._options = options
        self._scope = scope
        self._out = out
        self._saved = saved
        self._choices = choices = scope.choices
        self._images = None if choices is None else {service: choice.uri for service, choice in choices.items()}
        self._migrations = [] if choices is None else migrations_of(workspace, scope.sql)
        self.work: Apply | None = None
        self._taken_back: list[str] = []
        self._under_way: list[str] = []
        self.shown: Plan | None = None
        """The plan that was shown last, for the result of a dry run."""

    def plan(self) -> Plan:
        with Progress() as progress:
            scope = self._scope
            plan = make_plan(
                self._workspace, images=self._images, adopt=scope.adopt, prune=scope.prune, on_wait=progress.watch
            )
        if self._saved:
            check_unmoved(self._saved, plan)
        self._under_way = releases_under_way(self._workspace, self._choices or ())
        return plan

    def show(self, plan: Plan) -> None:
        self.shown = plan
        if self._options.as_json:
            return
        _show(plan, dry_run=self._options.dry_run)
        self._taken_back = show_taken_back(self._workspace, plan.steps, self._choices or {})
        console.show_undeclared_environments(self._workspace.environment.name, plan.undeclared_environments)

    def preview(self, plan: Plan) -> None:
        if self._options.as_json:
            console.show_json(_result(self._workspace, self, None, released=self._choices is not None))
            if self._out:
                save_plan(self._workspace, plan, self._scope, self._out)
            return
        show_pending(self._workspace, plan, self._migrations)
        if self._makes_login(plan):
            console.data(
                f"+ role {login_role(self._workspace)} in the database, which the services log in as from then on"
            )
        if self._out:
            save_plan(self._workspace, plan, self._scope, self._out)

    def is_needed(self, plan: Plan) -> bool:
        # In this order: the database is read only if the plan alone does not decide.
        return (
            _differs(plan)
            or self._makes_login(plan)
            or bool(to_migrate(self._workspace, plan, self._migrations))
            or bool(self._under_way)
        )

    def _makes_login(self, plan: Plan) -> bool:
        """Whether the services get their own role in the database along with the migrations."""
        migrates = self._choices is not None and self._workspace.environment.migrations.on_up
        return migrates and login_is_due_in(self._workspace.stack, plan.outputs)

    def ask(self, plan: Plan) -> bool:
        _check_not_all_refused(plan)
        check_pages(self._workspace.environment)
        check_can_build(self._choices or {})
        if self._choices is not None and _differs(plan) and asks_by_name(self._workspace, self._options):
            show_sum(self._workspace, plan)
        # Migrations alone are applied by `up` on the laptop only, where nothing is asked.
        return _differs(plan) and confirm_change(
            self._workspace,
            f"Change {self._workspace.environment.name}{TAKING_BACK if self._taken_back else ''}?",
            self._options,
            undeclared_environments=plan.undeclared_environments,
        )

    def check(self, confirmed: Plan, plan: Plan, *, prompted: bool) -> None:
        if prompted:
            check_covered([*confirmed.steps, *confirmed.pruned], [*plan.steps, *plan.pruned])

    def apply(self, plan: Plan, run: Run, progress: Progress) -> None:
        work = self.work = Apply(self._workspace, self._images, plan, run.recent_writes, progress.watch)
        for step in work.infra():
            progress.done(step)
        if self._choices is not None:
            # Between the two: a new image may need the new schema, and the database has to exist for it.
            work.images = materialize(self._workspace.aws, self._choices, console.info)
            keep_images(self._workspace, work.images)
            migrate(self._workspace, self._migrations, run)
            if self._makes_login(plan):
                # The services' secrets and permissions are others now.
                work.look_again()
            self._release(work, plan, run, progress)
        for step in work.names():
            progress.done(step)
        # Last: what is pruned may still be in use until the release has replaced it.
        if self._scope.prune:
            for step in work.prune():
                progress.done(step)
        for step in work.narrow():
            progress.done(step)

    def _release(self, work: Apply, plan: Plan, run: Run, progress: Progress) -> None:
        """Roll out what runs the services, judged like `service deploy` does, without its bake."""
        changing = changing_services(self._workspace, plan.steps, work.images or {})
        watch = watch_releases(
            self._workspace, run, changing, work.outputs, bake=timedelta(), under_way=self._under_way
        )
        work.on_wait = watch.beside(progress.watch)

        def roll_out() -> None:
            for step in work.release():
                progress.done(step)

        watch.rolled_out(roll_out)
        watch.baked(progress.watch)

    def progress_resources(self, plan: Plan) -> Collection[Resource]:
        return slow_resources(self._workspace)


def _next_command(workspace: Workspace) -> str:
    """The command after a release: to migrate a database that never was, else to look at the result."""
    environment = workspace.environment
    if workspace.runs.migrated(workspace.stack.database.address):
        return f"orderops status --env {environment.name}"
    apply = f"orderops migrate apply --env {environment.name}"
    if environment.migrations.rehearsed:
        return f"orderops migrate rehearsal --env {environment.name}, then {apply}"
    return apply


def _show(plan: Plan, *, dry_run: bool) -> None:
    steps = [*plan.steps, *plan.pruned]
    creations = all(step.action is Action.CREATE for step in [*plan.changes, *plan.pruned])
    # A first apply creates 58 resources, whose settings are all in the environment file.
    if dry_run or not creations:
        console.show_plan(steps, plan.undeclared, whole=dry_run)
    if dry_run or plan.changes or plan.pruned:
        console.info(console.summary(steps, plan.undeclared))


def _differs(plan: Plan) -> bool:
    return bool(plan.changes) or any(step.action is Action.DELETE for step in plan.pruned)


def _check_not_all_refused(plan: Plan) -> None:
    """Raise the first error if no step of the plan can be taken: then there is nothing to ask."""
    if plan.changes and len(plan.refused_steps) == len(plan.changes):
        errors = {step.address: step.error for step in plan.refused_steps if step.error}
        address, error = next(iter(errors.items()))
        held = sum(bool(step.held_by) for step in plan.refused_steps)
        together = f"\n{counted(held, 'change')} that belong together with it are not made" if held else ""
        raise OrderopsError(f"{address}: {error.message}{together}", error.hint)


def _result(
    workspace: Workspace, change: _ApplyEverything, outcome: Outcome[Plan] | None, *, released: bool
) -> dict[str, object]:
    """The document of --json: the plan of a dry run, else what was done."""
    plan = outcome.plan if outcome else change.shown
    assert plan
    outputs = change.work.outputs if change.work else plan.outputs
    steps = [*plan.steps, *plan.pruned] if outcome is None else outcome.steps
    document = console.plan_json(workspace.environment.name, steps, plan.undeclared, plan.undeclared_environments)
    return console.result_json(
        {**document, "services": plan.services.to_json()},
        url=service_url(workspace.stack, outputs) if released and outcome else None,
        users=workspace.environment.demonstration,
        applied=outcome is not None and outcome.run is not None,
        elapsed=outcome.progress.elapsed if outcome and outcome.progress else None,
    )


def _removable(address: str) -> bool:
    """Whether `down --only` can delete it: a subscription goes with its topic, or by --prune."""
    return not address.startswith(f"{SnsSubscription.kind}/")


def _show_next(workspace: Workspace, plan: Plan, work: Apply | None, *, released: bool) -> None:
    """Show what was kept, the URLs and the next step."""
    name = workspace.environment.name
    outputs = work.outputs if work else plan.outputs
    for address, pending in outputs.pending.items():
        console.show_pending(address, pending)
    kept = [step for step in plan.pruned if step.action is Action.KEEP]
    for step in kept:
        console.info(f"kept: {step.address} ({step.note})")
    if any(_removable(step.address) for step in kept):
        console.info(f"to delete one: orderops down --env {name} --only ADDRESS --confirm NAME")
    if plan.undeclared:
        for owned in plan.undeclared:
            console.info(f"undeclared: {owned.address}")
        one = f"; to delete one: orderops down --only ADDRESS --env {name}"
        console.info(
            f"to delete them: --prune{one if any(_removable(owned.address) for owned in plan.undeclared) else ''}"
        )
    if released:
        url = service_url(workspace.stack, outputs)
        console.data(f"{url}/")
        if workspace.environment.demonstration:
            console.data(f"{url}/users")
        console.info(f"next: {_next_command(workspace)}")
    else:
        console.info(f"next: orderops up --env {name}, or orderops infra outputs --env {name}")
