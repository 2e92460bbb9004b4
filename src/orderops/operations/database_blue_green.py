"""orderops database upgrade --blue-green: a green instance is upgraded beside the database and then takes its place.

Until the switchover the file, the database and its clients stay as they are. What is done is read from the account, so
the same command goes on after an interruption.
"""

from __future__ import annotations

from typing import ClassVar

from orderops.aws.documents import Bucket
from orderops.costs.prices import NoPriceError, prices_of
from orderops.database.extensions import UpgradeCheck
from orderops.engine.reconcile import reconcile
from orderops.engine.resource import Observed
from orderops.engine.step import Action, Step
from orderops.engine.terms import Terms
from orderops.engine.waiting import ReconcileLimits
from orderops.errors import OrderopsError
from orderops.frozen import replace
from orderops.infra.declaration import Declaration, declare
from orderops.infra.iam_login import take_tokens
from orderops.infra.instance_plan import Fact, InstancePlan, outage_fact
from orderops.infra.measured_changes import ChangeKind, newest
from orderops.infra.service_login import existing_outputs, task_roles
from orderops.operations.database_analyze import analyze_instance
from orderops.operations.database_upgrade import KEY, Upgrade, workspace_for
from orderops.operations.deployments import (
    delete_deployments,
    finished_deployments,
    green_instance,
    make_deployment,
    old_instances,
    open_deployment,
)
from orderops.operations.guarded import guarded_change
from orderops.operations.options import ChangeOptions, EnvironmentOptions
from orderops.operations.workspace import slow_resources
from orderops.resources.rds_blue_green import (
    READY,
    SWITCHING,
    RdsBlueGreenDeployment,
    deployment_name,
    replicates_logically,
    source_refusal,
)
from orderops.resources.rds_deployment import held_by_green
from orderops.resources.rds_guided import GuidedInstance
from orderops.resources.rds_switched_instance import switched
from orderops.resources.rds_versions import stands_for
from orderops.restore.instances import Instance
from orderops.runs.run import Run
from orderops.text.durations import measured
from orderops.ui import console, database_change
from orderops.ui.progress import Progress


def upgrade_by_switchover(where: EnvironmentOptions, options: ChangeOptions, version: str, *, switch: bool) -> None:
    """Upgrade the database by a green instance; without `switch`, leave green ready. The same command goes on."""
    workspace = workspace_for(where, version)
    change = BlueGreenUpgrade(declare(workspace, {KEY: version}), options, version, switch=switch)
    outcome = guarded_change(change.workspace, options, change)
    if outcome is None:
        return
    if options.as_json:
        console.show_json(change.result(outcome))
    elif not switch and not outcome.plan.in_force:
        green = green_instance(workspace, outcome.plan.observed)
        database_change.show_green(workspace, green.id if green else "", options.command.removesuffix(" --no-switch"))
    else:
        database_change.show_outcome(workspace, outcome.plan, change.probe, applied=outcome.run is not None)
        database_change.show_old(workspace, old_instances(workspace, outcome.plan.observed.id))


class BlueGreenUpgrade(Upgrade):
    """The upgrade by a switchover."""

    kind: ClassVar[ChangeKind] = ChangeKind.SWITCHOVER

    def __init__(self, declaration: Declaration, options: ChangeOptions, wanted: str, *, switch: bool) -> None:
        """Without `switch`, everything up to the switchover, with which the file is written."""
        declaration = declaration if switch else replace(declaration, after=declaration.before)
        super().__init__(declaration, options, wanted, at_once=True, reason="")
        self._switch = switch

    def question(self, plan: InstancePlan) -> str:
        what = f"PostgreSQL {plan.wanted} for {plan.observed.id}"
        if plan.in_force:
            return f"Finish the switchover of {plan.observed.id}?"
        return f"Make green with {what}, and switch over to it?" if self._switch else f"Make green with {what}?"

    def is_busy(self, observed: Observed, now: str) -> bool:
        deployment = open_deployment(self.workspace, observed)
        return deployment is not None and deployment.properties["Status"] == SWITCHING

    def refuse(self, observed: Observed) -> None:
        if deployment := open_deployment(self.workspace, observed):
            self._check_same(deployment)
            # What an upgrade looks at was looked at before green was made; RDS's own slots are among it now.
            return
        if green := observed.properties["Green"]:
            raise held_by_green(observed.id, green)
        super().refuse(observed)
        if refusal := source_refusal(self.workspace.aws, observed):
            raise OrderopsError(f"{refusal}; nothing was changed", self._way(observed))
        if self.is_major(observed):
            self._check_rotation()
            self._check_logical(observed)

    def _check_same(self, deployment: Observed) -> None:
        version, name = deployment.properties["EngineVersion"], self.workspace.environment.name
        if not stands_for(self.wanted, version):
            raise OrderopsError(
                f"the blue/green deployment {deployment.name} leads to PostgreSQL {version}; nothing was changed",
                f"go on with it: orderops database upgrade --to {version} --blue-green --env {name}\n"
                f"or give it up: orderops database upgrade --to {version} --blue-green --abandon --env {name}",
            )

    def _way(self, observed: Observed) -> str:
        name = self.workspace.environment.name
        if observed.properties["ManageMasterUserPassword"]:
            return f'set master = "own" under [database] in {name}.toml, then: orderops infra apply --env {name}'
        return "upgrade in place, which takes replicas along: the same command without --blue-green"

    def _check_rotation(self) -> None:
        """Raise OrderopsError where AWS would change passwords that green then has not."""
        environment = self.workspace.environment
        if environment.database.rotate_days:
            raise OrderopsError(
                "the daily rotation would change passwords that green would not get; nothing was changed",
                f"take rotate_days out of [database] in {environment.name}.toml for the time, then: "
                f"orderops infra apply --env {environment.name} --prune",
            )

    def _check_logical(self, observed: Observed) -> None:
        """Raise OrderopsError where rows could not be replicated to green."""
        name = self.workspace.environment.name
        if not replicates_logically(self.workspace.aws, observed):
            raise OrderopsError(
                "logical replication is not in force, and RDS replicates to another major version only with it; "
                "nothing was changed",
                f"set logical_replication = true under [database] in {name}.toml, then: "
                f"orderops infra apply --env {name}\n"
                f"then reboot, in a quiet minute: aws rds reboot-db-instance --db-instance-identifier {observed.id} "
                f"--region {self.workspace.aws.region}",
            )
        if isinstance(self.found, UpgradeCheck):
            self.found.check_replicable()

    def check_rehearsed(self) -> None:
        """No rehearsal is asked for: green is a copy itself, upgraded before anything is switched over."""

    def plan(self) -> InstancePlan:
        plan = super().plan()
        if plan.in_force:
            return plan
        steps = make_deployment(self.workspace, self._deployment(plan.observed), dry_run=True)
        plan = replace(plan, before=[*plan.before, *(step for step in steps if step.action is not Action.NO_OP)])
        return plan if self._switch or plan.step.error else replace(plan, step=Step(plan.step.address, Action.NO_OP))

    def is_needed(self, plan: InstancePlan) -> bool:
        if not self._switch and not plan.in_force:
            deployment = open_deployment(self.workspace, plan.observed)
            return deployment is None or bool(deployment.properties["Status"] != READY)
        return super().is_needed(plan) or bool(finished_deployments(self.workspace, plan.observed))

    def instance(self, observed: Observed, *, at_once: bool) -> GuidedInstance:
        return switched(self.workspace.stack.database, self._name(observed))

    def facts(self, plan: InstancePlan) -> list[Fact]:
        multi_az, name = bool(plan.observed.properties["MultiAZ"]), self.workspace.environment.name
        before = newest(Bucket(self.workspace.aws), name, self.kind, multi_az=multi_az)
        facts = [
            Fact("green", "a second instance of the same class, upgraded while it follows the database"),
            outage_fact(self.kind, before, multi_az=multi_az, emulated=False),
        ]
        if self.is_major(plan.observed):
            facts.append(Fact("schema", "apply no migration until the switchover: its changes are not replicated"))
            facts.append(self._replicated())
        if slow_resources(self.workspace):
            facts.append(Fact("cost", self._cost(plan)))
        old = f"{plan.observed.id}-old1"
        return [
            *facts,
            Fact("back", f"until the switchover: the same command with --abandon; after it {old} keeps what it had"),
        ]

    def _replicated(self) -> Fact:
        found = self.found
        if not isinstance(found, UpgradeCheck):
            return Fact("extensions", f"not checked, since the database was not reached ({found.message})")
        return Fact("extensions", found.in_words())

    def _cost(self, plan: InstancePlan) -> str:
        prices, properties = prices_of(self.workspace.environment.region), plan.observed.properties
        try:
            hourly = prices[properties["DBInstanceClass"]].usd * (1 + bool(properties["MultiAZ"]))
        except NoPriceError as error:
            return f"two databases are charged until the old one is discarded; how much is unknown: {error}"
        return (
            f"two databases are charged until the old one is discarded: {hourly} USD an hour more, and its storage; "
            f"prices of {prices.date}"
        )

    def apply(self, plan: InstancePlan, run: Run, progress: Progress) -> None:
        if plan.step.error:
            raise plan.step.error
        if not plan.in_force:
            self._make_green(plan, run, progress)
            if not self._switch:
                return
        # Only now: until then, `up` and releases go on with the version that is.
        self.declaration.write()
        if not plan.in_force:
            self.change(plan, run, progress)
        self._bring_roles(run, progress)
        self._forget(plan, progress)

    def _make_green(self, plan: InstancePlan, run: Run, progress: Progress) -> None:
        if plan.busy:
            return
        self.bring(self.first(plan.outputs), plan, run, progress)
        steps = make_deployment(
            self.workspace,
            self._deployment(plan.observed),
            dry_run=False,
            on_wait=progress.watch,
            recent_writes=run.recent_writes,
        )
        for step in steps:
            progress.done(step)
        green = green_instance(self.workspace, plan.observed)
        if green is None:
            return
        if plan.observed.properties["IamAuthenticationNow"]:
            self._admit_tokens(green, progress)
        # Green refuses the tokens of services whose permission names only the database of now.
        self._bring_roles(run, progress)
        if self.is_major(plan.observed):
            self._analyze(green, progress)

    def _admit_tokens(self, green: Observed, progress: Progress) -> None:
        """Have green take tokens of IAM, if RDS has not turned that on with the copy."""
        aws, name = self.workspace.aws, self.workspace.environment.name
        for step in take_tokens(aws, green, ReconcileLimits(), name, dry_run=False):
            progress.done(step)

    def _bring_roles(self, run: Run, progress: Progress) -> None:
        """Let the tasks log in to the database, and to its green instance as long as there is one."""
        outputs, inventory = existing_outputs(self.workspace)
        steps = reconcile(
            task_roles(self.workspace.stack),
            inventory,
            outputs=outputs,
            terms=Terms(ignores=self.workspace.ignores),
            on_wait=progress.watch,
            recent_writes=run.recent_writes,
        )
        for step in steps:
            progress.done(step)

    def _analyze(self, green: Observed, progress: Progress) -> None:
        """Gather the statistics of green, which a major version begins without; the switchover goes without, too."""
        try:
            with progress.paused():
                done = analyze_instance(self.workspace, Instance(green))
        except OrderopsError as error:
            console.info_error(f"the statistics of {green.id} were not gathered: ", error)
        else:
            console.info(f"statistics of {done.tables} tables of {green.id} gathered in {measured(done.seconds)}")

    def _forget(self, plan: InstancePlan, progress: Progress) -> None:
        """Delete the record of the finished deployment; both instances stay."""
        finished = finished_deployments(self.workspace, plan.observed)
        for step in delete_deployments(self.workspace, finished, progress.watch):
            progress.done(step)

    def _deployment(self, observed: Observed) -> RdsBlueGreenDeployment:
        existing = open_deployment(self.workspace, observed)
        version = existing.properties["EngineVersion"] if existing else self.target(observed) or self.wanted
        group = self.workspace.stack.database.parameter_group.name
        return RdsBlueGreenDeployment(self._name(observed), observed.arn, version, group)

    def _name(self, observed: Observed) -> str:
        return deployment_name(self.workspace.environment.prefix, observed.properties["DbiResourceId"])
