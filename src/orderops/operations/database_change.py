"""A guided change of one setting of the database: declared in the file, made for the instance alone, and measured."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any, ClassVar

from orderops.aws.documents import Bucket
from orderops.engine.reconcile import reconcile
from orderops.engine.resource import Observed, Outputs, Resource
from orderops.engine.step import Action
from orderops.engine.terms import Terms
from orderops.errors import OrderopsError
from orderops.frozen import replace
from orderops.infra.address import service_url
from orderops.infra.declaration import Declaration
from orderops.infra.instance_plan import Fact, InstancePlan, check_state
from orderops.infra.measured_changes import ChangeKind, MeasuredChange, save
from orderops.infra.outage import OutageProbe, readiness_probe
from orderops.infra.readiness import asked_service
from orderops.operations.guarded import Change, Outcome, check_covered, guarded_change
from orderops.operations.options import ChangeOptions
from orderops.operations.workspace import confirm_change, slow_resources
from orderops.resources.rds_description import is_usable
from orderops.resources.rds_guided import RUNNING, GuidedInstance, guided
from orderops.runs.run import Run
from orderops.ui import console, database_change
from orderops.ui.progress import Progress

STATUS_EVERY = 2.0
"""Seconds between two looks at the status of an instance."""


class InstanceChange(Change[InstancePlan]):
    """Writes one value into the environment file and brings the instance there, and nothing else."""

    key: ClassVar[str]
    """The property of the instance."""
    along: ClassVar[frozenset[str]] = frozenset()
    """Properties that change with it."""
    kind: ClassVar[ChangeKind]

    def __init__(self, declaration: Declaration, options: ChangeOptions, wanted: str, *, at_once: bool) -> None:
        self.workspace = declaration.workspace
        self.wanted = wanted
        self.probe: OutageProbe | None = None
        """What saw whether the database was away; None if nothing was changed."""
        self.declaration = declaration
        self.options = options
        self._at_once = at_once
        self.shown: InstancePlan | None = None

    @abstractmethod
    def question(self, plan: InstancePlan) -> str:
        """The question before the change."""

    @abstractmethod
    def in_force(self, now: str) -> bool:
        """Whether this value is the wanted one."""

    @abstractmethod
    def refuse(self, observed: Observed) -> None:
        """Raise OrderopsError for a change that cannot work, before anything is changed."""

    @abstractmethod
    def facts(self, plan: InstancePlan) -> list[Fact]:
        """What the operator has to know before the question."""

    def first(self, outputs: Outputs) -> Collection[Resource]:
        """Resources that have to be there before the change."""
        return ()

    def then(self, outputs: Outputs) -> Collection[Resource]:
        """Resources that follow from the new value."""
        return ()

    def plan(self) -> InstancePlan:
        workspace, outputs = self.workspace, Outputs(self.workspace.aws.region, self.workspace.aws.account)
        inventory = workspace.inventory()
        with Progress() as progress:
            terms = Terms(ignores=workspace.ignores)
            planned = reconcile(
                workspace.stack.infra, inventory, outputs=outputs, dry_run=True, terms=terms, on_wait=progress.watch
            )
            steps = {step.address: step for step in planned}
        observed = self._observed(outputs)
        now = str(observed.properties[RUNNING[self.key]])
        busy = self.is_busy(observed, now)
        check_state(observed, workspace.environment.name, busy=busy)
        in_force = self.in_force(now)
        if not in_force:
            self.refuse(observed)
        at_once = self._at_once and not in_force
        resource = self.instance(observed, at_once=at_once)
        [step] = reconcile([resource], inventory, outputs=outputs, dry_run=True, terms=self._terms())
        plan = InstancePlan(step, observed, now, self.wanted, at_once, inventory, outputs, in_force=in_force, busy=busy)
        later = [] if plan.waits else self.then(outputs)
        plan = replace(
            plan,
            before=[steps[item.address] for item in self.first(outputs)] if step.action is Action.UPDATE else [],
            after=[steps[resource.address] for resource in later],
        )
        return replace(plan, facts=self.facts(plan)) if plan.is_needed and not in_force else plan

    def show(self, plan: InstancePlan) -> None:
        self.shown = plan
        if not self.options.as_json:
            console.show_plan([plan.step])
            database_change.show_facts(plan.facts)
            console.show_plan([step for step in plan.steps if step is not plan.step])
            if self.declaration.changes:
                database_change.show_file(str(self.workspace.file), self.declaration.before, self.declaration.after)

    def preview(self, plan: InstancePlan) -> None:
        if self.options.as_json:
            console.show_json(self.result(None))

    def is_needed(self, plan: InstancePlan) -> bool:
        return plan.is_needed or self.declaration.changes

    def ask(self, plan: InstancePlan) -> bool:
        if plan.step.error:
            raise plan.step.error
        return confirm_change(self.workspace, self.question(plan), self.options)

    def check(self, confirmed: InstancePlan, plan: InstancePlan, *, prompted: bool) -> None:
        if prompted:
            check_covered(confirmed.steps, plan.steps)

    def apply(self, plan: InstancePlan, run: Run, progress: Progress) -> None:
        if plan.step.error:
            raise plan.step.error
        self.declaration.write()
        self.bring(self.first(plan.outputs) if plan.before else (), plan, run, progress)
        if plan.step.action is not Action.NO_OP or plan.busy:
            self.change(plan, run, progress)
        self.bring(self.then(plan.outputs) if plan.after else (), plan, run, progress)

    def progress_resources(self, plan: InstancePlan) -> Iterable[Resource]:
        return slow_resources(self.workspace)

    def result(self, outcome: Outcome[InstancePlan] | None) -> dict[str, Any]:
        """The document of --json: what would be done, or what was done and how long the database was away."""
        plan = outcome.plan if outcome else self.shown
        assert plan
        document = console.plan_json(self.workspace.environment.name, plan.steps, [])
        progress = outcome.progress if outcome else None
        return {
            **document,
            "instance": plan.observed.id,
            "before": plan.now,
            "after": plan.wanted,
            "when": "now" if plan.at_once else "window" if plan.waits else "in force",
            "facts": [fact.to_dict() for fact in plan.facts],
            "applied": bool(outcome and outcome.run),
            "duration_seconds": round(progress.elapsed, 1) if progress else None,
            "away": self.away(),
        }

    def away(self) -> dict[str, Any] | None:
        if self.probe is None:
            return None
        outages = self.probe.outages
        return {
            "seconds": round(outages.seconds, 3),
            "seen_by": self.probe.source,
            "outages": [outage.to_dict() for outage in outages.found],
        }

    def _observed(self, outputs: Outputs) -> Observed:
        instance, name = self.workspace.stack.database, self.workspace.environment.name
        if instance not in outputs:
            raise OrderopsError(f"{name} has no database yet", f"create it: orderops up --env {name}")
        return outputs[instance]

    def instance(self, observed: Observed, *, at_once: bool) -> GuidedInstance:
        """The declared instance, with how it comes to the wanted value."""
        return guided(self.workspace.stack.database, at_once=at_once)

    def is_busy(self, observed: Observed, now: str) -> bool:
        """Whether RDS is at work on just this change: the file has the value, and the instance has or gets it."""
        value = observed.properties["PendingModifiedValues"].get(self.key, now)
        working = observed.properties["DBInstanceStatus"] in ("modifying", "upgrading", "rebooting")
        return working and not self.declaration.changes and self.in_force(str(value))

    def _terms(self) -> Terms:
        """Terms that change this setting of the instance, and leave every other difference from the file alone."""
        changed, address = {self.key, *self.along}, self.workspace.stack.database.address
        return Terms(ignores=lambda where, key: where == address and key not in changed)

    def bring(self, resources: Iterable[Resource], plan: InstancePlan, run: Run, progress: Progress) -> None:
        steps = reconcile(
            resources,
            plan.inventory,
            outputs=plan.outputs,
            terms=Terms(ignores=self.workspace.ignores),
            on_wait=progress.watch,
            recent_writes=run.recent_writes,
        )
        for step in steps:
            progress.done(step)

    def change(self, plan: InstancePlan, run: Run, progress: Progress) -> None:
        resource = self.instance(plan.observed, at_once=plan.at_once)
        began = time.time()
        probe = self._probe(plan)
        with probe:
            for step in reconcile(
                [resource],
                plan.inventory,
                outputs=plan.outputs,
                terms=self._terms(),
                on_wait=progress.watch,
                recent_writes=run.recent_writes,
            ):
                progress.done(step)
            ended = time.time()
        # A change for the window has not begun.
        if plan.at_once or plan.busy:
            self.probe = probe
        if plan.at_once and not plan.busy:
            self._keep(plan, run, probe, began, ended)

    def _keep(self, plan: InstancePlan, run: Run, probe: OutageProbe, began: float, ended: float) -> None:
        """Keep what the change has taken, for the plan of the next one."""
        change = MeasuredChange(
            self.kind,
            datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds"),
            plan.observed.id,
            plan.now,
            plan.wanted,
            bool(plan.observed.properties["MultiAZ"]),
            round(ended - began, 1),
            round(probe.outages.seconds, 3),
            probe.source,
            self.workspace.aws.caller,
        )
        run.record.note(action="measured", **change.to_dict())
        save(Bucket(self.workspace.aws), self.workspace.environment.name, change)

    def _probe(self, plan: InstancePlan) -> OutageProbe:
        """A probe of the service where it can be reached from here, else of the status of the instance."""
        declared = self.workspace.stack
        balancer = declared.balancer in plan.outputs and asked_service(self.workspace.environment)
        probe = readiness_probe(service_url(declared, plan.outputs)) if balancer else None
        aws, name = self.workspace.aws, plan.observed.id
        return probe or OutageProbe(lambda: is_usable(aws, name), "the status of the instance", STATUS_EVERY)


def carry_out(change: InstanceChange, options: ChangeOptions) -> Outcome[InstancePlan] | None:
    """Plan, ask and make a change, and show what came of it; None for a dry run."""
    outcome = guarded_change(change.workspace, options, change)
    if outcome is not None:
        if options.as_json:
            console.show_json(change.result(outcome))
        else:
            database_change.show_outcome(change.workspace, outcome.plan, change.probe, applied=outcome.run is not None)
    return outcome
