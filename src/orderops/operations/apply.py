"""Carrying out a plan before the operator's eyes: shown, agreed to, done, summed up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orderops.engine.reconcile import Action
from orderops.errors import OrderopsError, Unfinished
from orderops.images.resolve import Choice, ready
from orderops.infra.stack import KINDS, load_balancer_url
from orderops.infra.workspace import Apply, Site, TakeDown, left_behind, make_plan, take_down
from orderops.operations.locked import Lease, changing, check_as_agreed, look_at_lease
from orderops.operations.migrate import migrate, migrations_of, show_pending, to_migrate
from orderops.operations.workspace import Manner, consent, with_usual_durations
from orderops.ui import console as terminal
from orderops.ui.progress import Progress

if TYPE_CHECKING:
    from orderops.infra.workspace import Plan
    from orderops.runs.run import Run


def apply_site(
    site: Site,
    manner: Manner,
    *,
    choices: Mapping[str, Choice] | None,
    adopt: Sequence[str],
    prune: bool,
    sql: Path | None = None,
) -> None:
    """Plan, ask, apply; with images the release and the migrations too. Says what was done and what comes next."""
    images = None if choices is None else {service: choice.uri for service, choice in choices.items()}
    migrations = [] if choices is None else migrations_of(site, sql)
    say_choices(choices or {})
    lease = look_at_lease(site)

    def plan() -> Plan:
        with Progress() as looking:
            return make_plan(site, images=images, adopt=adopt, prune=prune, watch=looking.watch)

    planned = plan()
    _show(planned, dry_run=manner.dry_run)
    terminal.say_strangers(site.environment.name, planned.strangers)
    if manner.dry_run:
        show_pending(site, planned, migrations)
        return
    work: Apply | None = None
    differs = _something_to_do(planned)
    if differs or to_migrate(site, planned, migrations):
        _refuse_when_all_is_refused(planned)
        asked = differs and consent(site, f"Change {site.environment.name}?", manner, strangers=planned.strangers)
        with changing(site, manner, lease) as run:
            if asked or not run.undisturbed:
                agreed, planned = planned, plan()
                if asked:
                    check_as_agreed([*agreed.steps, *agreed.pruned], [*planned.steps, *planned.pruned])
            work = Apply(site, images, adopt, planned.survey, run.sightings)
            with Progress(with_usual_durations(site), noted=run.done) as progress:
                work.watch = progress.watch
                for step in work.infra():
                    progress.done(step)
                if choices is not None:
                    work.images = ready(site.aws, choices, terminal.say)
                    migrate(site, migrations, run)
                    for step in work.release():
                        progress.done(step)
                if prune:
                    for step in work.prune():
                        progress.done(step)
        terminal.say(f"{_done(progress, run)} in {terminal.short(progress.elapsed)}")
    else:
        terminal.say(f"0 changes: {site.environment.name} is as declared ({len(planned.steps)} resources)")
    _leave(site, planned, work, released=images is not None)


def say_choices(choices: Mapping[str, Choice]) -> None:
    """What is still to be built or copied, and what else is worth knowing of an image."""
    for service, choice in choices.items():
        if choice.note:
            terminal.say(f"{service}: {choice.note}")


def take_site_down(site: Site, manner: Manner, *, only: Sequence[str] = (), infra_only: bool = False) -> None:
    """Show what goes and what stays, ask, remove; ends with what was kept and how to remove that too."""
    lease = look_at_lease(site)
    decided = take_down(site, only=only, named=manner.confirm, infra_only=infra_only)
    if manner.dry_run or not manner.yes:
        terminal.show_plan(list(decided.carry_out(dry_run=True)))
    if manner.dry_run:
        terminal.say(f"{len(decided.going)} to delete, {len(decided.kept)} to keep")
        return
    if not manner.yes:
        decided = _ask_for_names(decided)
    if decided.going:
        _remove(site, manner, lease, decided, only=only, infra_only=infra_only)
    else:
        terminal.say(f"nothing to remove in {site.environment.name}")
        _say_kept(site, decided, only)


def _ask_for_names(decided: TakeDown) -> TakeDown:
    """After the plan was shown: what holds data goes along when its name is typed now."""
    typed = [
        address
        for address, what in decided.unnamed.items()
        if terminal.confirm_name(
            address.partition("/")[2], f"{address} holds {what}", given=(), yes="delete that too", no="keep it"
        )
    ]
    more = decided.naming(typed)
    if typed:
        steps = more.carry_out(dry_run=True)
        terminal.show_plan([step for step in steps if step.action is Action.DELETE and step.address in decided.kept])
    return more


def _remove(
    site: Site, manner: Manner, lease: Lease, decided: TakeDown, *, only: Sequence[str], infra_only: bool
) -> None:
    asked = consent(site, f"Delete {len(decided.going)} resources of {site.environment.name}?", manner)
    with changing(site, manner, lease) as run:
        if asked or not run.undisturbed:
            agreed = decided
            decided = take_down(site, only=only, named=agreed.named, infra_only=infra_only)
            if asked:
                check_as_agreed(agreed.carry_out(dry_run=True), decided.carry_out(dry_run=True))
        with Progress(noted=run.done) as progress:
            try:
                for step in decided.carry_out(watch=progress.watch):
                    progress.done(step)
            except Unfinished:
                _say_kept(site, decided, only)
                raise
    terminal.say(f"{_done(progress, run)} in {terminal.short(progress.elapsed)}")
    _say_kept(site, decided, only)
    terminal.show_left(left_behind(site, {owned.kind: None for owned in decided.going} if only else KINDS))


def _show(planned: Plan, *, dry_run: bool) -> None:
    steps = [*planned.steps, *planned.pruned]
    creations = all(step.action is Action.CREATE for step in [*planned.changes, *planned.pruned])
    if dry_run or not creations:
        terminal.show_plan(steps, planned.unclaimed, whole=dry_run)
    if dry_run or planned.changes or planned.pruned:
        terminal.say(terminal.summary(steps, planned.unclaimed))


def _something_to_do(planned: Plan) -> bool:
    return bool(planned.changes) or any(step.action is Action.DELETE for step in planned.pruned)


def _refuse_when_all_is_refused(planned: Plan) -> None:
    if planned.changes and len(planned.refused) == len(planned.changes):
        first = planned.refused[0]
        assert first.refusal
        raise OrderopsError(f"{first.address}: {first.refusal.message}", first.refusal.hint)


def _done(progress: Progress, run: Run) -> str:
    words = {Action.CREATE: "created", Action.ADOPT: "taken over", Action.UPDATE: "updated", Action.DELETE: "deleted"}
    counts = {word: sum(step.action is action for step in progress.steps) for action, word in words.items()}
    migrations = sum("migration" in noted for noted in run.record.steps)
    counts[f"migration{'s' * (migrations > 1)} applied"] = migrations
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "0 changes"


def _leave(site: Site, planned: Plan, work: Apply | None, *, released: bool) -> None:
    """The URLs and the next step."""
    name = site.environment.name
    outputs = work.outputs if work else planned.outputs
    kept = [step for step in planned.pruned if step.action is Action.KEEP]
    for step in kept:
        terminal.say(f"kept: {step.address} ({step.note})")
    if kept:
        terminal.say(f"remove it by itself: orderops down --env {name} --only ADDRESS --confirm NAME")
    if planned.unclaimed:
        for owned in planned.unclaimed:
            terminal.say(f"unclaimed: {owned.address}")
        terminal.say(f"remove what nobody declares: --prune, or by itself: orderops down --only ADDRESS --env {name}")
    if released:
        url = load_balancer_url(site.stack, outputs)
        terminal.tell(f"{url}/")
        terminal.tell(f"{url}/users")
        terminal.say(f"next: orderops status --env {name}")
    else:
        terminal.say(f"next: orderops up --env {name}, or orderops infra outputs --env {name}")


def _say_kept(site: Site, decided: TakeDown, only: Sequence[str]) -> None:
    holding = {address: why for address, why in decided.kept.items() if why.startswith("holds")}
    for address, why in sorted((holding or decided.kept).items()):
        terminal.say(f"kept: {address} ({why})")
    if holding and len(decided.kept) > len(holding):
        terminal.say(f"kept: {len(decided.kept) - len(holding)} more, needed by what holds data")
    if holding:
        words = [f"--only {address}" for address in only]
        words += [f"--confirm {address.partition('/')[2]}" for address in sorted(holding)]
        terminal.say(f"remove these too: orderops down --env {site.environment.name} {' '.join(words)}")
