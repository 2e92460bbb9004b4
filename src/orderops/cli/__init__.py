"""The command line: parse arguments, call one operation, show the result.

Commands import what they need when they run, so that --help starts quickly.
"""

from __future__ import annotations

import errno
import sys
from contextlib import suppress
from typing import TextIO

from orderops.cli.help import load_renderer, wants_help
from orderops.cli.tree import VERBOSE, command_for, ends_at_a_group, options_of

PASSED_ON = ("--", "psql")
"""Arguments from here on belong to another program."""
# These come without a file name, so they would look like a fault of ours.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def main(arguments: list[str] | None = None) -> None:
    """Run one command and exit. An OrderopsError ends with its message, its hint and its exit code."""
    from orderops.ui.commands import repeating

    given = verbose_first(sys.argv[1:] if arguments is None else arguments)
    if wants_help(given) or ends_at_a_group(given):
        load_renderer()
    try:
        with repeating(given, options_of):
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
        command_for(given)(given, prog_name="orderops")
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


def verbose_first(arguments: list[str]) -> list[str]:
    """Move --verbose, an option of the root command, from anywhere to the front. Leaves another program's alone."""
    ends = [position for position, argument in enumerate(arguments) if argument in PASSED_ON]
    ours, theirs = (arguments[: ends[0]], arguments[ends[0] :]) if ends else (arguments, [])
    verbose = [argument for argument in ours if argument in VERBOSE]
    return [*verbose[:1], *(argument for argument in ours if argument not in VERBOSE), *theirs]
