"""Take one service out of a running environment, with its workers, and leave the others alone."""

from __future__ import annotations

from collections.abc import Sequence

from orderops.aws.ownership import Ownership
from orderops.config.service import check_service_name
from orderops.engine.step import Action
from orderops.infra.destroy import DestroyPlan, leftovers_of, plan_service_destroy
from orderops.infra.workspace import Workspace
from orderops.operations.destroy import Destroy
from orderops.operations.options import ChangeOptions
from orderops.resources.cloudwatch_alarm import CloudwatchAlarm
from orderops.resources.cloudwatch_composite_alarm import let_go
from orderops.resources.logs_group import LogsGroup
from orderops.runs.run import Run
from orderops.text.lists import joined
from orderops.ui import console
from orderops.ui.progress import Progress


def destroy_service(workspace: Workspace, options: ChangeOptions, service: str) -> None:
    """Show what belongs to a service and its workers, ask, delete it; what holds data is kept unless it is named."""
    check_service_name(service)
    environment = workspace.environment
    workers = environment.workers_of(service)
    if workers:
        go, empty = ("goes", "it empties") if len(workers) == 1 else ("go", "they empty")
        console.info(f"{joined(workers)} {go} with {service}, whose queue {empty}")
    leaving = [service, *workers]

    def planned(named: frozenset[str]) -> DestroyPlan:
        return plan_service_destroy(workspace, leaving, named=named)

    change = _ServiceDestroy(
        workspace,
        options,
        planned,
        again=f"orderops service destroy {service} --env {environment.name}",
        nothing=f"{environment.name} has nothing of {service} to delete",
    )
    plan = change.carried_out()
    _show_declared(workspace, leaving)
    if plan is not None and plan.removed:
        if left := list(leftovers_of(workspace, {owned.kind: None for owned in plan.removed})):
            console.show_leftovers(left)
        console.info(f"next: orderops status --env {environment.name}")


class _ServiceDestroy(Destroy):
    def show(self, plan: DestroyPlan) -> None:
        super().show(plan)
        for owned in plan.removed:
            if owned.kind is LogsGroup:
                console.info_folded(f"the log lines in {owned.own_name} go with it")

    def apply(self, plan: DestroyPlan, run: Run, progress: Progress) -> None:
        # The service goes on accepting work until it is gone, so what its queues hold is known only then.
        working = plan.running
        super().apply(working, run, progress)
        alarms = {owned.own_name for owned in plan.removed if owned.kind is CloudwatchAlarm}
        for address in let_go(self._workspace.aws, Ownership(self._workspace.environment.name), alarms):
            run.record.note(address=address, action=str(Action.UPDATE))
        self.carried = self.plan().without(working)
        super().apply(self.carried, run, progress)


def _show_declared(workspace: Workspace, services: Sequence[str]) -> None:
    """Say which services the next `up` makes again, and how to prevent that."""
    environment = workspace.environment
    declared = [name for name in services if name in environment.services]
    if not declared:
        return
    tables = joined([f"[services.{name}]" for name in declared])
    them = "it" if len(declared) == 1 else "them"
    kept = environment.services.keys() - declared
    again = f"the next `up` makes {them} again"
    unless = f", unless you take {tables} out of the file" if kept else "; a file needs a service"
    console.info_folded(
        f"{workspace.folder / environment.name}.toml still declares {joined(declared)}: {again}{unless}"
    )
