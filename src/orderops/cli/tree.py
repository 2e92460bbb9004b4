"""The commands of orderops: all of them, or the few that one command line needs."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer

from orderops.cli.command_tree import EVERYTHING, Path, options_below
from orderops.cli.help import HELP_OPTIONS

HELP = """Build, release, migrate, restore and monitor an order-processing system on AWS.

Without --env, commands use the laptop environment, which needs no AWS account. Start with: orderops up
"""
VERBOSE = ("--verbose", "-v")
COMMANDS = ("up", "down", "status", "history", "doctor")
"""Those that belong to no group, in the order of the help page."""
GROUPS = (
    "infra",
    "service",
    "queue",
    "alerts",
    "report",
    "board",
    "migrate",
    "database",
    "restore",
    "waf",
    "api",
    "env",
    "ci",
    "local",
)
"""In the order of the help page. The commands of each are in the module of its name."""
COMPLETION = "_ORDEROPS_COMPLETE"
"""Variable of a shell that asks for completions."""


def tree() -> typer.Typer:
    """All commands."""
    commands = _program()
    _add_commands(commands, COMMANDS)
    for group in GROUPS:
        commands.add_typer(_group(group), name=group)
    return commands


@cache
def whole_command() -> Any:
    """Everything, as typer's own command."""
    return typer.main.get_command(tree())


def command_for(arguments: Sequence[str]) -> Any:
    """The command that a command line begins with, in its group; everything where it begins with none.

    Typer reads the signatures of all commands that it is given, which takes as long as ten calls to AWS.
    """
    words = [argument for argument in arguments if argument not in VERBOSE]
    if COMPLETION not in os.environ and words and words[0] in (*GROUPS, *COMMANDS):
        return _command_of(words[0], words[1] if words[1:] else "")
    return whole_command()


def ends_at_a_group(arguments: Sequence[str]) -> bool:
    """Whether a command line names a group and none of its commands, which shows the help page of the group."""
    command = command_for(arguments)
    for word in (argument for argument in arguments if argument not in VERBOSE):
        command = getattr(command, "commands", {}).get(word)
    return hasattr(command, "commands")


@cache
def _command_of(first: str, second: str) -> Any:
    """The one command that these words name, or the group of the first if the second is none of its commands."""
    commands = _program(add_completion=False)
    if first in GROUPS:
        commands.add_typer(_with_one_command(_group(first), second), name=first)
    else:
        _add_commands(commands, [first])
    return typer.main.get_command(commands)


def options_of(words: Sequence[str]) -> dict[Path, set[str]]:
    """The options of the command that these words begin with, and of its group, by their paths."""
    return dict(options_below(command_for(words)))


def _program(*, add_completion: bool = True) -> typer.Typer:
    """The program without commands; the options for completions stand before every command."""
    commands = typer.Typer(
        add_completion=add_completion,
        no_args_is_help=True,
        help=HELP,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": list(HELP_OPTIONS)[::-1]},
    )
    commands.callback()(_about)
    return commands


def _add_commands(commands: typer.Typer, names: Sequence[str]) -> None:
    from orderops.cli import root

    for name in names:
        commands.command()(getattr(root, name))


def _group(name: str) -> typer.Typer:
    group: typer.Typer = import_module(f"orderops.cli.{name}").commands
    return group


def _with_one_command(group: typer.Typer, name: str) -> typer.Typer:
    """A group with this command alone; the group itself if it has no such command."""
    chosen = [command for command in group.registered_commands if _name_of(command) == name]
    if not chosen:
        return group
    narrow = copy.copy(group)
    narrow.registered_commands, narrow.registered_groups = chosen, []
    return narrow


def _name_of(command: Any) -> str:
    return command.name or str(typer.main.get_command_name(command.callback.__name__))


def _print_version(requested: bool) -> None:
    if requested:
        from orderops import __version__
        from orderops.ui import console

        console.data(f"orderops {__version__}")
        raise typer.Exit


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

    context.meta[EVERYTHING] = whole_command
    context.with_resource(call_log.logged(_show, verbose=verbose))


def _show(text: str) -> None:
    from orderops.ui import console

    console.info(text)
