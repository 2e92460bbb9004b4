"""orderops local: the laptop environment, an emulated AWS with a real database and real services."""

from __future__ import annotations

from typing import Annotated

import typer

from orderops.cli.options import Json, Yes

commands = typer.Typer(
    no_args_is_help=True, help="The laptop environment: start, stop, reset, status, env, logs, replay, psql."
)
# The emulator needs one region before an environment file is read; the files of this repository use it.
REGION = "ap-southeast-2"
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Print new lines as they are written, until Ctrl+C.")]
Plain = Annotated[
    bool | None,
    typer.Option(
        "--plain/--strict",
        help="Accept at once what AWS rejects or takes minutes for, or be as strict as AWS. "
        "Remembered for later starts; default: strict.",
        show_default=False,
    ),
]


@commands.command()
def start(plain: Plain = None) -> None:
    """Start the emulator in the background; `orderops up` does so itself."""
    from orderops import local
    from orderops.ui import console

    def on_wait(name: str) -> None:
        console.info(f"starting the {name} on this machine")

    endpoint = local.start(REGION, plain=plain, on_wait=on_wait)
    console.data(endpoint.url)
    console.info('to use other AWS tools: eval "$(orderops local env)"')
    console.info("next: orderops up")


@commands.command()
def stop(
    without_saving: Annotated[
        bool,
        typer.Option("--without-saving", help="Stop even if the state cannot be saved; what is not saved is lost."),
    ] = False,
) -> None:
    """Stop emulator, database and services. Their data is kept."""
    from orderops import local
    from orderops.ui import console

    local.stop(without_saving=without_saving)
    console.info("stopped without checking what is saved" if without_saving else "stopped; the data is kept")
    console.info("next: orderops local start, or orderops local reset")


@commands.command()
def reset(yes: Yes = False) -> None:
    """Stop everything and delete its data."""
    from orderops import local
    from orderops.ui import console

    console.confirm(f"Delete everything in {local.data_directory()}?", yes=yes)
    local.reset()
    console.info("deleted everything")
    console.info("next: orderops up")


@commands.command()
def status(as_json: Json = False) -> None:
    """Show what is running, and where."""
    from orderops import local
    from orderops.ui import console

    state = local.status()
    if as_json:
        console.show_json(state)
        return
    console.data(f"emulator  {'running at ' + state['aws_endpoint'] if state['running'] else 'not running'}")
    console.data(
        f"mode      {'strict: rejects what AWS rejects' if state['strict'] else 'plain: accepts what AWS rejects'}"
    )
    console.data(f"data      {state['data_directory']}")
    for line in local.saving_problems(state["state"]):
        console.data(f"saving    {line}")
    for name, where in state["databases"].items():
        console.data(f"database  {name} {where['host']}:{where['port']} {where.get('state', '')}".rstrip())
    for name, processes in state["services"].items():
        for process in processes:
            console.data(f"service   {name} pid {process['pid']} port {process['port']} {process['state']}")
    if not state["running"]:
        console.info("next: orderops up")


@commands.command("env")
def env_(as_json: Json = False) -> None:
    """Print the environment variables that other AWS tools need.

    Set them in a shell: eval "$(orderops local env)"
    """
    from orderops import local
    from orderops.ui import console

    variables = local.tool_variables(local.running_endpoint())
    if as_json:
        console.show_json(variables)
        return
    for line in local.shell_commands(variables):
        console.data(line)


@commands.command()
def logs(follow: Follow = False) -> None:
    """Print the logs of emulator, database and services."""
    from orderops import local
    from orderops.ui import console

    for line in local.logs(follow=follow):
        console.data(line)


@commands.command()
def replay(
    name: Annotated[str, typer.Argument(help="The replica.", metavar="NAME")],
    pause: Annotated[
        bool, typer.Option("--pause/--resume", help="Let the replica fall behind, or catch up.", show_default=False)
    ],
) -> None:
    """Pause or resume what a replica of the local database replays, to see what a late replica does."""
    from orderops import local
    from orderops.ui import console

    local.pause_replay(name, paused=pause)
    console.info(f"{name} {'receives what its primary commits, and replays nothing' if pause else 'catches up'}")
    console.info(f"next: orderops {f'local replay {name} --resume' if pause else 'status'}")


# `-h` is psql's own option for the host, so only --help shows the help of this command.
PSQL = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": ["--help"]}


@commands.command(context_settings=PSQL)
def psql(
    context: typer.Context,
    instance: Annotated[
        str | None,
        typer.Option("--instance", help="Instance to open; default: the primary.", metavar="NAME"),
    ] = None,
) -> None:
    """Open psql on the local database. Arguments go to psql.

    For example: orderops local psql -c "select * from users"
    """
    from orderops import local

    raise typer.Exit(local.psql(instance, arguments=context.args))
