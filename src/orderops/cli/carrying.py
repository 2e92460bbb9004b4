"""Carrying out a plan before the operator's eyes: shown, agreed to, done, summed up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orderops import terminal
from orderops.cli.migrating import migrate, migrations_of, show_pending
from orderops.cli.opening import consent, with_usual_durations
from orderops.engine import Action
from orderops.errors import OrderopsError
from orderops.release import Choice, ready
from orderops.site import Apply, Site, TakeDown, make_plan, take_down
from orderops.stack import load_balancer_url
from orderops.terminal_progress import Progress

if TYPE_CHECKING:
    from orderops.site import Plan


def apply_site(
    site: Site,
    *,
    choices: Mapping[str, Choice] | None,
    dry_run: bool,
    yes: bool,
    confirm: Sequence[str],
    adopt: Sequence[str],
    prune: bool,
    sql: Path | None = None,
) -> None:
    """Plan, ask, apply; with images the release and the migrations too. Says what was done and what comes next."""
    images = None if choices is None else {service: choice.uri for service, choice in choices.items()}
    migrations = [] if choices is None else migrations_of(site, sql)
    say_choices(choices or {})
    with Progress() as looking:
        planned = make_plan(site, images=images, adopt=adopt, prune=prune, watch=looking.watch)
    _show(planned, dry_run=dry_run)
    if dry_run:
        show_pending(site, planned, migrations)
        return
    run: Apply | None = None
    if _something_to_do(planned):
        _refuse_when_all_is_refused(planned)
        asked = consent(site, f"Change {site.environment.name}?", yes=yes, confirm=confirm)
        run = Apply(site, images, adopt, None if asked else planned.survey)
        with Progress(with_usual_durations(site)) as progress:
            run.watch = progress.watch
            for step in run.infra():
                progress.done(step)
            if choices is not None:
                run.images = ready(site.aws, choices, terminal.say)
                migrate(site, migrations)
                for step in run.release():
                    progress.done(step)
            if prune:
                for step in run.prune():
                    if step.action is not Action.KEEP:
                        progress.done(step)
        terminal.say(f"{_done(progress)} in {terminal.short(progress.elapsed)}")
    else:
        applied = migrate(site, migrations)
        changes = f"{applied} migration{'s' * (applied > 1)} applied" if applied else "0 changes"
        terminal.say(f"{changes}: {site.environment.name} is as declared ({len(planned.steps)} resources)")
    _leave(site, planned, run, released=images is not None)


def say_choices(choices: Mapping[str, Choice]) -> None:
    """What is still to be built or copied, and what else is worth knowing of an image."""
    for service, choice in choices.items():
        if choice.note:
            terminal.say(f"{service}: {choice.note}")


def take_site_down(
    site: Site, *, only: Sequence[str], dry_run: bool, yes: bool, confirm: Sequence[str], infra_only: bool
) -> None:
    """Show what goes and what stays, ask, remove; ends with what was kept and how to remove that too."""

    def named(address: str, what: str) -> bool:
        name = address.partition("/")[2]
        if address in confirm or name in confirm:
            return True
        if dry_run or yes:
            return False
        return terminal.confirm_name(name, f"{address} holds {what}", given=(), yes="delete that too", no="keep it")

    decided = take_down(site, only=only, named=named, infra_only=infra_only)
    going = [owned for owned in decided.going if owned.address not in decided.kept]
    if dry_run or not yes:
        terminal.show_plan(list(decided.carry_out(dry_run=True)))
    if dry_run:
        terminal.say(f"{len(going)} to delete, {len(decided.kept)} to keep")
        return
    if not going:
        terminal.say(f"nothing to remove in {site.environment.name}")
    else:
        consent(site, f"Delete {len(going)} resources of {site.environment.name}?", yes=yes, confirm=confirm)
        with Progress() as progress:
            for step in decided.carry_out(watch=progress.watch):
                if step.action is not Action.KEEP:
                    progress.done(step)
        terminal.say(f"{_done(progress)} in {terminal.short(progress.elapsed)}")
    _say_kept(site, decided, only)


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


def _done(progress: Progress) -> str:
    words = {Action.CREATE: "created", Action.ADOPT: "taken over", Action.UPDATE: "updated", Action.DELETE: "deleted"}
    counts = {word: sum(step.action is action for step in progress.steps) for action, word in words.items()}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "0 changes"


def _leave(site: Site, planned: Plan, run: Apply | None, *, released: bool) -> None:
    """The URLs and the next step."""
    name = site.environment.name
    outputs = run.outputs if run else planned.outputs
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
