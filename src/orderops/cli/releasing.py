"""Rolling out images before the operator's eyes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orderops import terminal
from orderops.cli.carrying import say_choices
from orderops.cli.opening import consent, with_usual_durations
from orderops.engine import Action
from orderops.release import Choice, ready
from orderops.site import Release, Site
from orderops.stack import load_balancer_url
from orderops.terminal_progress import Progress


def deploy_services(
    site: Site, choices: Mapping[str, Choice], *, dry_run: bool, yes: bool, confirm: Sequence[str]
) -> None:
    """Show what a release changes, ask, roll it out, and wait until it serves."""
    say_choices(choices)
    release = Release(site)
    planned = list(release.plan({service: choice.uri for service, choice in choices.items()}))
    changes = [step for step in planned if step.action is not Action.NO_OP]
    if dry_run or changes:
        terminal.show_plan(planned)
        terminal.say(terminal.summary(planned))
    if dry_run:
        return
    if changes:
        consent(site, f"Release to {site.environment.name}?", yes=yes, confirm=confirm)
        images = ready(site.aws, choices, terminal.say)
        with Progress(with_usual_durations(site)) as progress:
            for step in release.roll_out(images, watch=progress.watch):
                progress.done(step)
        terminal.say(f"released in {terminal.short(progress.elapsed)}")
    else:
        terminal.say("0 changes: every service runs what was asked")
    terminal.tell(f"{load_balancer_url(site.stack, release.outputs)}/")
    terminal.say(f"next: orderops status --env {site.environment.name}")
