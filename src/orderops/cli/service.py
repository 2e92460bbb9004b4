"""orderops service: releases of the services."""

from __future__ import annotations

import typer

from orderops.cli.options import (
    LONGEST_WAIT,
    Confirm,
    Context,
    DryRun,
    Env,
    Environments,
    Images,
    ServiceName,
    Wait,
    Yes,
)

commands = typer.Typer(no_args_is_help=True, help="Services: build an image, deploy a release.")


@commands.command()
def build(
    service: ServiceName = None, env: Env = "local", environments: Environments = None, context: Context = None
) -> None:
    """Build a service's image and push it to its repository; does nothing when it is there."""
    from orderops.images.resolve import image_of, materialize
    from orderops.operations.workspace import one_service, open_workspace
    from orderops.ui import console

    workspace = open_workspace(env, environments)
    name = one_service(workspace, service)
    choice = image_of(workspace.aws, workspace.environment, name, context=context)
    if not choice.pending:
        console.info(f"{name} has its image; nothing to build")
    console.data(materialize(workspace.aws, {name: choice}, console.info)[name])
    console.info(f"next: orderops service deploy {name} --env {env}")


@commands.command()
def deploy(
    service: ServiceName = None,
    env: Env = "local",
    environments: Environments = None,
    image: Images = [],
    context: Context = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = [],
    wait: Wait = LONGEST_WAIT,
) -> None:
    """Roll out an image, and wait until it serves; a release that fails is rolled back by ECS, and says why."""
    from orderops.images.resolve import image_of
    from orderops.operations.deploy import deploy_services
    from orderops.operations.workspace import ChangeOptions, images_given, one_service, open_workspace

    workspace = open_workspace(env, environments)
    names = [one_service(workspace, service)] if service else list(workspace.environment.services)
    given = images_given(workspace, [f"{service}={each}" if service and "=" not in each else each for each in image])
    choices = {
        name: image_of(workspace.aws, workspace.environment, name, given.get(name), context=context) for name in names
    }
    deploy_services(
        workspace, ChangeOptions(" ".join(["service deploy", *names]), dry_run, yes, confirm, wait), choices
    )
