"""Waiting for AWS: for how long, and which errors the next read explains."""

from __future__ import annotations

from datetime import timedelta
from time import monotonic

from orderops.errors import AwsError, Meaning, OrderopsError
from orderops.frozen import Frozen


class ReconcileLimits(Frozen):
    """How long a run waits before it gives up on a resource."""

    # A create whose answer was lost is sent again after this time without the resource: AWS's reads may lag by 30 s.
    seen_within: timedelta = timedelta(seconds=30)
    # How long the same error may last that a later read can explain.
    trouble: timedelta = timedelta(minutes=5)
    timeout: timedelta | None = None
    """How long a resource may take to become ready; None for the time that its kind allows."""


class WaitLimit:
    """How long one resource has been waited for, and the error for when that was too long."""

    def __init__(self, timeout: timedelta, trouble: timedelta) -> None:
        self._timeout = timeout
        self._trouble = min(trouble, timeout)
        self._since = monotonic()
        self._troubled_since: float | None = None

    def waits(self, reason: str) -> str:
        """Note that AWS answered and the resource is not ready. Raises OrderopsError after the timeout."""
        self._troubled_since = None
        if monotonic() - self._since > self._timeout.total_seconds():
            raise OrderopsError(
                f"still waiting for: {reason}, after {int(self._timeout.total_seconds())} s",
                "look at the resource in the AWS console; re-running this command continues from here",
            )
        return reason

    def troubled(self, error: AwsError, reason: str) -> str:
        """Note an error that the next read may explain. Raises it after errors alone for the time of `trouble`."""
        self._troubled_since = self._troubled_since or monotonic()
        if monotonic() - self._troubled_since > self._trouble.total_seconds():
            raise error
        return reason


def retry_reason(error: AwsError, retryable_errors: frozenset[str]) -> str:
    """What to wait for after an error that the next read explains. Raises any other error.

    `retryable_errors` holds exact codes, or "Code: words of the message" where the code says too little.
    """
    if error.code == "Unreachable":
        return "AWS to be reachable"
    if error.meaning is Meaning.LATER:
        return f"AWS to be less busy ({error.code})"
    if error.meaning is Meaning.LOST:
        return f"the effect of a call whose answer was lost ({error.code})"
    for known in retryable_errors:
        code, _, words = known.partition(": ")
        if error.code == code and words.lower() in error.text.lower():
            return f"{error.call}: {error.code}"
    raise error
