"""Judge a release with a second target group at each stage, and let ECS go on where nothing speaks against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orderops.infra.service_routing import CANDIDATE
from orderops.releases.bake import ASKED, Bake, ReleaseBaseline, wrong_answer
from orderops.releases.probe import Answer, ask
from orderops.releases.rollout import Rollout
from orderops.releases.stages import SHIFTING, DeploymentStage, answer_pause
from orderops.releases.verdict import ReleaseVerdict
from orderops.resources.elbv2_rule import live_target_group

AGREEING = 3
"""Looks in a row that have to say the same of the tested release.

A rule that has just been changed takes effect a moment later: until then, the tasks before answer the test.
"""


@dataclass
class StagedRelease:
    """What is known of a release on its way from the test to all requests."""

    rollout: Rollout
    service: str
    version: str
    url: str
    """Where clients reach the service; "" if its rules do not forward `/version` and `/ready` to it."""
    baseline: ReleaseBaseline
    bake_seconds: float
    production_rule: str
    test_rule: str
    """ARNs of the rules."""
    notes: list[str] = field(default_factory=list)
    _reason: str = ""
    _agreeing: int = 0
    _canary: Bake | None = None
    _bake: Bake | None = None

    def look(self, stage: DeploymentStage) -> bool:
        """Judge it at its stage; False if it has to go back. Answers the pause that has nothing to wait for."""
        if stage.is_tested:
            return self._tested(stage)
        if stage.stage == SHIFTING:
            # Its end is set by ECS. Longer than any share of the requests, since the end is judged at the pause.
            self._canary = self._canary or self._begin(float("inf"))
            return _is_good(self._canary.look())
        if stage.is_baked:
            return self._baked(stage)
        return True

    def waits_for(self, stage: DeploymentStage) -> str:
        """What it waits for, as a part of a sentence; "" if for nothing but its tasks."""
        if stage.is_tested:
            return "is tested, and gets no request of a client yet"
        if stage.stage == SHIFTING:
            return "gets a part of the requests"
        left = self._bake.left if self._bake and stage.is_baked else 0
        return f"bakes beside the tasks before, {left:.0f} s to go" if left else ""

    def _tested(self, stage: DeploymentStage) -> bool:
        answers: Mapping[str, Answer] = {}
        if self.url:
            answers = {path: ask(f"{self.url}{path}", {CANDIDATE: self.service}) for path in ASKED}
        reason = wrong_answer(answers, self.service, self.version, was_ready=self.baseline.ready)
        self._agreeing = self._agreeing + 1 if reason == self._reason else 1
        self._reason = reason
        if self._agreeing < AGREEING and self.url:
            return True
        if reason:
            self.rollout.verdict = ReleaseVerdict.ROLLED_BACK
            self.rollout.reason = f"{reason}; no client has reached it"
            return False
        if answer_pause(self.rollout.aws, stage, "CONTINUE"):
            version = answers.get("/version", Answer())
            reached = f"answered its test with {version.status}" if version.status else "was not tested"
            self.notes.append(f"{reached}{f': {version.problem}' if version.problem else ''}")
        return True

    def _baked(self, stage: DeploymentStage) -> bool:
        self._bake = self._bake or self._begin(self.bake_seconds)
        over = not self._bake.left
        if not _is_good(self._bake.look()):
            return False
        if over and answer_pause(self.rollout.aws, stage, "CONTINUE") and self._bake.seconds:
            self.notes.extend(self._bake.notes())
        return True

    def _begin(self, seconds: float) -> Bake:
        # The test rule leads to the new tasks until the next release.
        group = live_target_group(self.rollout.aws, self.test_rule)
        return Bake(self.rollout, seconds, self.url, self.service, self.version, group, self.baseline)


def _is_good(verdict: ReleaseVerdict) -> bool:
    return verdict in (ReleaseVerdict.RUNNING, ReleaseVerdict.DEPLOYED)
