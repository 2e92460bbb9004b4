"""The command line: parse arguments, call one operation, show the result.

Commands import what they need when they run, so that --help starts quickly.
"""

from __future__ import annotations

import errno
import gc
import sys
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from orderops.cli import alerts, board, ci, env, infra, local, migrate, queue, report, restore, service
from orderops.cli import root as app
from orderops.cli.command_tree import options_below
from orderops.cli.help import HELP_OPTIONS, load_renderer, wants_help

if TYPE_CHECKING:
    from orderops.ui.commands import Taken

HELP = """Build, release, migrate, restore and monitor an order-processing system on AWS.

Without --env, commands use the laptop environment, which needs no AWS account. Start with: orderops up
"""

VERBOSE = ("--verbose", "-v")
PASSED_ON = ("--", "psql")
"""Arguments from here on belong to another program."""
COLLECT_AFTER = 50_000
"""New objects after which Python looks for cycles. At its own 700, that is a fifth of the time of a short command."""
# These come without a file name, so they would look like a fault of ours.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO)

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
commands.add_typer(queue.commands, name="queue")
commands.add_typer(alerts.commands, name="alerts")
commands.add_typer(report.commands, name="report")
commands.add_typer(board.commands, name="board")
commands.add_typer(migrate.commands, name="migrate")
commands.add_typer(restore.commands, name="restore")
commands.add_typer(env.commands, name="env")
commands.add_typer(ci.commands, name="ci")
commands.add_typer(local.commands, name="local")


def _print_version(requested: bool) -> None:
    if requested:
        from orderops import __version__
        from orderops.ui import console

        console.data(f"orderops {__version__}")
        raise typer.Exit


@commands.callback()
def _about(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option(*VERBOSE, envvar="ORDEROPS_VERBOSE", help="Show each AWS call when it ends.")
    ] = False,
) -> None:
    from orderops.aws import call_log

    context.with_resource(call_log.logged(_show, verbose=verbose))


def _show(text: str) -> None:
    from orderops.ui import console

    console.info(text)


def main(arguments: list[str] | None = None) -> None:
    """Run one command and exit. An OrderopsError ends with its message, its hint and its exit code."""
    from orderops.ui.commands import repeating

    gc.set_threshold(COLLECT_AFTER)
    given = verbose_first(sys.argv[1:] if arguments is None else arguments)
    if wants_help(given):
        load_renderer()
    try:
        with repeating(given, _options_of_commands):
            code = _exit_code(given)
        # Written here, where an error can still be reported. stdout is None for a process that began without it.
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader of a pipe, such as head, has ended.
        _abandon(sys.stdout, sys.stderr)
        raise SystemExit(1) from None
    except OSError as error:
        # A folder without write permission or a full disk is for the operator to fix; anything else is a bug.
        if not error.filename and error.errno not in DISK_ERRORS:
            raise
        from orderops.errors import OrderopsError
        from orderops.ui import console

        path, why = error.filename or "the output", (error.strerror or str(error)).lower()
        hint = "check the free space and the permissions"
        console.show_error(OrderopsError(f"{path} cannot be used: {why}", hint))
        if not error.filename:
            _abandon(sys.stdout)
        raise SystemExit(1) from None
    raise SystemExit(code)


def _exit_code(given: list[str]) -> int | str | None:
    """Run one command, show its error, and return its exit code."""
    from orderops.errors import Interrupted, OrderopsError, Unfinished

    try:
        _command()(given, prog_name="orderops")
    except OrderopsError as error:
        from orderops.ui import console

        if isinstance(error, Unfinished):
            console.show_unfinished(error)
        else:
            console.show_error(error)
        return error.exit_code
    except SystemExit as end:
        # Typer exits with this code after Ctrl+C; a run that was changing something raises Interrupted itself.
        if end.code == Interrupted.exit_code:
            from orderops.ui import console

            console.show_error(Interrupted(()))
        return end.code
    return 0


def _abandon(*streams: TextIO) -> None:
    """Close streams that cannot be written. Python would write them again at exit, complain, and exit with 120."""
    for stream in streams:
        with suppress(OSError):
            stream.close()


@cache
def _command() -> Any:
    """Return the command line that typer makes of `commands`."""
    return typer.main.get_command(commands)


def _options_of_commands() -> Taken:
    """The options that each command takes, of those that hints repeat."""
    return dict(options_below(_command()))


def verbose_first(arguments: list[str]) -> list[str]:
    """Move --verbose, an option of the root command, from anywhere to the front. Leaves another program's alone."""
    ends = [position for position, argument in enumerate(arguments) if argument in PASSED_ON]
    ours, theirs = (arguments[: ends[0]], arguments[ends[0] :]) if ends else (arguments, [])
    verbose = [argument for argument in ours if argument in VERBOSE]
    return [*verbose[:1], *(argument for argument in ours if argument not in VERBOSE), *theirs]
