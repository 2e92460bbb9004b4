"""Restores, switches and removals before the operator's eyes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from orderops.database.connection import Login, connected, login_at, way_in
from orderops.engine.destroy import destroy
from orderops.engine.inventory import Survey
from orderops.engine.resource import State
from orderops.errors import OrderopsError
from orderops.infra.workspace import Site
from orderops.migrations.ledger import table as ledger
from orderops.migrations.ledger.serialize import from_json
from orderops.migrations.ledger.table import Standing
from orderops.operations.locked import changing, look_at_lease
from orderops.operations.remote import send
from orderops.operations.workspace import Manner, agree, open_environment, with_usual_durations
from orderops.remote.job import DATABASE, Door, Outcome, inside
from orderops.remote.job import run as errand_run
from orderops.remote.tunnel import tunnel_of
from orderops.resources.rds_description import DRILL
from orderops.resources.rds_instance import NO_SNAPSHOT, SNAPSHOT, RdsInstance
from orderops.resources.rds_restored_instance import CARRIED, RdsRestored
from orderops.restore.endpoints import door, start_of
from orderops.restore.instances import Copy, look
from orderops.restore.point_in_time import Restore, Target, target, told
from orderops.restore.points import Point, points
from orderops.restore.timestamps import Asked, both, utc
from orderops.restore.window import Window, window_of
from orderops.runs.run import Run
from orderops.ui import console as terminal
from orderops.ui.progress import Progress

LIVE, RESTORED = "live", "restored"
"""The names of the doors of a pair, in an errand."""


@dataclass(frozen=True)
class Pair:
    """The live database and a copy of it, each with what opens it."""

    live: Login
    restored: Login
    live_name: str
    name: str
    words: str
    """What leads a command to the copy again."""


@contextmanager
def pair(env: str, environments: Path | None, name: str | None) -> Iterator[Pair]:
    """Both databases of a comparison; the copy may be left out where there is only one."""
    if sent := inside():
        names = sent.errand.settings
        words = f"{names[RESTORED]} --env {sent.errand.environment}"
        yield Pair(sent.login(LIVE), sent.login(RESTORED), names[LIVE], names[RESTORED], words)
        return
    site = open_environment(env, environments)
    primary, copy = both_of(site, name)
    with opened(site, primary, copy) as (live, restored):
        yield Pair(live, restored, primary.name, copy.name, f"{copy.name} --env {env}")


def both_of(site: Site, name: str | None) -> tuple[Copy, Copy]:
    """The primary, and what it is to be compared with."""
    copies = look(site.aws, site.stack)
    primary, copy = copies.the_primary(), copies.named(name, what="compare")
    if copy.name == primary.name:
        raise OrderopsError(
            f"{copy.name} is the primary, and would be compared with itself",
            f"what else there is: orderops restore list --env {site.environment.name}",
        )
    return primary, copy


def sent_pair(
    site: Site, words: Sequence[str], primary: Copy, copy: Copy, data: Callable[[str], object] | None = None
) -> Outcome:
    """Carry out a command on both databases in a task, where they can be reached."""
    names = {LIVE: primary.name, RESTORED: copy.name}
    return send(site, words, doors=_doors(site, primary, copy), settings=names, data=data)


def compared_by_task(site: Site, primary: Copy, copy: Copy) -> dict[str, Any]:
    """A comparison that a task made, as machines are told; that something differs is no failure of it."""
    with Progress() as progress:
        ended = errand_run(
            site,
            ["restore", "compare"],
            doors=_doors(site, primary, copy),
            settings={LIVE: primary.name, RESTORED: copy.name},
            heard=lambda _: None,
            waiting=progress.watch,
        )
    if ended.result is None:
        ended.check()
        raise OrderopsError("the comparison ended without a result", "the same command makes another one")
    return ended.result


def _doors(site: Site, primary: Copy, copy: Copy) -> dict[str, Door]:
    return {LIVE: Door(**door(site.stack, primary)), RESTORED: Door(**door(site.stack, copy))}


@contextmanager
def opened(site: Site, *copies: Copy) -> Iterator[list[Login]]:
    """What opens each of these instances, for as long as the way to them is open."""
    name, access = site.environment.name, site.environment.database.access
    with ExitStack() as ways:
        yield [
            ways.enter_context(
                way_in(
                    partial(login_at, site.aws, door(site.stack, copy)),
                    access=access,
                    name=name,
                    tunnel=tunnel_of(site),
                )
            )
            for copy in copies
        ]


def ledger_of(site: Site, copy: Copy) -> dict[int, Standing]:
    """What was done to an instance's database, by whichever way that is reached."""
    if site.environment.database.access != "task":
        with opened(site, copy) as (login,), connected(login, name="orderops restore looks") as connection:
            return ledger.read(connection)
    with Progress() as progress:
        ended = errand_run(
            site,
            ["migrate", "history", "--json"],
            doors={DATABASE: Door(**door(site.stack, copy))},
            heard=lambda _: None,
            waiting=progress.watch,
        )
    ended.check()
    return from_json((ended.result or {}).get("ledger", ()))


def restore(site: Site, manner: Manner, asked: Asked, *, source: str | None, as_json: bool = False) -> None:
    """Show what would be made, ask, make it, and say what comes next."""
    lease = look_at_lease(site, site.copying)
    began = datetime.now(UTC)

    def decide(since: datetime | None = None) -> Target:
        return target(site.aws, site.stack, asked, source=source, start_of=partial(when_begun, site), since=since)

    goal = decide()
    if goal.found and goal.found.ready:
        terminal.say(f"{goal.name} is there already, as of {both(goal.moment)}")
        _leave(site, goal, as_json)
        return
    _show(goal)
    work = Restore(site.aws, site.stack, goal)
    if manner.dry_run:
        terminal.show_plan(work.plan())
        return
    agree(site, f"Restore to {goal.name}?", manner)
    with changing(site, manner, lease, site.copying) as run:
        if not run.undisturbed:
            work.target = goal = decide(began)
        work.sightings = run.sightings
        with Progress(with_usual(site, [goal.resource]), noted=run.done) as progress:
            work.watch = progress.watch
            for step in work.carry_out():
                progress.done(step)
        run.record.note(action="restored", name=goal.name, source=goal.source.name, moment=utc(goal.moment))
    terminal.say(f"restored in {terminal.short(progress.elapsed)}: {len(CARRIED)} settings are as its source has them")
    _leave(site, goal, as_json)


def when_begun(site: Site, version: int) -> datetime:
    """When a migration began that is in the database."""
    primary = look(site.aws, site.stack).the_primary()
    return start_of(ledger_of(site, primary), version, f"--env {site.environment.name}")


def copied(site: Site, run: Run, asked: Asked, role: str, *, instance_class: str = "") -> Copy:
    """A copy of the primary that is thrown away after it has served; one that was cut is taken up."""
    goal = target(
        site.aws, site.stack, asked, role=role, instance_class=instance_class, start_of=partial(when_begun, site)
    )
    work = Restore(site.aws, site.stack, goal, run.sightings)
    with Progress(with_usual(site, [goal.resource]), noted=run.done) as progress:
        work.watch = progress.watch
        for step in work.carry_out():
            progress.done(step)
    return work.look()


@contextmanager
def thrown_away(site: Site, run: Run, asked: Asked, role: str, *, instance_class: str = "") -> Iterator[Copy]:
    """A copy for as long as it is needed, after what killed runs left of such; it goes however that ends."""
    leftovers_removed(site, run, asked, role)
    copy = copied(site, run, asked, role, instance_class=instance_class)
    try:
        yield copy
    finally:
        with Progress(noted=run.done) as progress:
            remove(site, copy, progress, snapshot=False)


def leftovers_removed(site: Site, run: Run, asked: Asked, role: str) -> None:
    """Remove the copies that killed runs left; the one that is still being made and was meant is taken up instead."""
    wanted = ""
    if role != DRILL:  # which is measured from its beginning
        with suppress(OrderopsError):  # what is in the way goes now; what cannot be had is refused when it is asked for
            wanted = target(site.aws, site.stack, asked, role=role, start_of=partial(when_begun, site)).name
    with Progress(noted=run.done) as progress:
        for copy in look(site.aws, site.stack).beside:
            of_use = copy.name == wanted and not copy.ended and copy.live.state is not State.FAILED
            if copy.role == role and not of_use:
                terminal.say(f"{copy.name} was left by a run that was cut: it goes first")
                remove(site, copy, progress, snapshot=False)


def remove(site: Site, copy: Copy, progress: Progress, *, snapshot: bool) -> None:
    """Delete an instance beside the primary, and come back when it is gone."""
    if not snapshot:
        RdsInstance.retag(site.aws, copy.live, {SNAPSHOT: NO_SNAPSHOT})
    looked = Survey(site.aws, site.environment.name, [RdsInstance])
    for step in destroy([each for each in looked.owned() if each.live.id == copy.name], looked, watch=progress.watch):
        progress.done(step)


def points_of(site: Site, source: str | None, *, last: int) -> tuple[str, Window, list[Point]]:
    """Which instance, its window, and what was done when."""
    copies = look(site.aws, site.stack)
    origin = copies.named(source, what="restore") if source else copies.the_primary()
    window = window_of(site.aws, origin.live)
    try:
        standings = ledger_of(site, origin)
    except OrderopsError as error:
        terminal.say(f"the ledger cannot be read: {error.message}")
        standings = {}
    return origin.name, window, points(window, standings, site.runs.told(last=last))


def with_usual(site: Site, resources: list[RdsRestored]) -> list[RdsRestored]:
    """The copies for which it helps to know how long they take on AWS."""
    return resources if with_usual_durations(site) else []


def _show(goal: Target) -> None:
    window = goal.window
    again = f", begun {goal.found.tag('orderops:begun')} and gone on with" if goal.found else ""
    terminal.say(f"restore {goal.source.name}{again}")
    terminal.say(f"  to     {told(goal.moment, goal.asked)}")
    terminal.say(f"  window {both(window.earliest)}")
    terminal.say(f"      to {both(window.latest)}")
    terminal.say(f"  as     {goal.name}")
    terminal.say("         beside it: the original stays as it is")


def _leave(site: Site, goal: Target, as_json: bool) -> None:
    env = site.environment.name
    copy = look(site.aws, site.stack).named(goal.name, what="restore")
    if as_json:
        terminal.show_json({**copy.told(), "window": goal.window.told})
        return
    terminal.tell(goal.name)
    terminal.say(f"next: orderops restore compare {goal.name} --env {env}")
    terminal.say(f"then: orderops restore promote {goal.name} --env {env}")
