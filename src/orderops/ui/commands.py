"""Commands in hints: each repeats the environment and the folders that the operator named, so that it can be pasted."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

Command = tuple[str, ...]
Taken = Mapping[Command, Collection[str]]
"""Which of REPEATED each command takes."""

REPEATED = {"--env": "--env", "-e": "--env", "--environments": "--environments", "--sql": "--sql"}
GROUPS = r"(?:board(?: incident)?|env|infra|local|migrate|queue(?: dlq)?|restore|service)(?: [a-z]+)?"
# The command, then everything up to where it ends in a sentence at the latest.
COMMAND = re.compile(
    rf"\borderops (?P<words>{GROUPS}|up|down|status|history|doctor)(?![\w-])(?P<rest>(?:(?!\borderops )[^;,)\n])*)"
)
OPTION = re.compile(r"--?[a-z][\w-]*(?:[ =](?:\"[^\"]*\"|'[^']*'|[^\s-]\S*))?")

# A command of the AWS CLI: its service and operation follow.
AWS_COMMAND = re.compile(r"(?<![\w-])aws (?=[a-z0-9-]+ [a-z0-9-]+)")
# Without it, a command pasted from a hint about the laptop would reach the operator's account on AWS.
FOR_THE_LAPTOP = 'eval "$(orderops local env)"; '

_laptop: ContextVar[bool] = ContextVar("commands are for the laptop", default=False)
_options: ContextVar[Mapping[Command, Sequence[tuple[str, str]]]] = ContextVar(
    "repeated options", default=MappingProxyType({})
)


@contextmanager
def repeating(arguments: Sequence[str], taken: Callable[[], Taken]) -> Iterator[None]:
    """Repeat the options of this command line in every command that is shown meanwhile.

    `taken` is called only if one of them was given.
    """
    given = dict(_given(arguments))
    options = {
        command: [(option, shlex.quote(given[option])) for option in given if option in known]
        for command, known in (taken().items() if given else ())
    }
    repeated, about = _options.set(options), _laptop.set(False)
    try:
        yield
    finally:
        _options.reset(repeated)
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
    options = _options.get()
    if not options or "orderops " not in text:
        return text

    def complete(match: re.Match[str]) -> str:
        words, rest = tuple(match["words"].split()), match["rest"]
        # `orderops up creates …`: the second word is no command.
        known = options.get(words) or options.get(words[:1], ())
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
