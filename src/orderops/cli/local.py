"""orderops local: the laptop environment, an emulated AWS with a real database and real services."""

from __future__ import annotations

from typing import Annotated

import typer

from orderops.cli.options import Json, Yes

commands = typer.Typer(no_args_is_help=True, help="The laptop environment: start, stop, reset, status, logs, psql.")
REGION = "ap-southeast-2"
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl+C.")]
Plain = Annotated[
    bool | None,
    typer.Option(
        "--plain/--strict",
        help="Take at once what AWS refuses or takes minutes for, or be as strict as AWS. "
        "Kept for later starts; strict at first.",
        show_default=False,
    ),
]


@commands.command()
def start(plain: Plain = None) -> None:
    """Start the emulator in the background; `orderops up` does it by itself."""
    from orderops import local
    from orderops.ui import console

    say = console.info
    endpoint = local.start(REGION, plain=plain, on_wait=lambda what: say(f"starting the {what} on this machine"))
    console.data(endpoint.url)
    console.info(
        f"any AWS tool: export AWS_ENDPOINT_URL={endpoint.url} AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test"
    )
    console.info("next: orderops up")


@commands.command()
def stop() -> None:
    """Stop emulator, database and services; the data stays."""
    from orderops import local
    from orderops.ui import console

    local.stop()
    console.info("stopped; the data stays. next: orderops local start, or orderops local reset")


@commands.command()
def reset(yes: Yes = False) -> None:
    """Stop everything and delete its data."""
    from orderops import local
    from orderops.ui import console

    console.confirm(f"Delete everything in {local.data_directory()}?", yes=yes)
    local.reset()
    console.info("everything is gone. next: orderops up")


@commands.command()
def status(as_json: Json = False) -> None:
    """Say what runs, and where."""
    from orderops import local
    from orderops.ui import console

    told = local.status()
    if as_json:
        console.show_json(told)
        return
    console.data(f"emulator  {'running at ' + told['aws_endpoint'] if told['running'] else 'not running'}")
    console.data(f"manner    {'strict: refuses what AWS does' if told['strict'] else 'plain: takes what AWS refuses'}")
    console.data(f"data      {told['data_directory']}")
    for name, where in told["databases"].items():
        console.data(f"database  {name} {where['host']}:{where['port']} {where.get('state', '')}".rstrip())
    for name, processes in told["services"].items():
        for each in processes:
            console.data(f"service   {name} pid {each['pid']} port {each['port']} {each['state']}")
    if not told["running"]:
        console.info("next: orderops up")


@commands.command()
def logs(follow: Follow = False) -> None:
    """Print what emulator, database and services wrote."""
    from orderops import local
    from orderops.ui import console

    for line in local.logs(follow=follow):
        console.data(line)


# `-h` is psql's own option for the host, so only --help shows the help of this command.
PSQL = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": ["--help"]}


@commands.command(context_settings=PSQL)
def psql(
    context: typer.Context,
    instance: Annotated[
        str | None,
        typer.Option("--instance", help="Another than the primary, as a restored one.", metavar="NAME"),
    ] = None,
) -> None:
    """Open psql on the local database; arguments go to psql: orderops local psql -c "select * from users" """
    from orderops import local

    raise typer.Exit(local.psql(instance, arguments=context.args))
