"""orderops service: releases of the services."""

from __future__ import annotations

import typer

from orderops.cli.options import Confirm, DryRun, Env, Environments, Images, ServiceName, Yes

commands = typer.Typer(no_args_is_help=True, help="Services: build an image, deploy a release.")


@commands.command()
def build(service: ServiceName = None, env: Env = "local", environments: Environments = None) -> None:
    """Build a service's image and push it to its repository; does nothing when it is there."""
    from orderops import terminal
    from orderops.cli.opening import one_service, open_environment
    from orderops.cli.releasing import build_image

    site = open_environment(env, environments)
    terminal.tell(build_image(site, one_service(site, service)))
    terminal.say(f"next: orderops service deploy --env {env}")


@commands.command()
def deploy(
    service: ServiceName = None,
    env: Env = "local",
    environments: Environments = None,
    image: Images = [],  # noqa: B006
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = [],  # noqa: B006
) -> None:
    """Roll out an image, and wait until it serves; a release that fails is rolled back by ECS, and says why."""
    from orderops.cli.opening import images_given, one_service, open_environment
    from orderops.cli.releasing import deploy_services, images_for

    site = open_environment(env, environments)
    only = [one_service(site, service)] if service else list(site.environment.services)
    given = images_given(site, [f"{service}={image[0]}"] if service and image and "=" not in image[0] else image)
    images = images_for(site, given, dry_run=dry_run)
    deploy_services(site, only, images, dry_run=dry_run, yes=yes, confirm=confirm)
