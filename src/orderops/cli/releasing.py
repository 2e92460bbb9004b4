"""Which image each service runs, and rolling it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orderops import terminal
from orderops.cli.opening import consent
from orderops.engine import Action, reconcile
from orderops.errors import OrderopsError
from orderops.resource import Outputs
from orderops.site import Site
from orderops.stack import load_balancer_url
from orderops.terminal_progress import Progress


def images_for(site: Site, given: Mapping[str, str], *, dry_run: bool) -> dict[str, str]:
    """The image of each service: given, else declared."""
    declared = {key: service.image for key, service in site.environment.services.items() if service.image}
    return {**declared, **given}


def build_image(site: Site, service: str) -> str:
    """Build and push."""
    raise OrderopsError("not yet")


def deploy_services(
    site: Site, only: Sequence[str], images: Mapping[str, str], *, dry_run: bool, yes: bool, confirm: Sequence[str]
) -> None:
    """Roll out the images of these services on the infrastructure that is there."""
    outputs = Outputs()
    looked = site.survey()
    for _ in reconcile(site.stack.infra, looked, outputs=outputs, dry_run=True):
        pass
    names = {site.environment.service_name(service) for service in only}
    resources = [each for each in site.stack.release(images) if each.name in names]
    planned = list(reconcile(resources, looked, outputs=outputs, dry_run=True))
    changes = [step for step in planned if step.action is not Action.NO_OP]
    if dry_run or changes:
        terminal.show_plan(planned)
        terminal.say(terminal.summary(planned))
    if dry_run:
        return
    if changes:
        consent(site, f"Release to {site.environment.name}?", yes=yes, confirm=confirm)
        with Progress(resources) as progress:
            for step in reconcile(resources, site.survey(), outputs=outputs, watch=progress.watch):
                progress.done(step)
        terminal.say(f"released in {terminal.short(progress.elapsed)}")
    else:
        terminal.say("0 changes: every service runs what was asked")
    terminal.tell(f"{load_balancer_url(site.stack, outputs)}/")
    terminal.say(f"next: orderops status --env {site.environment.name}")
