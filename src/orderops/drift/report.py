"""Drift as data: each difference between the file and the account, which side moved, and on whose behalf."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

from orderops import __version__
from orderops.config.drift import IgnoreConfig
from orderops.engine.decision import TAGS
from orderops.engine.resource import Effect, Resource
from orderops.engine.scheduler import OnWait
from orderops.engine.step import Action, Step
from orderops.frozen import Frozen, replace
from orderops.infra.left_out import running_images
from orderops.infra.plan import Plan, make_plan
from orderops.infra.workspace import Workspace
from orderops.runs.history import RunOutcome
from orderops.trail.lookup import KEPT, Trail, TrailAnswer, TrailState
from orderops.trail.subject import subject_of

RUNS_READ = 50
# Commands that apply a whole file; the second leaves out what a release consists of.
WHOLE = ("up", "infra apply")
RELEASED = ("ecs-service/", "ecs-task-definition/")
EXISTS = "(exists)"
"""In place of a property, for a resource that does not exist."""

NOT_LOOKED_UP = TrailAnswer(TrailState.MORE)


class Side(StrEnum):
    """Which side of a difference moved."""

    ACCOUNT = "account"
    FILE = "file"
    UNKNOWN = "unknown"


class Drift(Frozen):
    """One property of a resource that differs, or a resource that does not exist."""

    address: str
    key: str
    """In AWS's words; EXISTS for a resource that does not exist."""
    declared: Any
    found: Any
    effect: Effect
    """What a revert of the resource does to the running system."""
    moved: Side = Side.UNKNOWN
    mover: TrailAnswer = NOT_LOOKED_UP
    run: str = ""
    """The run of orderops that last applied the file's value, or after which the file was edited."""
    refused: str = ""
    """Why the resource cannot be reverted."""
    ignored: IgnoreConfig | None = None
    """The table that says to ignore it; its date may have passed."""
    expired: bool = False
    """Whether that date has passed, so that it counts again."""

    @property
    def counts(self) -> bool:
        """Whether it is drift: not ignored, and not a change of the file that has yet to be applied."""
        return self.moved is not Side.FILE and (self.ignored is None or self.expired)

    @property
    def can_be_ignored(self) -> bool:
        """Whether [drift.ignore] may name it: a property, and not the tags by which orderops finds its resources."""
        return self.key not in (EXISTS, TAGS)

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        last = self.mover.last
        return {
            "address": self.address,
            "property": None if self.key == EXISTS else self.key,
            "declared": self.declared,
            "found": self.found,
            "class": str(self.effect),
            "counts": self.counts,
            "moved": str(self.moved),
            "run": self.run or None,
            "mover": {
                "state": str(self.mover.state),
                "certain": self.mover.certain,
                **(last.to_dict() if last else {}),
            },
            "refused": self.refused or None,
            "ignored": self.ignored
            and {"reason": self.ignored.reason, "until": str(self.ignored.until), "expired": self.expired},
        }


class DriftReport(Frozen):
    """All differences of an environment, in the order of their addresses, and the plan that they were read from."""

    differences: Sequence[Drift]
    plan: Plan
    resources: Mapping[str, Resource]
    """Everything that is declared, with the images that run."""

    @property
    def drift(self) -> list[Drift]:
        """The differences that count."""
        return [difference for difference in self.differences if difference.counts]

    @property
    def exists(self) -> bool:
        """Whether any resource of the environment exists."""
        return any(step.action is not Action.CREATE for step in self.plan.steps)


def compare(workspace: Workspace, *, on_wait: OnWait = lambda *_: None) -> DriftReport:
    """Compare an environment with its file, without looking up what moved. Changes nothing.

    With the whole system: services are compared with the images that they run. Undeclared resources are no drift.
    """
    plan = make_plan(workspace, running=True, on_wait=on_wait)
    images = running_images(workspace.stack, plan.inventory)
    declared = [*plan.infra, *workspace.stack.release(images, only=images)]
    resources = {resource.address: resource for resource in declared}
    steps = sorted((step for step in plan.steps if step.address in resources), key=lambda step: step.address)
    today = datetime.now(UTC).date()
    differences = [_with_ignore(workspace, drift, today) for step in steps for drift in _differences(step)]
    return DriftReport(differences, plan, resources)


def drift_of(workspace: Workspace, trail: Trail | None = None, *, on_wait: OnWait = lambda *_: None) -> DriftReport:
    """Compare an environment with its file, and look up in CloudTrail and in the history what moved. Changes nothing.

    It never fails for what it looks up: where CloudTrail cannot be read, each difference says so.
    """
    report = compare(workspace, on_wait=on_wait)
    if not report.exists:
        return report
    search = _Search(workspace, report, trail or Trail(workspace.aws))
    differences = []
    for drift in report.differences:
        on_wait(drift.address, "CloudTrail's answer who moved it")
        differences.append(search.with_mover(drift))
    return replace(report, differences=differences)


def _differences(step: Step) -> Iterator[Drift]:
    refused = step.error.message if step.error else f"held back with {step.held_by}" if step.held_by else ""
    if step.action is Action.CREATE:
        yield Drift(step.address, EXISTS, "exists", "does not exist", step.effect, refused=refused)
        return
    for key, (found, declared) in {**step.changes, **step.ignored}.items():
        yield Drift(step.address, key, declared, found, step.effect, refused=refused)
    if step.error and not step.changes:
        yield Drift(step.address, "State", "ready", refused, step.effect, refused=refused)


def _with_ignore(workspace: Workspace, drift: Drift, today: date) -> Drift:
    covering = workspace.environment.drift.covering(drift.address, drift.key) if drift.can_be_ignored else []
    current = next((entry for entry in covering if entry.until >= today), None)
    return replace(drift, ignored=current or next(iter(covering), None), expired=bool(covering) and current is None)


class _Search:
    """What moved each difference."""

    def __init__(self, workspace: Workspace, report: DriftReport, trail: Trail) -> None:
        self._workspace = workspace
        self._report = report
        self._trail = trail

    def with_mover(self, drift: Drift) -> Drift:
        """The difference with its mover, and the side that moved."""
        mover = self._mover(drift)
        moved, run = self._side(drift, mover)
        if moved is Side.ACCOUNT and mover.last and mover.last.ours:
            # The last event is of orderops, which left the file's value: that of the change has yet to come.
            mover = TrailAnswer(TrailState.NOT_YET)
        return replace(drift, moved=moved, run=run, mover=mover)

    def _mover(self, drift: Drift) -> TrailAnswer:
        resource, outputs = self._report.resources[drift.address], self._report.plan.outputs
        inventory = self._report.plan.inventory
        # The plan places nothing of a resource that it would replace.
        observed = None if drift.key == EXISTS else inventory.get(resource, resource.desired(outputs))
        return self._trail.last_changes(
            subject_of(resource, observed, outputs, () if observed is None else (drift.key,))
        )

    def _side(self, drift: Drift, mover: TrailAnswer) -> tuple[Side, str]:
        """Which side moved, and the run that last applied the file's value."""
        for run, changes in self._updates(drift.address):
            if drift.key in changes:
                applied = _plain(_mapping(changes[drift.key]).get("desired"))
                if applied == _plain(drift.declared):
                    return Side.ACCOUNT, run
                return (Side.FILE, "") if applied == _plain(drift.found) else (Side.UNKNOWN, "")
        last = self._last_whole(drift.address)
        if last and self._is_of_this_file(last):
            return Side.ACCOUNT, str(last["run"])
        if mover.last and mover.certain:
            return (Side.FILE if mover.last.ours else Side.ACCOUNT), ""
        # After that run both sides were equal, so a call since then would be on record.
        if last and mover.state in (TrailState.NOT_YET, TrailState.NONE) and _age(last) < KEPT:
            return Side.FILE, str(last["run"])
        return Side.UNKNOWN, ""

    def _updates(self, address: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Run and changes of each update of a resource, the newest first."""
        for run in self._history:
            for step in reversed(run["steps"]):
                if step.get("address") == address and step.get("changes"):
                    yield run["run"], step["changes"]

    def _last_whole(self, address: str) -> dict[str, Any] | None:
        """The last completed run that applied a whole file to this resource."""
        commands = WHOLE[:1] if address.startswith(RELEASED) else WHOLE
        for run in self._history:
            whole = any(run["command"] == name or run["command"].startswith(f"{name} ") for name in commands)
            if whole and run["outcome"] == RunOutcome.DONE:
                return run
        return None

    def _is_of_this_file(self, run: Mapping[str, Any]) -> bool:
        return (run.get("file"), run.get("version")) == (self._workspace.file_digest, __version__)

    @cached_property
    def _history(self) -> list[dict[str, Any]]:
        return [
            run
            for run in self._workspace.runs.history(last=RUNS_READ)
            if run["outcome"] not in (RunOutcome.UNREADABLE, RunOutcome.RUNNING)
        ]


def _age(run: Mapping[str, Any]) -> timedelta:
    return datetime.now(UTC) - datetime.fromisoformat(run["started"])


def _plain(value: Any) -> str:
    """A value as the record has it."""
    return json.dumps(value, sort_keys=True, default=str)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def unused_ignores(workspace: Workspace, differences: Iterable[Drift]) -> list[str]:
    """The addresses of [drift.ignore] under which nothing differs."""
    used = [difference.ignored for difference in differences if difference.ignored]
    return [pattern for pattern, entry in workspace.environment.drift.ignore.items() if entry not in used]
