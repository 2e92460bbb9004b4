"""The command line: words in, words out. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import errno
import sys
from typing import Annotated

import typer

from orderops.cli import env, infra, local, migrate, restore, service
from orderops.cli import root as app
from orderops.cli.help import HELP_OPTIONS, load_renderer, wants_help

HELP = """Carry an order-processing system on AWS through its whole life.

Without --env it is the laptop environment, which needs no account and can harm nothing: orderops up
"""

VERBOSE = ("--verbose", "-v")
PASSING_ON = ("--", "psql")
"""From here on, words are for another program."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)

commands = typer.Typer(
    no_args_is_help=True,
    help=HELP,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": list(HELP_OPTIONS)[::-1]},
)
app.add_to(commands)
commands.add_typer(infra.commands, name="infra")
commands.add_typer(service.commands, name="service")
commands.add_typer(migrate.commands, name="migrate")
commands.add_typer(restore.commands, name="restore")
commands.add_typer(env.commands, name="env")
commands.add_typer(local.commands, name="local")


def _say_version(asked: bool) -> None:
    if asked:
        from orderops import __version__

        typer.echo(f"orderops {__version__}")
        raise typer.Exit


@commands.callback()
def _about(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option(*VERBOSE, envvar="ORDEROPS_VERBOSE", help="Show every call to AWS as it ends.")
    ] = False,
) -> None:
    from orderops.aws import call_log

    context.with_resource(call_log.logged(_say, verbose=verbose))


def _say(text: str) -> None:
    from orderops.ui import console

    console.info(text)


def main(arguments: list[str] | None = None) -> None:
    """Run one command; a refusal ends with its message, its hint and its exit code."""
    from orderops.errors import Interrupted, OrderopsError, Unfinished

    given = verbose_first(sys.argv[1:] if arguments is None else arguments)
    if wants_help(given):
        load_renderer()
    try:
        commands(given, prog_name="orderops")
    except OrderopsError as error:
        from orderops.ui import console

        if isinstance(error, Unfinished):
            console.show_unfinished(error)
        else:
            console.show_error(error)
        raise SystemExit(error.exit_code) from None
    except SystemExit as end:
        if end.code == Interrupted.exit_code:  # Ctrl+C while nothing was being changed
            from orderops.ui import console

            console.show_error(Interrupted(()))
        raise
    except BrokenPipeError:  # the reader of a pipe went away
        sys.stderr.close()
        raise SystemExit(1) from None
    except OSError as error:  # a folder that may not be written, a full disk: the operator's, not ours
        if not error.filename and error.errno not in FULL:
            raise
        from orderops.ui import console

        what, why = error.filename or "what is written to", (error.strerror or str(error)).lower()
        hint = "is there room, and may this user write there?"
        console.show_error(OrderopsError(f"{what} cannot be used: {why}", hint))
        raise SystemExit(1) from None


def verbose_first(words: list[str]) -> list[str]:
    """The words with --verbose before the command, wherever it was said; what is passed on to others is left alone."""
    ends = [place for place, word in enumerate(words) if word in PASSING_ON]
    ours, theirs = words[: ends[0]] if ends else words, words[ends[0] :] if ends else []
    said = [word for word in ours if word in VERBOSE]
    return [*said[:1], *(word for word in ours if word not in VERBOSE), *theirs]
