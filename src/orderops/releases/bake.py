"""The bake: the time after the last new task is healthy, in which a release has to show that it works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic

from orderops.aws.client import Aws
from orderops.errors import AwsError
from orderops.frozen import Frozen
from orderops.releases.probe import Answer, ask
from orderops.releases.rollout import CRASHES, Rollout
from orderops.releases.running import read_service
from orderops.releases.traffic import NO_TRAFFIC, Traffic, traffic
from orderops.releases.verdict import ReleaseVerdict
from orderops.text.outside import plain

ASKED = ("/version", "/ready")
LONGEST_ANSWER = 300
MINUTE = timedelta(minutes=1)
WHOLE_MINUTES = 120.0
"""Seconds of a bake from which on its first, partial minute can be left out."""
BEFORE = timedelta(minutes=5)
"""The time before a release whose traffic says whether its errors can be told from older ones."""


class ReleaseBaseline(Frozen):
    """How the service was before the release."""

    ready: bool = False
    """Whether `/ready` answered 200."""
    traffic: Traffic = NO_TRAFFIC


def baseline_of(aws: Aws, target_group_arn: str, url: str) -> ReleaseBaseline:
    """Look at the release that runs, before the next one."""
    now = datetime.now(UTC)
    return ReleaseBaseline(ask(f"{url}/ready").status == 200, _traffic(aws, target_group_arn, now - BEFORE, now))


@dataclass
class Bake:
    """Watches a release whose tasks are all healthy, for some seconds."""

    rollout: Rollout
    seconds: float
    url: str
    """Where clients reach the service; "" if its rules do not forward `/version` and `/ready` to it."""
    service: str
    """Its key in the environment file, which the order processor's `/version` answers too."""
    version: str
    """What `/version` has to answer."""
    target_group_arn: str
    """Empty for a worker, which gets no requests."""
    baseline: ReleaseBaseline
    _began: float = field(default_factory=monotonic)
    _since: datetime = field(default_factory=lambda: datetime.now(UTC))
    _older: Traffic = NO_TRAFFIC
    """What the first minute had counted when the bake began."""
    _traffic: Traffic = NO_TRAFFIC
    _answers: Mapping[str, Answer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Metrics count whole minutes, and the first one began with the release before.
        if self.seconds >= WHOLE_MINUTES:
            self._since += MINUTE
        elif self.seconds:
            self._older = _traffic(self.rollout.aws, self.target_group_arn, self._since)

    @property
    def left(self) -> float:
        """Seconds that it still takes."""
        return max(0.0, self.seconds - (monotonic() - self._began))

    def look(self) -> ReleaseVerdict:
        """Read once. DEPLOYED while nothing speaks against the release, at the end too.

        RUNNING if a read is older than the one that showed the end of the rollout, and for one that runs beside the
        release before.
        """
        rollout = self.rollout
        # With a second target group, both releases run until the bake is over.
        baked_beside = rollout.stage is not None and rollout.stage.takes_requests
        going_on = rollout.verdict is ReleaseVerdict.RUNNING and not baked_beside
        if going_on and rollout.look() is not ReleaseVerdict.DEPLOYED:
            return rollout.verdict
        raw = read_service(rollout.aws, rollout.cluster, rollout.service)
        ends = rollout.ends(raw)
        if not any(
            one["id"] == rollout.deployment and one["status"] == "PRIMARY" for one in raw.get("deployments", ())
        ):
            rollout.verdict, rollout.reason = ReleaseVerdict.FAILED, "another deployment took its place"
        elif any(end.counts for end in ends):
            rollout.take_evidence(raw, ends)
            looping = any(group.count >= CRASHES for group in rollout.card.groups)
            rollout.verdict = ReleaseVerdict.CRASH_LOOPING if looping else ReleaseVerdict.ROLLED_BACK
            rollout.reason = f"{rollout.card.summary}, after all tasks had been healthy"
        elif reason := self._speaks_against():
            rollout.take_evidence(raw, ends)
            rollout.verdict, rollout.reason = ReleaseVerdict.ROLLED_BACK, reason
        return rollout.verdict

    def notes(self) -> list[str]:
        """What was seen and what could not be: sentences for the end of a good release."""
        notes = [f"no task ended in {self.seconds:.0f} s"]
        if self.baseline.traffic.is_bad:
            notes.append(f"not judged by 5xx: the release before had {self.baseline.traffic}")
        elif self._traffic.requests:
            notes.append(str(self._traffic))
        answer = self._answers.get("/version", Answer())
        if answer.document.get("version") == self.version:
            notes.append(f"/version answers {self.version}")
        elif self.url and not answer.status:
            notes.append(f"/version was not asked: {answer.problem or 'no time'}")
        return notes

    def _speaks_against(self) -> str:
        """Why the release has to go back; "" if nothing says so."""
        seen = _traffic(self.rollout.aws, self.target_group_arn, self._since)
        self._traffic = Traffic(seen.requests - self._older.requests, seen.errors - self._older.errors)
        if self._traffic.is_bad and not self.baseline.traffic.is_bad:
            return str(self._traffic)
        if self.url:
            self._answers = {path: ask(f"{self.url}{path}") for path in ASKED}
        # At the end: right after a rollout, a client may still hold a connection to an old task.
        if self.left:
            return ""
        return wrong_answer(self._answers, self.service, self.version, was_ready=self.baseline.ready)


def wrong_answer(answers: Mapping[str, Answer], service: str, version: str, *, was_ready: bool) -> str:
    """What answers of a release to `/version` and `/ready` say against it, as a sentence; "" for nothing."""
    answered, ready = (answers.get(path, Answer()) for path in ASKED)
    # Another program may use the path for something else; the order processor says which service it is.
    running = answered.document.get("version") if answered.document.get("service") == service else None
    if answered.status == 200 and running is not None and running != version:
        return plain(f"/version answers {running}, not {version}", LONGEST_ANSWER)
    if was_ready and ready.status >= 500:
        return f"/ready answered 200 before, and {ready.status} now{_failed_checks(ready)}"
    return ""


def _failed_checks(answer: Answer) -> str:
    """What the order processor says is not ready, as the end of a sentence; "" for another service's answer."""
    checks = answer.document.get("checks")
    failed = {
        name: check.get("detail", "")
        for name, check in (checks if isinstance(checks, dict) else {}).items()
        if isinstance(check, dict) and not check.get("ok")
    }
    return plain("".join(f"; {name}: {detail}" for name, detail in failed.items()), LONGEST_ANSWER)


def _traffic(aws: Aws, target_group_arn: str, since: datetime, until: datetime | None = None) -> Traffic:
    """The traffic, or none if it may not be read: a release does not depend on the permission to read metrics."""
    if not target_group_arn:
        return NO_TRAFFIC
    try:
        return traffic(aws, target_group_arn, since, until)
    except AwsError:
        return NO_TRAFFIC
