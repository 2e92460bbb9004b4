"""Carrying out a plan before the operator's eyes: shown, agreed to, done, summed up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orderops.engine.step import Action
from orderops.errors import OrderopsError, Unfinished
from orderops.images.resolve import ImageChoice, materialize
from orderops.infra.apply import Apply
from orderops.infra.destroy import DestroyPlan, leftovers_of, plan_destroy
from orderops.infra.plan import make_plan
from orderops.infra.stack import KINDS, load_balancer_url
from orderops.infra.workspace import Workspace
from orderops.operations.locked import LeaseReading, check_as_agreed, locked_run, read_lease
from orderops.operations.migrate import migrate, migrations_of, show_pending, to_migrate
from orderops.operations.workspace import ChangeOptions, consent, with_usual_durations
from orderops.text.durations import in_words
from orderops.ui import console
from orderops.ui.progress import Progress

if TYPE_CHECKING:
    from orderops.infra.plan import Plan
    from orderops.runs.run import Run


def apply_everything(
    workspace: Workspace,
    manner: ChangeOptions,
    *,
    choices: Mapping[str, ImageChoice] | None,
    adopt: Sequence[str],
    prune: bool,
    sql: Path | None = None,
) -> None:
    """Plan, ask, apply; with images the release and the migrations too. Says what was done and what comes next."""
    images = None if choices is None else {service: choice.uri for service, choice in choices.items()}
    migrations = [] if choices is None else migrations_of(workspace, sql)
    show_image_choices(choices or {})
    lease = read_lease(workspace)

    def plan() -> Plan:
        with Progress() as looking:
            return make_plan(workspace, images=images, adopt=adopt, prune=prune, on_wait=looking.watch)

    planned = plan()
    _show(planned, dry_run=manner.dry_run)
    console.show_undeclared_environments(workspace.environment.name, planned.undeclared_environments)
    if manner.dry_run:
        show_pending(workspace, planned, migrations)
        return
    work: Apply | None = None
    differs = _something_to_do(planned)
    if differs or to_migrate(workspace, planned, migrations):
        _refuse_when_all_is_refused(planned)
        asked = differs and consent(
            workspace, f"Change {workspace.environment.name}?", manner, strangers=planned.undeclared_environments
        )
        with locked_run(workspace, manner, lease) as run:
            if asked or not run.undisturbed:
                agreed, planned = planned, plan()
                if asked:
                    check_as_agreed([*agreed.steps, *agreed.pruned], [*planned.steps, *planned.pruned])
            work = Apply(workspace, images, adopt, planned.inventory, run.recent_writes)
            with Progress(with_usual_durations(workspace), noted=run.done) as progress:
                work.on_wait = progress.watch
                for step in work.infra():
                    progress.done(step)
                if choices is not None:
                    work.images = materialize(workspace.aws, choices, console.info)
                    migrate(workspace, migrations, run)
                    for step in work.release():
                        progress.done(step)
                if prune:
                    for step in work.prune():
                        progress.done(step)
        console.info(f"{_done(progress, run)} in {in_words(progress.elapsed)}")
    else:
        console.info(f"0 changes: {workspace.environment.name} is as declared ({len(planned.steps)} resources)")
    _leave(workspace, planned, work, released=images is not None)


def show_image_choices(choices: Mapping[str, ImageChoice]) -> None:
    """What is still to be built or copied, and what else is worth knowing of an image."""
    for service, choice in choices.items():
        if choice.note:
            console.info(f"{service}: {choice.note}")


def destroy_everything(
    workspace: Workspace, manner: ChangeOptions, *, only: Sequence[str] = (), infra_only: bool = False
) -> None:
    """Show what goes and what stays, ask, remove; ends with what was kept and how to remove that too."""
    lease = read_lease(workspace)
    decided = plan_destroy(workspace, only=only, named=manner.confirm, infra_only=infra_only)
    if manner.dry_run or not manner.yes:
        console.show_plan(list(decided.run(dry_run=True)))
    if manner.dry_run:
        console.info(f"{len(decided.removed)} to delete, {len(decided.kept)} to keep")
        return
    if not manner.yes:
        decided = _ask_for_names(decided)
    if decided.removed:
        _remove(workspace, manner, lease, decided, only=only, infra_only=infra_only)
    else:
        console.info(f"nothing to remove in {workspace.environment.name}")
        _say_kept(workspace, decided, only)


def _ask_for_names(decided: DestroyPlan) -> DestroyPlan:
    """After the plan was shown: what holds data goes along when its name is typed now."""
    typed = [
        address
        for address, what in decided.unnamed.items()
        if console.confirm_name(
            address.partition("/")[2], f"{address} holds {what}", given=(), yes="delete that too", no="keep it"
        )
    ]
    more = decided.with_named(typed)
    if typed:
        steps = more.run(dry_run=True)
        console.show_plan([step for step in steps if step.action is Action.DELETE and step.address in decided.kept])
    return more


def _remove(
    workspace: Workspace,
    manner: ChangeOptions,
    lease: LeaseReading,
    decided: DestroyPlan,
    *,
    only: Sequence[str],
    infra_only: bool,
) -> None:
    asked = consent(workspace, f"Delete {len(decided.removed)} resources of {workspace.environment.name}?", manner)
    with locked_run(workspace, manner, lease) as run:
        if asked or not run.undisturbed:
            agreed = decided
            decided = plan_destroy(workspace, only=only, named=agreed.named, infra_only=infra_only)
            if asked:
                check_as_agreed(agreed.run(dry_run=True), decided.run(dry_run=True))
        with Progress(noted=run.done) as progress:
            try:
                for step in decided.run(on_wait=progress.watch):
                    progress.done(step)
            except Unfinished:
                _say_kept(workspace, decided, only)
                raise
    console.info(f"{_done(progress, run)} in {in_words(progress.elapsed)}")
    _say_kept(workspace, decided, only)
    console.show_leftovers(leftovers_of(workspace, {owned.kind: None for owned in decided.removed} if only else KINDS))


def _show(planned: Plan, *, dry_run: bool) -> None:
    steps = [*planned.steps, *planned.pruned]
    creations = all(step.action is Action.CREATE for step in [*planned.changes, *planned.pruned])
    if dry_run or not creations:
        console.show_plan(steps, planned.undeclared, whole=dry_run)
    if dry_run or planned.changes or planned.pruned:
        console.info(console.summary(steps, planned.undeclared))


def _something_to_do(planned: Plan) -> bool:
    return bool(planned.changes) or any(step.action is Action.DELETE for step in planned.pruned)


def _refuse_when_all_is_refused(planned: Plan) -> None:
    if planned.changes and len(planned.refused_steps) == len(planned.changes):
        first = planned.refused_steps[0]
        assert first.error
        raise OrderopsError(f"{first.address}: {first.error.message}", first.error.hint)


def _done(progress: Progress, run: Run) -> str:
    words = {Action.CREATE: "created", Action.ADOPT: "taken over", Action.UPDATE: "updated", Action.DELETE: "deleted"}
    counts = {word: sum(step.action is action for step in progress.steps) for action, word in words.items()}
    migrations = sum("migration" in noted for noted in run.record.steps)
    counts[f"migration{'s' * (migrations > 1)} applied"] = migrations
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "0 changes"


def _leave(workspace: Workspace, planned: Plan, work: Apply | None, *, released: bool) -> None:
    """The URLs and the next step."""
    name = workspace.environment.name
    outputs = work.outputs if work else planned.outputs
    kept = [step for step in planned.pruned if step.action is Action.KEEP]
    for step in kept:
        console.info(f"kept: {step.address} ({step.note})")
    if kept:
        console.info(f"remove it by itself: orderops down --env {name} --only ADDRESS --confirm NAME")
    if planned.undeclared:
        for owned in planned.undeclared:
            console.info(f"unclaimed: {owned.address}")
        console.info(f"remove what nobody declares: --prune, or by itself: orderops down --only ADDRESS --env {name}")
    if released:
        url = load_balancer_url(workspace.stack, outputs)
        console.data(f"{url}/")
        console.data(f"{url}/users")
        console.info(f"next: orderops status --env {name}")
    else:
        console.info(f"next: orderops up --env {name}, or orderops infra outputs --env {name}")


def _say_kept(workspace: Workspace, decided: DestroyPlan, only: Sequence[str]) -> None:
    holding = {address: why for address, why in decided.kept.items() if why.startswith("holds")}
    for address, why in sorted((holding or decided.kept).items()):
        console.info(f"kept: {address} ({why})")
    if holding and len(decided.kept) > len(holding):
        console.info(f"kept: {len(decided.kept) - len(holding)} more, needed by what holds data")
    if holding:
        words = [f"--only {address}" for address in only]
        words += [f"--confirm {address.partition('/')[2]}" for address in sorted(holding)]
        console.info(f"remove these too: orderops down --env {workspace.environment.name} {' '.join(words)}")
