"""A rollout under way: read again and again, and judged by its own deployment's identity.

DescribeServices hides a deployment that was rolled back behind the one that rolls it back, and ECS's own count of
failures starts again whenever a task runs for a moment. So the deployment is known by its id, and the ends of its tasks
are counted here. Sources: "DeploymentCircuitBreaker" and "Deployment" in the ECS API reference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from orderops.aws.client import Aws
from orderops.releases.card import NO_CARD, FailureCard, card_of
from orderops.releases.running import read_service
from orderops.releases.stages import SCALING, DeploymentStage, has_stages, stage_of, stop_deployment, why_ended
from orderops.releases.task_end import TaskEnd, ends_of
from orderops.releases.verdict import ReleaseVerdict
from orderops.resources.ecs_failure import trouble

CRASHES = 2
"""Ends for the same cause that make a crash loop."""
IMPAIRED_SHARE = 0.2
"""Part of the time for a stuck release after which an event is believed that says why no task can be started.

A new role or address may be known a minute later.
"""
CLOCKS = timedelta(seconds=5)
"""How much earlier the service deployment may seem to have begun than the deployment of DescribeServices."""


@dataclass
class Rollout:
    """The rollout of one service, from the deployments before it on."""

    aws: Aws
    cluster: str
    service: str
    values: Mapping[str, str]
    """What the words of causes name: environment, service, image, memory, port."""
    stuck_seconds: float
    """Seconds without a task that starts, becomes healthy or ends, after which it is stuck."""
    before: frozenset[str] = frozenset()
    """Ids of the deployments that were there before."""
    previous: str = ""
    """Task definition that ran before; "" for a first release."""
    deployment: str = ""
    """Id of the own deployment; "" until it is seen."""
    definition: str = ""
    """Task definition of the own deployment."""
    verdict: ReleaseVerdict = ReleaseVerdict.RUNNING
    reason: str = ""
    card: FailureCard = NO_CARD
    stage: DeploymentStage | None = None
    """The stage when it was read last; None for a rolling deployment."""
    _began: datetime | None = None
    _moved_at: float = field(default_factory=monotonic)
    _seen: object = None
    _impaired_since: float | None = None

    @classmethod
    def of(cls, aws: Aws, cluster: str, service: str, values: Mapping[str, str], stuck_seconds: float) -> Rollout:
        """Read what is there before the release."""
        raw = read_service(aws, cluster, service)
        deployments = raw.get("deployments", ())
        completed = [one for one in deployments if one.get("rolloutState", "COMPLETED") == "COMPLETED"]
        return cls(
            aws,
            cluster,
            service,
            values,
            stuck_seconds,
            before=frozenset(one["id"] for one in deployments),
            previous=str(completed[0]["taskDefinition"]) if completed else "",
        )

    @classmethod
    def under_way(
        cls, aws: Aws, cluster: str, service: str, values: Mapping[str, str], stuck_seconds: float
    ) -> Rollout:
        """Take up the newest deployment, which another run has begun."""
        raw = read_service(aws, cluster, service)
        primary = _primary(raw)
        older = [one for one in raw.get("deployments", ()) if one["id"] != primary["id"]]
        found = cls(aws, cluster, service, values, stuck_seconds, before=frozenset(one["id"] for one in older))
        found.previous = str(older[0]["taskDefinition"]) if older else ""
        return found

    def look(self) -> ReleaseVerdict:
        """Read once, and judge. RUNNING until a verdict is reached, DEPLOYED once all its tasks are healthy."""
        raw = read_service(self.aws, self.cluster, self.service)
        deployments = {one["id"]: one for one in raw.get("deployments", ())}
        self._find_own(raw)
        if not self.deployment or self.verdict is not ReleaseVerdict.RUNNING:
            return self.verdict
        own, primary = deployments.get(self.deployment), _primary(raw)
        if own and own.get("rolloutState") == "COMPLETED" and own["status"] == "PRIMARY":
            self.verdict = ReleaseVerdict.DEPLOYED
            return self.verdict
        if has_stages(raw):
            # The last one is kept: it names the deployment, which says why it ended.
            since = self._began - CLOCKS if self._began else None
            self.stage = stage_of(self.aws, self.cluster, self.service, since) or self.stage
        ends = self.ends(raw)
        self._judge(raw, own, primary, ends)
        if self.verdict is not ReleaseVerdict.RUNNING:
            self.take_evidence(raw, ends)
        return self.verdict

    def ends(self, raw: Mapping[str, Any]) -> list[TaskEnd]:
        """How tasks of the own deployment ended."""
        return list(ends_of(self.aws, self.cluster, raw, self.deployment))

    def take_evidence(self, raw: Mapping[str, Any], ends: list[TaskEnd]) -> None:
        """Keep why tasks failed: ECS forgets stopped tasks, and a rollback pushes its events out of the list."""
        card = card_of(ends, trouble(raw, self._began)[::-1], self.values)
        # A later look may find less.
        if card.groups or not self.card.groups:
            self.card = card

    def roll_back(self) -> str:
        """Return to the release before; return what was asked of ECS, or "" where there is none to return to."""
        if not self.previous:
            return ""
        under_way = stage_of(self.aws, self.cluster, self.service)
        if under_way and stop_deployment(self.aws, under_way):
            return "stopped, and rolled back"
        if read_service(self.aws, self.cluster, self.service).get("taskDefinition") != self.previous:
            self.aws.ecs.update_service(cluster=self.cluster, service=self.service, taskDefinition=self.previous)
        return "returned to the release before"

    def is_back(self) -> bool:
        """Whether the release before runs again, alone."""
        raw = read_service(self.aws, self.cluster, self.service)
        primary = _primary(raw)
        return primary.get("taskDefinition") == self.previous and primary.get("rolloutState") == "COMPLETED"

    def runs_now(self) -> str:
        """What the service runs, such as "2 of 2 tasks of revision 7 run"."""
        raw = read_service(self.aws, self.cluster, self.service)
        if not raw:
            return ""
        counts = Counter[str]()
        for one in raw["deployments"]:
            counts[one["taskDefinition"].rpartition(":")[2]] += one["runningCount"]
        running = " and ".join(f"{count} of revision {revision}" for revision, count in counts.items() if count)
        return f"{running or 'no task'} run{'s' * (not running)}, {raw['desiredCount']} wanted"

    def _find_own(self, raw: Mapping[str, Any]) -> None:
        """Take the first deployment that was not there before for the own one."""
        new = [one for one in raw.get("deployments", ()) if one["id"] not in self.before]
        if not self.deployment and new:
            own = min(new, key=lambda one: one["createdAt"])
            self.deployment, self.definition = own["id"], own["taskDefinition"]
            self._began, self._moved_at = own["createdAt"], monotonic()

    def _judge(
        self, raw: Mapping[str, Any], own: Mapping[str, Any] | None, primary: Mapping[str, Any], ends: list[TaskEnd]
    ) -> None:
        gone = own is None or own["status"] != "PRIMARY"
        if gone and primary.get("taskDefinition") != self.previous:
            self._decide(ReleaseVerdict.FAILED, f"another deployment, {primary.get('id', '(none)')}, took its place")
        elif crash := self._crash_loop(ends):
            # Whoever is first: ECS's circuit breaker may have returned to the release before by now.
            self._decide(ReleaseVerdict.CRASH_LOOPING, crash)
        elif gone and not ends and (card := self._card_of_events(raw)).groups:
            # ECS gave up first; no task was ever started.
            self._decide(ReleaseVerdict.STUCK, card.groups[0].cause.title)
        elif own is None or gone:
            self._decide(ReleaseVerdict.ROLLED_BACK, self._why_back(primary))
        elif own.get("rolloutState") == "FAILED":
            self._decide(ReleaseVerdict.FAILED, str(own.get("rolloutStateReason", "")))
        elif stuck := self._stuck(raw, own, ends):
            self._decide(ReleaseVerdict.STUCK, stuck)

    def _why_back(self, primary: Mapping[str, Any]) -> str:
        why = why_ended(self.aws, self.stage) if self.stage else ""
        return why or str(primary.get("rolloutStateReason", ""))

    def _card_of_events(self, raw: Mapping[str, Any]) -> FailureCard:
        return card_of((), trouble(raw, self._began), self.values)

    def _decide(self, verdict: ReleaseVerdict, reason: str) -> None:
        self.verdict, self.reason = verdict, reason

    def _crash_loop(self, ends: list[TaskEnd]) -> str:
        card = card_of([end for end in ends if end.counts], (), self.values)
        first = card.groups[0] if card.groups else None
        return f"{first.count} x {first.cause.title}" if first and first.count >= CRASHES else ""

    def _stuck(self, raw: Mapping[str, Any], own: Mapping[str, Any], ends: list[TaskEnd]) -> str:
        now = monotonic()
        if self.stage and self.stage.stage not in SCALING:
            # At a pause or in a bake nothing has to move.
            self._moved_at = now
            return ""
        seen = (own["runningCount"], own["pendingCount"], len(ends), raw["runningCount"])
        if seen != self._seen:
            self._seen, self._moved_at = seen, now
        card = self._card_of_events(raw)
        if not card.groups or own["runningCount"]:
            self._impaired_since = None
        elif self._impaired_since is None:
            self._impaired_since = now
        if self._impaired_since is not None and now - self._impaired_since >= IMPAIRED_SHARE * self.stuck_seconds:
            return card.groups[0].cause.title
        if now - self._moved_at >= self.stuck_seconds:
            return f"no task has started, become healthy or ended for {int(now - self._moved_at)} s"
        return ""


def _primary(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((one for one in raw.get("deployments", ()) if one["status"] == "PRIMARY"), {})
