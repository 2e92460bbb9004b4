"""The command line: words in, words out. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from orderops.cli import app, env, infra, local, service

HELP = """Carry an order-processing system on AWS through its whole life.

Without --env it is the laptop environment, which needs no account and can harm nothing: orderops up
"""

commands = typer.Typer(
    no_args_is_help=True, help=HELP, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich"
)
app.add_to(commands)
commands.add_typer(infra.commands, name="infra")
commands.add_typer(service.commands, name="service")
commands.add_typer(env.commands, name="env")
commands.add_typer(local.commands, name="local")


def _say_version(asked: bool) -> None:
    if asked:
        from orderops import __version__

        typer.echo(f"orderops {__version__}")
        raise typer.Exit


@commands.callback()
def _about(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main(arguments: list[str] | None = None) -> None:
    """Run one command; a refusal ends with its message, its hint and its exit code."""
    from orderops.errors import Interrupted, OrderopsError, Unfinished

    try:
        commands(arguments, prog_name="orderops")
    except OrderopsError as error:
        from orderops import terminal

        if isinstance(error, Unfinished):
            terminal.show_unfinished(error)
        else:
            terminal.show_refusal(error)
        raise SystemExit(error.exit_code) from None
    except SystemExit as end:
        if end.code == Interrupted.exit_code:  # Ctrl+C while nothing was being changed
            from orderops import terminal

            terminal.show_refusal(Interrupted(()))
        raise
    except BrokenPipeError:  # the reader of a pipe went away
        sys.stderr.close()
        raise SystemExit(1) from None
    except OSError as error:  # a folder that may not be written, a full disk: the operator's, not ours
        if not error.filename:
            raise
        from orderops import terminal

        why = (error.strerror or str(error)).lower()
        hint = "is there room, and may this user write there?"
        terminal.show_refusal(OrderopsError(f"{error.filename} cannot be used: {why}", hint))
        raise SystemExit(1) from None
