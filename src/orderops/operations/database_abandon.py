"""orderops database upgrade --blue-green --abandon: give up a deployment, with its green instance."""

from __future__ import annotations

from typing import Any

from orderops.engine.resource import Observed
from orderops.engine.step import Action, Step
from orderops.errors import OrderopsError
from orderops.frozen import Frozen
from orderops.infra.declaration import Declaration, declare
from orderops.infra.workspace import Workspace
from orderops.operations.database_upgrade import KEY, workspace_for
from orderops.operations.deployments import delete_deployments, green_instance, open_deployment
from orderops.operations.guarded import Change, Outcome, guarded_change
from orderops.operations.options import ChangeOptions, EnvironmentOptions
from orderops.operations.workspace import confirm_change
from orderops.resources.rds_blue_green import SWITCHING, RdsBlueGreenDeployment
from orderops.resources.rds_versions import is_or_follows, numbers
from orderops.restore.instances import load_instances
from orderops.runs.run import Run
from orderops.ui import console
from orderops.ui.progress import Progress


class AbandonPlan(Frozen):
    """What is given up; without a deployment, nothing of it is left."""

    database: Observed
    deployment: Observed | None
    green: str
    declaration: Declaration
    """The file with the version that the database has."""

    @property
    def steps(self) -> list[Step]:
        """What would be deleted."""
        if self.deployment is None:
            return []
        address = f"{RdsBlueGreenDeployment.kind}/{self.deployment.name}"
        return [Step(address, Action.DELETE, note=f"with {self.green}" if self.green else self.deployment.id)]


def abandon(where: EnvironmentOptions, options: ChangeOptions, version: str) -> None:
    """Delete the deployment with its green instance, and take back the version in the file if it was written."""
    workspace = workspace_for(where, version)
    outcome = guarded_change(workspace, options, _Abandon(workspace, options))
    if outcome is None:
        return
    if options.as_json:
        console.show_json(_document(workspace.environment.name, outcome))
    elif outcome.run is None:
        console.info(f"{outcome.plan.database.id} has no blue/green deployment of orderops; nothing was changed")
    else:
        version = outcome.plan.database.properties["EngineVersionNow"]
        console.info(f"{outcome.plan.database.id} stays at PostgreSQL {version}; green is deleted by RDS meanwhile")
        console.info(f"next: orderops status --env {workspace.environment.name}")


class _Abandon(Change[AbandonPlan]):
    def __init__(self, workspace: Workspace, options: ChangeOptions) -> None:
        self._workspace = workspace
        self._options = options

    def plan(self) -> AbandonPlan:
        workspace = self._workspace
        database = load_instances(workspace.aws, workspace.stack).require_primary().observed
        deployment = open_deployment(workspace, database)
        if deployment and deployment.properties["Status"] == SWITCHING:
            raise OrderopsError(
                f"{database.id} is just being switched over; nothing was changed",
                "wait until that is over. Then the database before is kept under its name with -old1: "
                f"orderops restore list --env {workspace.environment.name}",
            )
        green = green_instance(workspace, database) if deployment else None
        return AbandonPlan(database, deployment, green.id if green else "", self._declaration(database))

    def _declaration(self, database: Observed) -> Declaration:
        running, declared = database.properties["EngineVersionNow"], self._workspace.environment.database.engine_version
        version = declared if is_or_follows(running, declared) else str(numbers(running)[0])
        return declare(self._workspace, {KEY: version})

    def show(self, plan: AbandonPlan) -> None:
        if not self._options.as_json:
            console.show_plan(plan.steps)

    def preview(self, plan: AbandonPlan) -> None:
        if self._options.as_json:
            console.show_json(_document(self._workspace.environment.name, Outcome(plan)))

    def is_needed(self, plan: AbandonPlan) -> bool:
        return plan.deployment is not None or plan.declaration.changes

    def ask(self, plan: AbandonPlan) -> bool:
        return confirm_change(self._workspace, f"Give up green of {plan.database.id}?", self._options)

    def check(self, confirmed: AbandonPlan, plan: AbandonPlan, *, prompted: bool) -> None:
        before, now = confirmed.deployment, plan.deployment
        if now and (before is None or before.id != now.id):
            raise OrderopsError(
                f"the deployment {now.name} was made while you decided; nothing was changed",
                "re-run this command to see the new plan",
            )

    def apply(self, plan: AbandonPlan, run: Run, progress: Progress) -> None:
        found = [plan.deployment] if plan.deployment else []
        for step in delete_deployments(self._workspace, found, progress.watch):
            progress.done(step)
        plan.declaration.write()


def _document(environment: str, outcome: Outcome[AbandonPlan]) -> dict[str, Any]:
    plan = outcome.plan
    return {
        **console.plan_json(environment, plan.steps, []),
        "instance": plan.database.id,
        "deployment": plan.deployment.name if plan.deployment else None,
        "green": plan.green or None,
        "version": plan.database.properties["EngineVersionNow"],
        "applied": outcome.run is not None,
    }
