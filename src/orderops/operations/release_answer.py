"""Answer a release that is under way: let it go on now, or take it back.

Under a lease of its own: the run that watches the release has the environment's, and sees what ECS makes of the answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from time import monotonic

from orderops.errors import OrderopsError
from orderops.infra.workspace import Workspace
from orderops.operations.locked import locked_run, read_lease
from orderops.operations.options import ChangeOptions
from orderops.operations.release_watch import PAUSES, history_of
from orderops.operations.running_service import names_in_ecs, running_service
from orderops.operations.workspace import confirm_change
from orderops.releases.record import ReleaseRecord
from orderops.releases.stages import DeploymentStage, answer_pause, stage_of, stop_deployment
from orderops.releases.verdict import ReleaseOutcome, ReleaseVerdict
from orderops.resources.ecs_service import EcsService
from orderops.ui import console
from orderops.ui.progress import Progress

WATCHED = 10.0
"""Seconds in which a run that watches the release writes down its verdict."""
LONGEST = 1200.0
"""Seconds for ECS to bring the answer about: it stops the tasks of one side, whose requests may take their time."""
ABORTED = "taken back by `orderops service abort`"
OVER_MEANWHILE = "the release ended before the answer reached ECS"


def promote(workspace: Workspace, options: ChangeOptions, service: str) -> None:
    """End the pause at which a release waits. Raises OrderopsError if it waits for no answer."""
    stage = _under_way(workspace, service)
    env = workspace.environment.name
    if not stage.pause:
        at = f" (it is at {stage.stage})" if stage.stage else ""
        raise OrderopsError(
            f"the release of {service} waits for no answer{at}",
            f"watch it: orderops service deploy {service} --attach --env {env}; "
            f"to take it back: orderops service abort {service} --env {env}",
        )
    what = "sends the clients to it" if stage.is_tested else "ends its bake and stops the tasks before"
    console.info(f"{service} waits at {stage.stage}; this {what}")
    if options.dry_run:
        return
    confirm_change(workspace, f"Promote the release of {service}?", options)
    _bring_about(workspace, options, service, stage, lambda: answer_pause(workspace.aws, stage, "CONTINUE"))


def abort(workspace: Workspace, options: ChangeOptions, service: str) -> None:
    """Have ECS return to the release before. Raises OrderopsError if no release is under way."""
    stage = _under_way(workspace, service)
    where = f" at {stage.stage}" if stage.stage else ""
    console.info(f"a release of {service} is under way{where}; this returns to the release before")
    if options.dry_run:
        return
    confirm_change(workspace, f"Take back the release of {service}?", options)
    _bring_about(workspace, options, service, stage, lambda: stop_deployment(workspace.aws, stage))


def _under_way(workspace: Workspace, service: str) -> DeploymentStage:
    running_service(workspace, service)
    stage = stage_of(workspace.aws, *names_in_ecs(workspace, service))
    if stage is None:
        env = workspace.environment.name
        raise OrderopsError(
            f"no release of {service} is under way in {env}",
            f"list the releases: orderops service releases {service} --env {env}; "
            f"to return to an earlier one: orderops service rollback {service} --env {env}",
        )
    return stage


def _bring_about(
    workspace: Workspace, options: ChangeOptions, service: str, stage: DeploymentStage, answer: Callable[[], bool]
) -> None:
    runs, name = workspace.answer_runs, workspace.environment.service_name(service)
    with locked_run(workspace, options, read_lease(workspace, runs), runs) as run:
        if not answer():
            raise OrderopsError(OVER_MEANWHILE, f"see what runs: orderops status --env {workspace.environment.name}")
        run.record.note(address=f"{EcsService.kind}/{name}", action=options.command.split()[1])
    with Progress() as progress:
        _wait(workspace, service, stage, progress)
    record = _verdict_of_the_watcher(workspace, service)
    running = running_service(workspace, service)
    if record and record.verdict is ReleaseVerdict.RUNNING:
        record = _judged(workspace, service, record, running["taskDefinition"])
    now = f"revision {running['taskDefinition'].rpartition(':')[2]}, {running['runningCount']} tasks"
    console.info(f"{service}: {record.verdict if record else 'done'}; {now}")
    console.info(f"next: orderops status --env {workspace.environment.name}")


def _wait(workspace: Workspace, service: str, stage: DeploymentStage, progress: Progress) -> None:
    """Wait until the deployment ends, or comes to its next pause."""
    began = monotonic()
    while monotonic() - began < LONGEST:
        now = stage_of(workspace.aws, *names_in_ecs(workspace, service))
        running = running_service(workspace, service)
        settled = all(
            one["rolloutState"] == "COMPLETED" for one in running["deployments"] if one["status"] == "PRIMARY"
        )
        if (now is None and settled) or (
            now and (now.deployment != stage.deployment or now.pause not in ("", stage.pause))
        ):
            return
        progress.watch(service, f"ECS is at {now.stage}" if now and now.stage else "ECS brings it about")
        time.sleep(PAUSES.after(1, monotonic() - began))


def _verdict_of_the_watcher(workspace: Workspace, service: str) -> ReleaseRecord | None:
    """The newest release on record, once the run that watches it has judged it."""
    deadline = monotonic() + WATCHED
    while True:
        record = next(history_of(workspace).of(service, last=1), None)
        if record is None or record.verdict is not ReleaseVerdict.RUNNING or monotonic() > deadline:
            return record
        time.sleep(PAUSES.first)


def _judged(workspace: Workspace, service: str, record: ReleaseRecord, definition: str) -> ReleaseRecord:
    """The release with its verdict, which nobody else has written down."""
    if stage_of(workspace.aws, *names_in_ecs(workspace, service)):
        return record
    good = definition == record.definition
    verdict = ReleaseVerdict.DEPLOYED if good else ReleaseVerdict.ROLLED_BACK
    judged = record.with_outcome(ReleaseOutcome(service, verdict, "" if good else ABORTED))
    history_of(workspace).write(judged)
    return judged
