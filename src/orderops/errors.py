"""All errors that end a command with a message and a hint, as one family of exceptions.

OrderopsError                 rejected or failed (exit 1)
├── UsageError                wrong usage or environment file (exit 2)
├── AwsError                  AWS rejected a call, was busy, or did not answer
├── ReplacementRequired       an immutable property differs
├── NotOurs                   the name is taken by a resource that this environment does not own
├── Unfinished                some steps failed; the rest is done
├── Interrupted               Ctrl+C; the calls under way were completed (exit 130)
└── Differences               a plan or a check found something to do (exit 3, without a message)

A class exists when a caller catches it, or when it has its own exit code. Packages derive their own from
OrderopsError by the same rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from orderops.text.lists import counted, joined


class OrderopsError(Exception):
    """An expected error: what happened, with the name and the value, and what to type next."""

    exit_code = 1
    stops_everything = False
    """Whether the error ends a whole run, and not only the step that raised it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def lines(self) -> list[str]:
        """What happened, the most important line first."""
        # Not splitlines(): it also splits at control characters, which a name in the message may hold.
        return self.message.split("\n") if self.message else []


class UsageError(OrderopsError):
    """Wrong usage of the command line, or an invalid environment file."""

    exit_code = 2


class Meaning(StrEnum):
    """What an error of AWS says about the call."""

    NO = "no"
    """Rejected: repeating it gives the same error."""
    LATER = "later"
    """Had no effect, and may succeed later."""
    LOST = "lost"
    """May have taken effect: no response arrived, or AWS failed in the middle."""


DENIED = (
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "AuthorizationErrorException",
    "UnauthorizedOperation",
    "UnauthorizedException",
    "NotAuthorized",
    "ForbiddenException",
    "403",
)
"""Codes of AWS's services for a call that the credentials may not make."""


class AwsError(OrderopsError):
    """A call to AWS that failed. `explanation` and hint come from the catalogue of known errors."""

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
    def denied(self) -> bool:
        """Whether these credentials may not make the call."""
        return self.code in DENIED

    @property
    def lines(self) -> list[str]:
        """The explanation, if there is one, then AWS's own message."""
        return [self.explanation, *super().lines] if self.explanation else super().lines


class ReplacementRequired(OrderopsError):
    """A property differs that AWS cannot change on an existing resource."""


class NotOurs(OrderopsError):
    """The name or place of a resource is taken by one that this environment does not own."""


class Unfinished(OrderopsError):
    """Some steps failed. Steps that do not depend on them are done, or in a dry run planned."""

    def __init__(self, failures: Mapping[str, OrderopsError], left: int, *, dry_run: bool = False) -> None:
        lines = [f"{address}: {error.message}" for address, error in failures.items()]
        hints = list(dict.fromkeys(error.hint for error in failures.values() if error.hint))
        blocked = f", {left} blocked" if left else ""
        super().__init__(f"{counted(len(failures), 'step')} failed{blocked}\n" + "\n".join(lines), "\n".join(hints))
        self.failures = dict(failures)
        self.left = left
        self.dry_run = dry_run


class Interrupted(OrderopsError):
    """Ctrl+C. The calls under way were completed; `left` names what was not done."""

    exit_code = 130

    def __init__(self, left: Sequence[str]) -> None:
        names = joined(left, max_names=5)
        not_done = f"; not done: {names}" if left else ""
        super().__init__(f"interrupted{not_done}", "re-run this command to continue")
        self.left = list(left)


class Differences(OrderopsError):
    """Not a failure: the actual state differs from the declared one, which the exit code reports."""

    exit_code = 3

    def __init__(self, exit_code: int = 3) -> None:
        super().__init__("")
        self.exit_code = exit_code
