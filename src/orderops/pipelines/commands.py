"""The commands of orderops in shell lines, and whether orderops has them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from difflib import get_close_matches

from orderops.frozen import Frozen

CHANGING = frozenset(
    {
        ("up",),
        ("down",),
        ("infra", "apply"),
        ("infra", "destroy"),
        ("service", "deploy"),
        ("service", "rollback"),
        ("service", "restart"),
        ("service", "scale"),
        ("service", "destroy"),
        ("restore", "promote"),
        ("restore", "back"),
    }
)
MIGRATING = frozenset({("migrate", "apply"), ("migrate", "undo"), ("migrate", "rehearsal"), ("migrate", "mark")})
SUBSTITUTION = re.compile(r"^\w+=\$\((.*)\)$")


class OrderopsCommand(Frozen):
    """A command of orderops as it stands in a line."""

    line: str
    words: tuple[str, ...]
    """Group and command, such as ("infra", "plan")."""
    arguments: tuple[str, ...]

    def option(self, name: str) -> str | None:
        """The value of an option; "" for one that is the last word; None if it is not given."""
        for index, word in enumerate(self.arguments):
            if word == name:
                return self.arguments[index + 1] if index + 1 < len(self.arguments) else ""
            if word.startswith(f"{name}="):
                return word.partition("=")[2]
        return None

    def has(self, *names: str) -> bool:
        """Whether one of these options is given."""
        return any(word in names for word in self.arguments)

    @property
    def environment(self) -> str:
        """The environment that it is about; "" where it does not say."""
        return self.option("--env") or self.option("-e") or ""

    @property
    def changes(self) -> bool:
        """Whether it changes an environment."""
        dry = self.has("--dry-run") or self.option("--out") is not None
        return self.words in CHANGING and not dry


def commands_in(lines: Iterator[str], known: Mapping[tuple[str, ...], AbstractSet[str]]) -> Iterator[OrderopsCommand]:
    """Yield the commands of orderops in shell lines. `known` has the options of each command."""
    for line in lines:
        try:
            words = shlex.split(SUBSTITUTION.sub(r"\1", line), comments=True)
        except ValueError:
            continue
        if "orderops" in words:
            rest = words[words.index("orderops") + 1 :]
            named = next((tuple(rest[:length]) for length in (3, 2, 1) if tuple(rest[:length]) in known), ())
            yield OrderopsCommand(line, named, tuple(rest[len(named) :]))


def unknown_part(command: OrderopsCommand, known: Mapping[tuple[str, ...], AbstractSet[str]]) -> str:
    """What orderops does not have of a command, as a sentence; "" for nothing."""
    length = len(command.words)
    if any(len(words) > length and words[:length] == command.words for words in known):
        wanted = " ".join((*command.words, *command.arguments[:1]))
        similar = get_close_matches(wanted, [" ".join(words) for words in known if words], n=1)
        suggestion = f"; did you mean `{similar[0]}`?" if similar else ""
        return f"orderops has no command `{wanted}`{suggestion}"
    options = [word.partition("=")[0] for word in command.arguments if word.startswith("--") and word != "--"]
    missing = next((option for option in options if option not in known[command.words] | {"--help", "--verbose"}), "")
    return f"`orderops {' '.join(command.words)}` has no option {missing}" if missing else ""
