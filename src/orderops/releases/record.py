"""The record of releases: one document for each, in the account's bucket, with the verdict and the failure card."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

from orderops.aws.documents import BrokenDocument, Bucket
from orderops.frozen import Frozen
from orderops.releases.card import NO_CARD, FailureCard
from orderops.releases.verdict import ReleaseOutcome, ReleaseVerdict
from orderops.runs.history import timestamp

READERS = 16


@dataclass(frozen=True)
class ReleaseRecord:
    """One release of one service."""

    service: str
    run: str
    """The run that made it."""
    command: str
    who: str
    image: str
    definition: str
    """ARN of the task definition."""
    previous: str
    """ARN of the one before; "" for the first release."""
    deployment: str
    """Id of the deployment in DescribeServices."""
    started: str
    verdict: ReleaseVerdict = ReleaseVerdict.RUNNING
    ended: str = ""
    reason: str = ""
    runs_now: str = ""
    card: FailureCard = NO_CARD

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return asdict(self)

    def with_outcome(self, outcome: ReleaseOutcome) -> ReleaseRecord:
        """The same release, with what became of it so far."""
        return replace(
            self,
            verdict=outcome.verdict,
            ended="" if outcome.verdict is ReleaseVerdict.RUNNING else timestamp(),
            reason=outcome.reason,
            runs_now=outcome.runs_now,
            card=outcome.card,
        )

    @property
    def outcome(self) -> ReleaseOutcome:
        """What became of it."""
        return ReleaseOutcome(self.service, self.verdict, self.reason, self.runs_now, self.card)


class ReleaseHistory(Frozen):
    """The releases of an environment's services."""

    bucket: Bucket
    environment: str

    def write(self, record: ReleaseRecord) -> None:
        """Write a release; again when more is known of it."""
        name = f"{record.started.replace(':', '')}-{record.run}.json"
        self.bucket.put(f"{self._prefix(record.service)}{name}", record.to_dict())

    def of(self, service: str, *, last: int) -> Iterator[ReleaseRecord]:
        """The last releases of a service, newest first; a document that cannot be read is left out."""
        keys = self.bucket.keys(self._prefix(service))[::-1][:last]
        with ThreadPoolExecutor(READERS) as pool:
            for document in pool.map(self.bucket.read, keys):
                try:
                    if document is not None:
                        yield document.parsed(ReleaseRecord)
                except BrokenDocument:
                    continue

    def _prefix(self, service: str) -> str:
        return f"{self.environment}/releases/{service}/"
