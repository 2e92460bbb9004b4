"""Commands in hints: each repeats the environment and the folders that the operator named, so that it can be pasted."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

Command = tuple[str, ...]
Taken = Mapping[Command, Collection[str]]
"""Which of REPEATED each command takes."""
Repeated = Callable[[Command], Sequence[tuple[str, str]]]
"""The options that are repeated in a command, with their values."""

REPEATED = {"--env": "--env", "-e": "--env", "--environments": "--environments", "--sql": "--sql"}
GROUPS = (
    r"(?:alerts|api(?: keys)?|board(?: incident)?|ci|database|env|infra|local|migrate|queue(?: dlq)?|report|restore"
    r"|service|waf)"
)
# The command, then everything up to where it ends in a sentence at the latest.
COMMAND = re.compile(
    rf"\borderops (?P<words>{GROUPS}(?: [a-z]+(?:-[a-z]+)*)?|up|down|status|history|doctor)(?![\w-])"
    r"(?P<rest>(?:(?!\borderops )[^;,)\n])*)"
)
OPTION = re.compile(r"--?[a-z][\w-]*(?:[ =](?:\"[^\"]*\"|'[^']*'|[^\s-]\S*))?")

# A command of the AWS CLI: its service and operation follow.
AWS_COMMAND = re.compile(r"(?<![\w-])aws (?=[a-z0-9-]+ [a-z0-9-]+)")
# Without it, a command pasted from a hint about the laptop would reach the operator's account on AWS.
FOR_THE_LAPTOP = 'eval "$(orderops local env)"; '

_laptop: ContextVar[bool] = ContextVar("commands are for the laptop", default=False)
_repeated: ContextVar[Repeated | None] = ContextVar("repeated options", default=None)


@contextmanager
def repeating(arguments: Sequence[str], taken: Callable[[Command], Taken]) -> Iterator[None]:
    """Repeat the options of this command line in every command that is shown meanwhile.

    `taken` tells the options of the command that begins with some words. It is called only for those that are shown,
    and only if an option to repeat was given.
    """
    given = dict(_given(arguments))
    taken = cache(taken)

    def repeated(words: Command) -> Sequence[tuple[str, str]]:
        commands = taken(words)
        # `orderops up creates …`: the second word is no command.
        known = commands.get(words) or commands.get(words[:1], ())
        return [(option, shlex.quote(given[option])) for option in given if option in known]

    before, about = _repeated.set(repeated if given else None), _laptop.set(False)
    try:
        yield
    finally:
        _repeated.reset(before)
        _laptop.reset(about)


def about_the_laptop() -> None:
    """Let AWS commands that are shown from now on reach the laptop environment."""
    _laptop.set(True)


def completed(text: str) -> str:
    """Return a text whose commands can be pasted.

    They repeat the options of the operator's command line, unless they have their own, and those of the AWS CLI reach
    the environment that the command is about.
    """
    text = AWS_COMMAND.sub(lambda found: FOR_THE_LAPTOP + found[0], text) if _laptop.get() else text
    repeated = _repeated.get()
    if repeated is None or "orderops " not in text:
        return text

    def complete(match: re.Match[str]) -> str:
        rest = match["rest"]
        known = repeated(tuple(match["words"].split()))
        missing = "".join(f" {option} {value}" for option, value in known if option not in rest.split())
        own = list(OPTION.finditer(rest))
        # Behind the options that the hint has, since a sentence may go on after the command.
        cut = own[-1].end() if own else 0
        return f"orderops {match['words']}{rest[:cut]}{missing}{rest[cut:]}"

    return COMMAND.sub(complete, text)


def _given(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The options on a command line that are repeated: `--option VALUE` or `--option=VALUE`."""
    for position, argument in enumerate(arguments):
        if argument == "--":
            return
        name, separator, value = argument.partition("=")
        if name in REPEATED and separator:
            yield REPEATED[name], value
        elif name in REPEATED and position + 1 < len(arguments):
            yield REPEATED[name], arguments[position + 1]
