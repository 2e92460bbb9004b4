"""Rolling out images before the operator's eyes."""

from __future__ import annotations

from collections.abc import Mapping

from orderops.engine.step import Action
from orderops.images.resolve import ImageChoice, materialize
from orderops.infra.apply import Release
from orderops.infra.stack import load_balancer_url
from orderops.infra.workspace import Workspace
from orderops.operations.apply import show_image_choices
from orderops.operations.locked import check_as_agreed, locked_run, read_lease
from orderops.operations.workspace import ChangeOptions, consent, with_usual_durations
from orderops.text.durations import in_words
from orderops.ui import console
from orderops.ui.progress import Progress


def deploy_services(workspace: Workspace, manner: ChangeOptions, choices: Mapping[str, ImageChoice]) -> None:
    """Show what a release changes, ask, roll it out, and wait until it serves."""
    show_image_choices(choices)
    uris = {service: choice.uri for service, choice in choices.items()}
    lease = read_lease(workspace)
    release = Release(workspace)
    planned = list(release.plan(uris))
    changes = [step for step in planned if step.action is not Action.NO_OP]
    if manner.dry_run or changes:
        console.show_plan(planned)
        console.info(console.summary(planned))
    if manner.dry_run:
        return
    if changes:
        asked = consent(workspace, f"Release to {workspace.environment.name}?", manner)
        with locked_run(workspace, manner, lease) as run:
            if asked or not run.undisturbed:
                release = Release(workspace)
                if asked:
                    check_as_agreed(planned, release.plan(uris))
            images = materialize(workspace.aws, choices, console.info)
            with Progress(with_usual_durations(workspace), noted=run.done) as progress:
                for step in release.roll_out(images, recent_writes=run.recent_writes, on_wait=progress.watch):
                    progress.done(step)
        console.info(f"released in {in_words(progress.elapsed)}")
    else:
        console.info("0 changes: every service runs what was asked")
    console.data(f"{load_balancer_url(workspace.stack, release.outputs)}/")
    console.info(f"next: orderops status --env {workspace.environment.name}")
