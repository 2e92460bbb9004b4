"""orderops database upgrade: another version of PostgreSQL, checked on the live database, declared and made."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import ClassVar

from orderops.aws.documents import Bucket
from orderops.config.database import is_engine_version
from orderops.database.extensions import UpgradeCheck
from orderops.engine.resource import Observed, Outputs, Resource
from orderops.errors import OrderopsError, UsageError
from orderops.infra.declaration import Declaration, declare
from orderops.infra.instance_plan import Fact, InstancePlan, outage_fact, storage_fact
from orderops.infra.measured_changes import ChangeKind, MeasuredChange, measured, newest
from orderops.infra.workspace import Workspace
from orderops.operations import upgrade_rehearsal
from orderops.operations.database_change import InstanceChange, carry_out
from orderops.operations.database_extensions import upgrade_check
from orderops.operations.database_scale import when
from orderops.operations.gate import check_reason
from orderops.operations.options import ChangeOptions, ChangeTime, EnvironmentOptions
from orderops.operations.workspace import check_upgrades, open_workspace
from orderops.resources.rds_offers import offers_of
from orderops.resources.rds_versions import UPGRADES, is_or_follows, numbers, stands_for, version_refusal
from orderops.runs.run import Run
from orderops.text.durations import in_words
from orderops.ui import console
from orderops.ui.progress import Progress

KEY = ("database", "engine_version")


def upgrade(
    where: EnvironmentOptions,
    options: ChangeOptions,
    version: str,
    at: ChangeTime | None,
    *,
    rehearse: bool,
    without_rehearsal: bool,
    reason: str | None,
) -> None:
    """Upgrade the database to a version, or a copy of it. An interrupted run is continued by the same command."""
    why = check_reason(without_rehearsal, reason)
    workspace = workspace_for(where, version)
    if rehearse:
        upgrade_rehearsal.rehearse(workspace, options, version)
        return
    declaration = declare(workspace, {KEY: version})
    at_once = when(workspace.environment, at) is ChangeTime.NOW
    outcome = carry_out(Upgrade(declaration, options, version, at_once=at_once, reason=why), options)
    if outcome and outcome.run and not options.as_json and not outcome.plan.waits:
        console.info_folded(
            f"then: orderops database analyze --env {where.env}, since a major version begins without statistics"
        )


def workspace_for(where: EnvironmentOptions, version: str) -> Workspace:
    """Open an environment whose database may be upgraded to this version. Raises UsageError for one that may not."""
    if not is_engine_version(version):
        raise UsageError(f"{version!r} is no version of PostgreSQL from 13 on", "write a major one: --to 17")
    workspace = open_workspace(where.env, where.environments)
    check_upgrades(workspace.environment)
    return workspace


class Upgrade(InstanceChange):
    """The upgrade of the instance itself."""

    key: ClassVar[str] = "EngineVersion"
    along: ClassVar[frozenset[str]] = frozenset({"DBParameterGroupName"})
    kind: ClassVar[ChangeKind] = ChangeKind.VERSION

    def __init__(
        self, declaration: Declaration, options: ChangeOptions, wanted: str, *, at_once: bool, reason: str
    ) -> None:
        super().__init__(declaration, options, wanted, at_once=at_once)
        self._reason = reason

    def question(self, plan: InstancePlan) -> str:
        how = "now" if plan.at_once else "in the maintenance window"
        return f"Upgrade {plan.observed.id} from PostgreSQL {plan.now} to {plan.wanted} {how}, with no way back?"

    def in_force(self, now: str) -> bool:
        return is_or_follows(now, self.wanted)

    def refuse(self, observed: Observed) -> None:
        name = self.workspace.environment.name
        if refusal := version_refusal(observed, self.wanted, name):
            raise OrderopsError(f"{refusal.message}; nothing was changed", refusal.hint)
        instance_class = observed.properties["DBInstanceClassNow"]
        if (target := self.target(observed)) and not offers_of(self.workspace.aws, instance_class, target):
            raise OrderopsError(
                f"RDS offers no {instance_class} for PostgreSQL {target}; nothing was changed",
                f"choose another class first: orderops database scale --class CLASS --env {name}",
            )
        if isinstance(self.found, UpgradeCheck) and self.is_major(observed):
            self.found.check(numbers(self.wanted)[0])

    def first(self, outputs: Outputs) -> Collection[Resource]:
        return [self.workspace.stack.database.parameter_group]

    def ask(self, plan: InstancePlan) -> bool:
        if plan.step.error is None and self.is_major(plan.observed) and not plan.in_force:
            self.check_rehearsed()
        return super().ask(plan)

    def apply(self, plan: InstancePlan, run: Run, progress: Progress) -> None:
        if self._reason:
            run.record.note(action="not rehearsed", reason=self._reason)
        super().apply(plan, run, progress)

    def facts(self, plan: InstancePlan) -> list[Fact]:
        properties = plan.observed.properties
        multi_az, name = bool(properties["MultiAZ"]), self.workspace.environment.name
        before = newest(Bucket(self.workspace.aws), name, self.kind, multi_az=multi_az)
        facts = [outage_fact(self.kind, before, multi_az=multi_az, emulated=False)]
        if plan.waits:
            facts.append(Fact("when", f"in the maintenance window {properties['PreferredMaintenanceWindow']} (UTC)"))
        return [*facts, *self._of_a_major(plan), storage_fact(plan.observed)]

    def _of_a_major(self, plan: InstancePlan) -> Iterator[Fact]:
        if not self.is_major(plan.observed):
            return
        name = self.workspace.environment.name
        found = self.found
        if isinstance(found, UpgradeCheck):
            yield Fact("extensions", found.in_words())
        else:
            how = f"read them: orderops database extensions --env {name}"
            yield Fact("extensions", f"not checked, since the database was not reached ({found.message}); {how}")
        rehearsed = self._rehearsed
        text = f"a copy took {in_words(rehearsed.seconds)} on {rehearsed.at[:10]}" if rehearsed else "none on record"
        yield Fact("rehearsal", text)
        yield Fact(
            "not back",
            "RDS never lowers a version: the way back is a restore to a time before the upgrade, which loses what was "
            f"written since: orderops restore --at TIMESTAMP --env {name}",
        )

    def is_major(self, observed: Observed) -> bool:
        return numbers(self.wanted)[0] > numbers(observed.properties["EngineVersionNow"])[0]

    def target(self, observed: Observed) -> str:
        """The version that RDS comes to; "" if that is not known."""
        targets = observed.properties.get(UPGRADES) or []
        return max((target for target in targets if stands_for(self.wanted, target)), key=numbers, default="")

    @cached_property
    def found(self) -> UpgradeCheck | OrderopsError:
        """What the database has, read once: a task of its own may be needed. Else why that cannot be read."""
        try:
            return upgrade_check(self.workspace)
        except OrderopsError as error:
            return error

    @cached_property
    def _rehearsed(self) -> MeasuredChange | None:
        """The newest upgrade of a copy to this version, of as many days as a receipt is valid."""
        declared, oldest = (
            self.workspace.environment,
            timedelta(days=self.workspace.environment.migrations.receipt_days),
        )
        for change in measured(Bucket(self.workspace.aws), declared.name):
            age = datetime.now(UTC) - datetime.fromisoformat(change.at)
            if change.kind == ChangeKind.REHEARSAL and is_or_follows(change.after, self.wanted) and age <= oldest:
                return change
        return None

    def check_rehearsed(self) -> None:
        """Raise OrderopsError where the file asks for rehearsals and there is none of this upgrade."""
        declared = self.workspace.environment
        if self._reason or self._rehearsed or not (declared.protected or declared.migrations.rehearsed):
            return
        command = f"orderops database upgrade --to {self.wanted} --env {declared.name}"
        raise OrderopsError(
            f"an upgrade of {declared.name} to PostgreSQL {self.wanted} was not rehearsed; nothing was changed",
            f"rehearse it: {command} --rehearse\n"
            f'or go without, on record: {command} --without-rehearsal --reason "WHY"',
        )
