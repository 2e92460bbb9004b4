"""orderops service: releases of the services."""

from __future__ import annotations

import typer

from orderops.cli.options import Context, Images, Json, ServiceName, grouped
from orderops.operations.options import ChangeOptions, EnvironmentOptions

commands = typer.Typer(no_args_is_help=True, help="Services: build an image, deploy a release.")


@commands.command()
@grouped()
def build(where: EnvironmentOptions, service: ServiceName = None, context: Context = None) -> None:
    """Build a service's image and push it to its repository, unless the repository has it."""
    from orderops.images.resolve import image_of, materialize
    from orderops.operations.workspace import one_service, open_workspace
    from orderops.ui import console

    workspace = open_workspace(where.env, where.environments)
    name = one_service(workspace, service)
    choice = image_of(workspace.aws, workspace.environment, name, context=context)
    if not choice.pending:
        console.info(f"the image of {name} exists; nothing to build")
    # The URI alone on stdout, for `--image "$(orderops service build)"`.
    console.data(materialize(workspace.aws, {name: choice}, console.info)[name])
    console.info(f"next: orderops service deploy {name} --env {where.env}")


@commands.command()
@grouped()
def deploy(
    where: EnvironmentOptions,
    options: ChangeOptions,
    service: ServiceName = None,
    image: Images = [],
    context: Context = None,
    as_json: Json = False,
) -> None:
    """Roll out an image and wait until its tasks are healthy. ECS rolls a failed release back."""
    from orderops.images.resolve import image_of
    from orderops.operations.deploy import deploy_services
    from orderops.operations.workspace import images_given, one_service, open_workspace

    workspace = open_workspace(where.env, where.environments)
    names = [one_service(workspace, service)] if service else list(workspace.environment.services)
    # A bare URI belongs to the service that the argument names.
    given = images_given(workspace, [f"{service}={uri}" if service and "=" not in uri else uri for uri in image])
    choices = {
        name: image_of(workspace.aws, workspace.environment, name, given.get(name), context=context) for name in names
    }
    command = options.of("service deploy", *names, *(f"--image {uri}" for uri in image), as_json=as_json)
    deploy_services(workspace, command, choices)
