"""Every refusal, as one family of exceptions.

OrderopsError                 refused or failed (exit 1)
├── UsageError                wrong usage or environment file (exit 2)
├── AwsError                  AWS said no, said later, or was not heard
├── ReplacementRequired       an immutable property differs
├── NotOurs                   the name is taken by a thing without an owner, or with another one
├── Unfinished                some steps failed; the rest is done
├── Interrupted               Ctrl+C; the calls under way were finished (exit 130)
└── Differences               a plan or a look found something to do (exit 3, says nothing)

A class exists when someone catches it or it has its own exit code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum


class OrderopsError(Exception):
    """A refusal: what happened, with the name and the value, and what to type next."""

    exit_code = 1
    stops_everything = False
    """Whether it ends a whole run, and not only the step that met it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def lines(self) -> list[str]:
        """What happened, line by line, the most important first."""
        return self.message.splitlines()


class UsageError(OrderopsError):
    """The command line or an environment file is wrong."""

    exit_code = 2


class Meaning(StrEnum):
    """What an error of AWS says of the call: it cannot work, it may work later, or nobody knows."""

    NO = "no"
    LATER = "later"
    LOST = "lost"


class AwsError(OrderopsError):
    """A call to AWS that did not answer what was asked."""

    def __init__(
        self,
        call: str,
        code: str,
        text: str,
        meaning: Meaning,
        *,
        request_id: str = "",
        explanation: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(f"{call}: {code}: {text}" if text else f"{call}: {code}", hint)
        self.explanation = explanation
        self.call = call
        self.code = code
        self.text = text
        self.meaning = meaning
        self.request_id = request_id

    @property
    def lines(self) -> list[str]:
        """What it means where that is known, then AWS's own words."""
        return [self.explanation, *super().lines] if self.explanation else super().lines


class ReplacementRequired(OrderopsError):
    """A property that AWS cannot change on a living resource differs."""


class NotOurs(OrderopsError):
    """The name or place of a resource is taken by a thing that is not ours."""


class Unfinished(OrderopsError):
    """Some steps failed; what does not need them is done, or in a dry run only looked at."""

    def __init__(self, failures: Mapping[str, OrderopsError], left: int, *, dry_run: bool = False) -> None:
        lines = [f"{address}: {error.message}" for address, error in failures.items()]
        hints = list(dict.fromkeys(error.hint for error in failures.values() if error.hint))
        waiting = f"; {left} more wait for them" if left else ""
        super().__init__(f"{len(failures)} of the steps stopped{waiting}\n" + "\n".join(lines), "\n".join(hints))
        self.failures = dict(failures)
        self.left = left
        self.dry_run = dry_run


class Interrupted(OrderopsError):
    """Ctrl+C: the calls under way were finished; `left` names what was not."""

    exit_code = 130

    def __init__(self, left: Sequence[str]) -> None:
        named = ", ".join(left[:5]) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
        super().__init__(f"interrupted; left: {named}" if left else "interrupted", "the same command goes on from here")
        self.left = list(left)


class Differences(OrderopsError):
    """Not a failure: what was asked is not as declared, and the exit code says so."""

    exit_code = 3

    def __init__(self) -> None:
        super().__init__("")
