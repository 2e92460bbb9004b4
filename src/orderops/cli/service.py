"""orderops service: releases of the services, and what they do now."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from orderops.cli.options import AllowDirty, Bake, Context, Json, ServiceName, duration, grouped
from orderops.operations.options import ChangeOptions, EnvironmentOptions, ImageOptions

Version = Annotated[
    str,
    typer.Option(
        "--version",
        help="Version of the image, a tag that never moves; default: the git tag of the commit without its v, else the "
        "last tag with the number of commits since then and the commit.",
        metavar="VERSION",
        show_default=False,
    ),
]
Base = Annotated[
    str,
    typer.Option(
        "--base",
        help="Base image in place of the Dockerfile's, such as the same one in a mirror: NAME@sha256:….",
        metavar="IMAGE",
        show_default=False,
    ),
]
ImageName = Annotated[
    str | None,
    typer.Argument(
        help="Version, tag, digest or URI of an image; default: the image that the service runs.", show_default=False
    ),
]
ServiceOption = Annotated[
    str | None,
    typer.Option("--service", help="Service; optional if there is only one.", metavar="SERVICE", show_default=False),
]
IgnoreSchema = Annotated[
    bool,
    typer.Option(
        "--ignore-schema",
        help="Do not compare the image with the schema of the database; the run's record says so.",
    ),
]

commands = typer.Typer(
    no_args_is_help=True, help="Services: build, deploy, explain, roll back, logs, restart, scale, destroy."
)


@commands.command()
@grouped()
def build(
    where: EnvironmentOptions,
    service: ServiceName = None,
    version: Version = "",
    base: Base = "",
    allow_dirty: AllowDirty = False,
    context: Context = None,
    as_json: Json = False,
) -> None:
    """Build a service's image and push it with its version and its bill of materials, unless the repository has it."""
    from orderops.operations.build import BuildOptions, build_service
    from orderops.operations.workspace import one_service, open_workspace

    workspace = open_workspace(where.env, where.environments)
    name = one_service(workspace, service)
    # A worker runs the image of the service that it works for.
    name = workspace.environment.services[name].works_for or name
    options = BuildOptions(context, version, base, allow_dirty, as_json)
    build_service(workspace, name, options)


@commands.command()
@grouped()
def sbom(where: EnvironmentOptions, image: ImageName = None, service: ServiceOption = None) -> None:
    """Print the software bill of materials (CycloneDX JSON) of an image, or of the one that runs."""
    from orderops.operations.build import print_sbom
    from orderops.operations.workspace import one_service, open_workspace

    workspace = open_workspace(where.env, where.environments)
    print_sbom(workspace, one_service(workspace, service), image)


@commands.command()
@grouped()
def deploy(
    where: EnvironmentOptions,
    options: ChangeOptions,
    chosen: ImageOptions,
    service: ServiceName = None,
    bake: Bake = None,
    attached: Annotated[
        bool, typer.Option("--attach", help="Watch the release that is under way, such as after Ctrl+C; start none.")
    ] = False,
    ignore_schema: IgnoreSchema = False,
    as_json: Json = False,
) -> None:
    """Roll out an image, watch it, and say what became of it. A release that fails is turned back."""
    from orderops.images.resolve import images_of
    from orderops.operations.deploy import deploy_services
    from orderops.operations.service_change import attach
    from orderops.operations.workspace import images_given, one_service, open_workspace

    workspace = open_workspace(where.env, where.environments)
    names = [one_service(workspace, service)] if service else list(workspace.environment.services)
    if attached:
        attach(workspace, options.of("service deploy", *names, "--attach"), names, bake)
        return
    # A bare URI belongs to the service that the argument names.
    given = images_given(workspace, [f"{service}={uri}" if service and "=" not in uri else uri for uri in chosen.image])
    choices = images_of(
        workspace.aws,
        workspace.environment,
        names,
        given,
        context=chosen.context,
        allow_dirty=chosen.allow_dirty,
    )
    command = options.of("service deploy", *names, *chosen.words, *_ignoring(ignore_schema), as_json=as_json)
    deploy_services(workspace, command, choices, bake, ignore_schema=ignore_schema)


@commands.command()
@grouped()
def explain(
    where: EnvironmentOptions,
    service: ServiceName = None,
    last: Annotated[bool, typer.Option("--last", help="The last release that failed, however long ago.")] = False,
    as_json: Json = False,
) -> None:
    """Show why the newest release failed, or why tasks ended in the last hour: causes, last lines, fix, command."""
    from orderops.operations.releases import explain
    from orderops.operations.workspace import one_service, open_workspace

    workspace = open_workspace(where.env, where.environments)
    explain(workspace, one_service(workspace, service), last=last, as_json=as_json)


@commands.command()
@grouped()
def releases(
    where: EnvironmentOptions,
    service: ServiceName = None,
    last: Annotated[int, typer.Option("--last", "-n", help="Number of releases.", min=1, metavar="N")] = 10,
    as_json: Json = False,
) -> None:
    """List the releases of a service, newest first: image, revision, who, when, verdict, and which one runs."""
    from orderops.operations.releases import list_releases
    from orderops.operations.workspace import one_service, open_workspace

    workspace = open_workspace(where.env, where.environments)
    list_releases(workspace, one_service(workspace, service), last=last, as_json=as_json)


@commands.command()
@grouped()
def rollback(
    where: EnvironmentOptions,
    options: ChangeOptions,
    service: ServiceName = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            help="Release to return to: its revision, digest or image; default: the one before what runs.",
            metavar="RELEASE",
            show_default=False,
        ),
    ] = None,
    bake: Bake = None,
    ignore_schema: IgnoreSchema = False,
) -> None:
    """Release the image of an earlier release again, by its digest, with the settings of now."""
    from orderops.operations.service_change import roll_back
    from orderops.operations.workspace import one_service, open_workspace

    workspace = open_workspace(where.env, where.environments)
    name = one_service(workspace, service)
    command = options.of("service rollback", name, *([f"--to {to}"] if to else []), *_ignoring(ignore_schema))
    roll_back(workspace, command, name, to, bake, ignore_schema=ignore_schema)


@commands.command()
@grouped()
def logs(
    where: EnvironmentOptions,
    service: ServiceName = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Show new lines as they arrive, until Ctrl+C.")
    ] = False,
    since: Annotated[
        timedelta,
        typer.Option("--since", help="How far back, such as 30s, 10m or 2h.", metavar="DURATION", parser=duration),
    ] = timedelta(minutes=10),
    grep: Annotated[
        str | None,
        typer.Option(
            "--grep", help="Only lines that contain this regular expression.", metavar="REGEX", show_default=False
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option("--task", help="Only this task: its id, or how that begins.", metavar="ID", show_default=False),
    ] = None,
    trace: Annotated[
        str | None,
        typer.Option(
            "--trace", help="Only lines of this trace: the X-Trace-Id of an answer.", metavar="ID", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Show what the tasks of a service wrote, each task in a colour of its own; metrics only with --grep or --json."""
    from orderops.operations.service_logs import LogChoice, show_logs
    from orderops.operations.workspace import one_service, open_workspace

    workspace = open_workspace(where.env, where.environments)
    choice = LogChoice(since, grep, task, trace)
    show_logs(workspace, one_service(workspace, service), choice, follow=follow, as_json=as_json)


@commands.command("exec")
@grouped()
def exec_(
    where: EnvironmentOptions,
    command: Annotated[
        str, typer.Option("--command", "-c", help="Command to run, with its arguments.", metavar="COMMAND")
    ] = "/bin/sh",
    task: Annotated[
        str,
        typer.Option("--task", help="Only this task: its id, or how that begins.", metavar="ID", show_default=False),
    ] = "",
    service: ServiceName = None,
) -> None:
    """Open a shell, or run another command, in the newest task of a service (ECS Exec)."""
    from orderops.operations.workspace import one_service, open_workspace
    from orderops.remote.exec_session import run_in_task

    workspace = open_workspace(where.env, where.environments)
    name = workspace.environment.service_name(one_service(workspace, service))
    # A session changes nothing that belongs to the environment, so it needs no lease.
    aws = workspace.aws.guarded(lambda: None)
    raise typer.Exit(run_in_task(aws, workspace.stack.cluster.name, name, command, task=task))


@commands.command()
@grouped()
def restart(where: EnvironmentOptions, options: ChangeOptions, service: ServiceName = None, bake: Bake = None) -> None:
    """Replace every task by a new one of the same release, such as after a changed secret. No request is lost."""
    from orderops.operations.service_change import restart
    from orderops.operations.workspace import one_service, open_workspace

    workspace = open_workspace(where.env, where.environments)
    name = one_service(workspace, service)
    restart(workspace, options.of("service restart", name), name, bake)


@commands.command()
@grouped()
def promote(where: EnvironmentOptions, options: ChangeOptions, service: ServiceName = None) -> None:
    """Let a blue/green or canary release that waits go on now, before its test or its bake is over."""
    from orderops.operations.release_answer import promote
    from orderops.operations.workspace import one_service, open_workspace

    workspace = open_workspace(where.env, where.environments)
    name = one_service(workspace, service)
    promote(workspace, options.of("service promote", name), name)


@commands.command()
@grouped()
def abort(where: EnvironmentOptions, options: ChangeOptions, service: ServiceName = None) -> None:
    """Take back a release that is under way. The tasks before still run, so that clients notice nothing."""
    from orderops.operations.release_answer import abort
    from orderops.operations.workspace import one_service, open_workspace

    workspace = open_workspace(where.env, where.environments)
    name = one_service(workspace, service)
    abort(workspace, options.of("service abort", name), name)


@commands.command()
@grouped()
def scale(
    where: EnvironmentOptions,
    options: ChangeOptions,
    tasks: Annotated[
        int, typer.Option("--tasks", "-n", help="Number of tasks.", min=0, metavar="N", show_default=False)
    ],
    service: ServiceName = None,
) -> None:
    """Set the number of tasks now; autoscaling goes on from there, and `orderops up` restores the declared minimum."""
    from orderops.operations.service_change import scale
    from orderops.operations.workspace import one_service, open_workspace

    workspace = open_workspace(where.env, where.environments)
    name = one_service(workspace, service)
    scale(workspace, options.of("service scale", name, f"--tasks {tasks}"), name, tasks)


@commands.command()
@grouped()
def destroy(
    where: EnvironmentOptions,
    options: ChangeOptions,
    service: Annotated[str, typer.Argument(help="Service, also one that the file no longer declares.")],
) -> None:
    """Delete one service and the workers that work for it. What holds data is kept unless it is named."""
    from orderops.operations.service_destroy import destroy_service
    from orderops.operations.workspace import open_workspace

    destroy_service(open_workspace(where.env, where.environments), options.of("service destroy", service), service)


def _ignoring(schema: bool) -> list[str]:
    """The words of a command that was told to ignore the schema, for the run's record."""
    return ["--ignore-schema"] if schema else []
