"""What became of releases: the list, and the failure card of one."""

from __future__ import annotations

from collections.abc import Sequence

from orderops.errors import OrderopsError
from orderops.infra.workspace import Workspace
from orderops.operations.release_start import values_of
from orderops.operations.release_watch import history_of
from orderops.operations.running_service import running_service
from orderops.releases.card import card_of
from orderops.releases.record import ReleaseRecord
from orderops.releases.running import image_of
from orderops.releases.task_end import ends_of
from orderops.releases.verdict import ReleaseOutcome, ReleaseVerdict
from orderops.resources.ecs_failure import trouble
from orderops.ui import console
from orderops.ui.releases import show_card, show_releases

ENDED_WELL = (ReleaseVerdict.DEPLOYED, ReleaseVerdict.RUNNING)
SEARCHED = 50
"""Releases among which the last that failed is looked for."""


def list_releases(workspace: Workspace, service: str, *, last: int, as_json: bool) -> None:
    """Show the last releases of a service, newest first, and which of them runs."""
    records = list(history_of(workspace).of(service, last=last))
    running = running_service(workspace, service)["taskDefinition"]
    if as_json:
        console.show_json([{**record.to_dict(), "running": record.definition == running} for record in records])
    elif records:
        show_releases(records, running)
    else:
        console.info(f"no release of {service} is on record in {workspace.environment.name}")


def explain(workspace: Workspace, service: str, *, last: bool, as_json: bool) -> None:
    """Show why the newest release failed, or why tasks ended in the last hour; with `last`, the last that failed."""
    records = list(history_of(workspace).of(service, last=SEARCHED))
    record = _failed(records) if last or (records and records[0].verdict not in ENDED_WELL) else None
    outcome = record.outcome if record else None if last else _live(workspace, service)
    if outcome is None:
        where = f"of {service} in {workspace.environment.name}"
        if last:
            raise OrderopsError(f"no release {where} is on record as failed", "without --last: the tasks of now")
        hint = " (the last that failed: --last)" if _failed(records) else ""
        console.info(f"no task {where} ended unexpectedly in the last hour, and the newest release did not fail{hint}")
        return
    if as_json:
        console.show_json({**outcome.to_dict(), "release": record.to_dict() if record else None})
    else:
        show_card(outcome, console.out)


def _failed(records: Sequence[ReleaseRecord]) -> ReleaseRecord | None:
    return next((record for record in records if record.verdict not in ENDED_WELL), None)


def _live(workspace: Workspace, service: str) -> ReleaseOutcome | None:
    """The tasks that ended in the last hour, whatever release they belong to; None if there are none."""
    raw = running_service(workspace, service)
    image = image_of(workspace.aws, raw["taskDefinition"])
    primary = raw["deployments"][0] if raw["deployments"] else {}
    events = trouble(raw, primary.get("createdAt"))[::-1]
    card = card_of(
        ends_of(workspace.aws, workspace.stack.cluster.name, raw), events, values_of(workspace, service, image)
    )
    if not card.groups:
        return None
    runs_now = f"{raw['runningCount']} of {raw['desiredCount']} wanted tasks run"
    return ReleaseOutcome(service, ReleaseVerdict.RUNNING, "tasks that ended in the last hour", runs_now, card)
