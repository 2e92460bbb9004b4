"""Rolling out images before the operator's eyes."""

from __future__ import annotations

from collections.abc import Mapping

from orderops.engine.reconcile import Action
from orderops.images.resolve import Choice, ready
from orderops.infra.stack import load_balancer_url
from orderops.infra.workspace import Release, Site
from orderops.operations.apply import say_choices
from orderops.operations.locked import changing, check_as_agreed, look_at_lease
from orderops.operations.workspace import Manner, consent, with_usual_durations
from orderops.ui import console as terminal
from orderops.ui.progress import Progress


def deploy_services(site: Site, manner: Manner, choices: Mapping[str, Choice]) -> None:
    """Show what a release changes, ask, roll it out, and wait until it serves."""
    say_choices(choices)
    uris = {service: choice.uri for service, choice in choices.items()}
    lease = look_at_lease(site)
    release = Release(site)
    planned = list(release.plan(uris))
    changes = [step for step in planned if step.action is not Action.NO_OP]
    if manner.dry_run or changes:
        terminal.show_plan(planned)
        terminal.say(terminal.summary(planned))
    if manner.dry_run:
        return
    if changes:
        asked = consent(site, f"Release to {site.environment.name}?", manner)
        with changing(site, manner, lease) as run:
            if asked or not run.undisturbed:
                release = Release(site)
                if asked:
                    check_as_agreed(planned, release.plan(uris))
            images = ready(site.aws, choices, terminal.say)
            with Progress(with_usual_durations(site), noted=run.done) as progress:
                for step in release.roll_out(images, sightings=run.sightings, watch=progress.watch):
                    progress.done(step)
        terminal.say(f"released in {terminal.short(progress.elapsed)}")
    else:
        terminal.say("0 changes: every service runs what was asked")
    terminal.tell(f"{load_balancer_url(site.stack, release.outputs)}/")
    terminal.say(f"next: orderops status --env {site.environment.name}")
