"""The commands of orderops: all of them, or the few that one command line needs."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer

from orderops.cli import root
from orderops.cli.command_tree import EVERYTHING, Path, options_below
from orderops.cli.help import HELP_OPTIONS

HELP = """Build, release, migrate, restore and monitor an order-processing system on AWS.

Without --env, commands use the laptop environment, which needs no AWS account. Start with: orderops up
"""
VERBOSE = ("--verbose", "-v")
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


def tree(groups: Collection[str] = GROUPS) -> typer.Typer:
    """The commands that belong to no group, and those of these groups."""
    commands = typer.Typer(
        no_args_is_help=True,
        help=HELP,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": list(HELP_OPTIONS)[::-1]},
    )
    commands.callback()(_about)
    root.add_to(commands)
    for group in groups:
        commands.add_typer(import_module(f"orderops.cli.{group}").commands, name=group)
    return commands


def whole_command() -> Any:
    """Everything, as typer's own command."""
    return _command_of(GROUPS)


def command_for(arguments: Sequence[str]) -> Any:
    """What is needed for a command line whose first word is a group or command; everything for any other.

    Typer reads the signatures of all commands that it is given, which takes as long as ten calls to AWS.
    """
    word = next((argument for argument in arguments if argument not in VERBOSE), "")
    if COMPLETION in os.environ:
        return whole_command()
    if word in GROUPS:
        return _command_of((word,))
    if word in root.NAMES:
        return _command_of(())
    return whole_command()


@cache
def _command_of(groups: tuple[str, ...]) -> Any:
    """The commands of `tree` as typer's own command, which is the same for every command line."""
    return typer.main.get_command(tree(groups))


def options_of(word: str) -> dict[Path, set[str]]:
    """The options of the commands that begin with this word, by their paths."""
    return dict(options_below(command_for([word])))


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
