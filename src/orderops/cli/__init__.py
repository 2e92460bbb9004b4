"""The command line: words in, words out. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import sys

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


def main(arguments: list[str] | None = None) -> None:
    """Run one command; a refusal ends with its message, its hint and its exit code."""
    from orderops.errors import Interrupted, OrderopsError, Unfinished

    try:
        commands(arguments)
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
