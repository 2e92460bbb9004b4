"""Watch releases while they roll out and bake: judge each, turn back a bad one, and record what became of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from time import monotonic

from orderops.aws.documents import Bucket
from orderops.engine.scheduler import OnWait, Pauses
from orderops.errors import AwsError, Interrupted, Meaning, OrderopsError, Unfinished
from orderops.infra.workspace import Workspace
from orderops.operations.release_stages import StagedRelease
from orderops.releases.bake import Bake, ReleaseBaseline
from orderops.releases.record import ReleaseHistory, ReleaseRecord
from orderops.releases.rollout import Rollout
from orderops.releases.verdict import ReleaseFailed, ReleaseOutcome, ReleaseVerdict
from orderops.resources.ecs_service import EcsService
from orderops.runs.history import timestamp
from orderops.runs.run import Run
from orderops.ui import console
from orderops.ui.releases import show_card

PAUSES = Pauses(first=0.7, steady=0.7, longest=5.0, share=0.05)
"""Between two looks at a release: short at first, when most fail, and longer the longer it takes."""
READS_LAG = 60.0
"""Seconds for a read to show the end of a rollout that another read has shown. AWS's reads may lag by 30 s."""
BACK_WITHIN = 1200.0
"""Seconds for the return to the release before, whose tasks mostly still run."""
NOTHING_BEFORE = "there is no earlier release to return to, so ECS goes on trying"


@dataclass
class WatchedRelease:
    """The release of one service, from before its rollout to its verdict."""

    service: str
    rollout: Rollout
    bake_seconds: float
    baseline: ReleaseBaseline
    url: str
    version: str
    image: str
    target_group_arn: str
    record: ReleaseRecord | None = None
    turned_back: bool = False
    notes: Sequence[str] = ()
    rules: tuple[str, str] | None = None
    """ARNs of the production rule and the test rule of a service with two target groups."""

    @cached_property
    def staged(self) -> StagedRelease | None:
        """What judges it at its stages, if it can have any."""
        if self.rules is None:
            return None
        return StagedRelease(
            self.rollout, self.service, self.version, self.url, self.baseline, self.bake_seconds, *self.rules
        )

    @property
    def bakes_after(self) -> bool:
        """Whether it bakes after its rollout, and not beside the release before."""
        return bool(self.rollout.deployment and self.bake_seconds and self.rules is None)

    @property
    def waits_for(self) -> str:
        """What its stage waits for; "" if for nothing but its tasks."""
        stage = self.rollout.stage
        return self.staged.waits_for(stage) if self.staged and stage else ""

    def bake(self) -> Bake:
        """Begin to bake it."""
        return Bake(
            self.rollout,
            self.bake_seconds,
            self.url,
            self.service,
            self.version,
            self.target_group_arn,
            self.baseline,
        )

    @property
    def outcome(self) -> ReleaseOutcome:
        """What became of it so far."""
        rollout = self.rollout
        return ReleaseOutcome(self.service, rollout.verdict, rollout.reason, rollout.runs_now(), rollout.card)


@dataclass
class ReleaseWatch:
    """The releases of one run."""

    workspace: Workspace
    run: Run
    releases: Mapping[str, WatchedRelease]
    """By the address of the ECS service."""
    _began: float = field(default_factory=monotonic)
    _looked_at: float = 0.0

    @property
    def _interval(self) -> float:
        return PAUSES.after(1, monotonic() - self._began)

    def beside(self, on_wait: OnWait) -> OnWait:
        """Look at the releases whenever a resource waits, and pass the wait on."""

        def waits(address: str, waits_for: str) -> None:
            one = self.releases.get(address)
            at = f"; {one.waits_for}" if one and one.waits_for else ""
            on_wait(address, f"{waits_for}{at}" if waits_for else "")
            if one and waits_for and monotonic() - self._looked_at >= self._interval:
                self._looked_at = monotonic()
                self._look(one)

        return waits

    def rolled_out(self, steps: Callable[[], None]) -> None:
        """Roll out, and judge how that ended. Raises ReleaseFailed, or the error of anything else that failed."""
        try:
            steps()
        except Unfinished as error:
            self._settle()
            self._raise_failed(error)
            for one in self.releases.values():
                self._save(one)
            raise
        except Interrupted as error:
            raise self._detached(error) from None
        except KeyboardInterrupt:
            # In a look at a release, and not between two steps.
            raise self._detached(Interrupted([])) from None
        self._settle()
        self._raise_failed(None)

    def judged(self, on_wait: OnWait) -> None:
        """Look until each release has a verdict, where nothing else waits for it. Raises ReleaseFailed."""
        try:
            while going_on := [one for one in self.releases.values() if one.rollout.verdict is ReleaseVerdict.RUNNING]:
                for one in going_on:
                    self._look(one)
                    waits_for = one.waits_for or one.rollout.runs_now()
                    on_wait(f"{EcsService.kind}/{one.rollout.service}", waits_for)
                    if one.turned_back:
                        self._wait_until_back(one, partial(on_wait, f"{EcsService.kind}/{one.rollout.service}"))
                time.sleep(self._interval)
        except KeyboardInterrupt:
            raise self._detached(Interrupted([])) from None
        self._raise_failed(None)

    def baked(self, on_wait: OnWait) -> list[WatchedRelease]:
        """Watch each release for its bake time; return those that are good. Raises ReleaseFailed."""
        baking = {address: one.bake() for address, one in self.releases.items() if one.bakes_after}
        try:
            self._bake(baking, on_wait)
        except KeyboardInterrupt:
            raise self._detached(Interrupted([])) from None
        for one in self.releases.values():
            if one.rollout.deployment:
                one.notes = one.notes or (one.staged.notes if one.staged else ())
                self._save(one)
        self._raise_failed(None)
        return [one for one in self.releases.values() if one.rollout.deployment]

    def _bake(self, baking: Mapping[str, Bake], on_wait: OnWait) -> None:
        going_on = dict(baking)
        while going_on:
            for address, bake in list(going_on.items()):
                left, one = bake.left, self.releases[address]
                verdict = bake.look()
                if verdict is ReleaseVerdict.RUNNING or (verdict is ReleaseVerdict.DEPLOYED and left):
                    on_wait(address, f"bakes: all tasks are healthy, {left:.0f} s to go")
                    continue
                # A deployment that took its place belongs to somebody else, and is left alone.
                if verdict not in (ReleaseVerdict.DEPLOYED, ReleaseVerdict.FAILED):
                    self._turn_back(one)
                    self._wait_until_back(one, partial(on_wait, address))
                one.notes = bake.notes()
                on_wait(address, "")
                del going_on[address]
            if going_on:
                time.sleep(min(self._interval, *(max(bake.left, 0.05) for bake in going_on.values())))

    def _look(self, one: WatchedRelease) -> None:
        try:
            verdict = one.rollout.look()
        except AwsError as error:
            # The next look may be answered; what is denied has to be said.
            if error.meaning is Meaning.NO:
                raise
            return
        if one.rollout.deployment and one.record is None:
            self._save(one)
        if one.turned_back:
            return
        stage = one.rollout.stage if verdict is ReleaseVerdict.RUNNING else None
        good = one.staged.look(stage) if one.staged and stage else True
        if not good or verdict in (ReleaseVerdict.CRASH_LOOPING, ReleaseVerdict.STUCK):
            self._turn_back(one)

    def _turn_back(self, one: WatchedRelease) -> None:
        # Saved first: the rollback destroys the evidence.
        self._save(one)
        one.turned_back = True
        if not one.rollout.roll_back() and one.rollout.verdict is not ReleaseVerdict.FAILED:
            one.rollout.reason += f"; {NOTHING_BEFORE}"
            raise self._failure([one])

    def _wait_until_back(self, one: WatchedRelease, on_wait: Callable[[str], None]) -> None:
        deadline = monotonic() + BACK_WITHIN
        while not one.rollout.is_back():
            if monotonic() > deadline:
                one.rollout.verdict = ReleaseVerdict.FAILED
                one.rollout.reason += f"; the release before is not back after {BACK_WITHIN / 60:.0f} min"
                return
            on_wait("returns to the release before")
            time.sleep(self._interval)

    def _settle(self) -> None:
        """Look until each release that began has a verdict: the last look may be older than the end of the rollout."""
        deadline = monotonic() + READS_LAG
        while True:
            for one in self.releases.values():
                one.rollout.look()
            begun = [one.rollout for one in self.releases.values() if one.rollout.deployment]
            if all(one.verdict is not ReleaseVerdict.RUNNING for one in begun) or monotonic() > deadline:
                return
            time.sleep(self._interval)

    def _raise_failed(self, error: Unfinished | None) -> None:
        failed = [
            one
            for one in self.releases.values()
            if one.rollout.verdict not in (ReleaseVerdict.DEPLOYED, ReleaseVerdict.RUNNING)
        ]
        if failed:
            raise self._failure(failed, error)

    def _failure(self, failed: Sequence[WatchedRelease], error: Unfinished | None = None) -> ReleaseFailed:
        for one in failed:
            self._save(one)
        where = f"--env {self.workspace.environment.name}"
        hint = "\n".join(f"shown again by: orderops service explain {one.service} {where}" for one in failed)
        others = {
            address: failure
            for address, failure in (error.failures if error else {}).items()
            if address not in self.releases
        }
        raised = ReleaseFailed([one.outcome for one in failed], hint)
        for address, failure in others.items():
            raised.message += f"\n{address}: {failure.message}"
        return raised

    def _detached(self, error: Interrupted) -> OrderopsError:
        for one in self.releases.values():
            self._save(one)
        if not any(one.rollout.deployment for one in self.releases.values()):
            return error
        detached = Interrupted(error.left)
        pauses = [one.rollout.stage.unanswered for one in self.releases.values() if one.rollout.stage]
        goes_on = "ECS goes on with the release, and its circuit breaker with judging it"
        detached.message = f"detached: {'; '.join(filter(None, pauses)) or goes_on}"
        detached.hint = f"watch it again: orderops service deploy --attach --env {self.workspace.environment.name}"
        return detached

    def _save(self, one: WatchedRelease) -> None:
        """Record a release as far as it is known; nothing while it has no deployment."""
        rollout = one.rollout
        if not rollout.deployment:
            return
        if one.record is None:
            begun = self.run.record.run
            one.record = ReleaseRecord(
                one.service,
                begun["run"],
                begun["command"],
                begun["who"],
                one.image,
                rollout.definition,
                rollout.previous,
                rollout.deployment,
                timestamp(),
            )
        one.record = one.record.with_outcome(one.outcome)
        history_of(self.workspace).write(one.record)


@contextmanager
def failures_shown(*, as_json: bool) -> Iterator[None]:
    """Show the failure cards of releases that fail inside the `with` block, or the document of --json."""
    try:
        yield
    except ReleaseFailed as error:
        if as_json:
            console.show_json({"applied": True, "releases": [outcome.to_dict() for outcome in error.outcomes]})
        else:
            for outcome in error.outcomes:
                show_card(outcome)
        raise


def history_of(workspace: Workspace) -> ReleaseHistory:
    """The record of the environment's releases."""
    # Not guarded: what became of a release is recorded after its lease was lost, too.
    return ReleaseHistory(Bucket(workspace.aws.guarded(lambda: None)), workspace.environment.name)
