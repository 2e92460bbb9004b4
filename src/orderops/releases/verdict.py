"""How a release ended, in one word, and the errors that say so."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from orderops.errors import OrderopsError
from orderops.frozen import Frozen
from orderops.releases.card import NO_CARD, FailureCard


class ReleaseVerdict(StrEnum):
    """How a release ended, or that it has not."""

    RUNNING = "running"
    DEPLOYED = "deployed"
    ROLLED_BACK = "rolled back"
    """ECS, or a check during the bake, returned to the release before."""
    CRASH_LOOPING = "crash-looping"
    """Tasks end as soon as they start, for one cause."""
    STUCK = "stuck"
    """Nothing moves, or no task can be placed."""
    FAILED = "failed"
    """It ended in between: another deployment took its place, or there was nothing to return to."""


EXIT_CODES = {
    ReleaseVerdict.DEPLOYED: 0,
    ReleaseVerdict.ROLLED_BACK: 4,
    ReleaseVerdict.CRASH_LOOPING: 5,
    ReleaseVerdict.STUCK: 6,
    ReleaseVerdict.FAILED: 7,
}


class ReleaseOutcome(Frozen):
    """What became of the release of one service."""

    service: str
    verdict: ReleaseVerdict
    reason: str = ""
    """Why, in a sentence without a full stop."""
    runs_now: str = ""
    """What the service runs after it, such as "2 of 2 tasks of revision 7 run"."""
    card: FailureCard = NO_CARD

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return {
            "service": self.service,
            "verdict": str(self.verdict),
            "reason": self.reason,
            "runs_now": self.runs_now,
            "card": self.card.to_dict(),
        }


class ReleaseFailed(OrderopsError):
    """Releases of some services did not end well."""

    def __init__(self, outcomes: Sequence[ReleaseOutcome], hint: str) -> None:
        failed = [outcome for outcome in outcomes if outcome.verdict is not ReleaseVerdict.DEPLOYED]
        lines = [f"the release of {one.service} is {one.verdict}: {one.reason or one.card.summary}" for one in failed]
        super().__init__("\n".join(lines), hint)
        self.outcomes = tuple(outcomes)
        self.exit_code = max(EXIT_CODES[outcome.verdict] for outcome in failed)
