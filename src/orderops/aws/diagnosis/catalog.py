"""The catalogue of known failures: what an error means, its likely cause, and what to type next.

The entries stand in the modules `failures_*`, by what they are about; the first that fits is the one.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from orderops.aws.diagnosis.conflicts import FAILURES as THINGS
from orderops.aws.diagnosis.credentials import FAILURES as IDENTITY
from orderops.aws.diagnosis.network import FAILURES as NETWORK
from orderops.aws.diagnosis.permissions import FAILURES as DENIED
from orderops.aws.diagnosis.quotas import FAILURES as LIMITS
from orderops.aws.diagnosis.rule import ErrorContext, KnownError

CATALOGUE: tuple[KnownError, ...] = (*IDENTITY, *NETWORK, *DENIED, *LIMITS, *THINGS)


@dataclass(frozen=True)
class Explanation:
    """What a failure means, and the one thing to type; `name` is its entry's."""

    name: str
    means: str
    hint: str


def explain(said: ErrorContext) -> Explanation | None:
    """What is known of a failure; None when nobody has met it yet."""
    for failure in CATALOGUE:
        values = failure.told(said)
        if values is not None:
            words = defaultdict(lambda: "…", values)
            return Explanation(failure.name, failure.means.format_map(words), failure.hint.format_map(words))
    return None
