"""Fire drill: prove that an alarm reaches the receivers of its priority, and set everything back."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import monotonic

from orderops.alerts.deliveries import DeliveryWatch
from orderops.alerts.fire_drill import (
    DrillTarget,
    MessagesTaken,
    acceptance,
    choose,
    end_stuck,
    set_alarm,
    set_back,
    stuck_pages,
)
from orderops.alerts.fire_drill_record import FireDrill, begun, end, fire_drills, save
from orderops.alerts.reading import AlertsRead
from orderops.aws.documents import Bucket
from orderops.errors import OrderopsError
from orderops.frozen import Frozen
from orderops.infra.alert_rule import Priority
from orderops.infra.workspace import Workspace
from orderops.operations.locked import locked_run, read_lease
from orderops.operations.options import ChangeOptions
from orderops.operations.workspace import confirm_change
from orderops.runs.run import Run
from orderops.text.lists import counted, joined
from orderops.ui import console
from orderops.ui.alerts import show_drill
from orderops.ui.progress import Progress


class DrillPatience(Frozen):
    """How long a drill waits for deliveries, and between two looks."""

    delivered: timedelta = timedelta(minutes=5)
    """The metrics of SNS may be late by some minutes."""
    accepted: timedelta = timedelta(minutes=1)
    """SNS accepts the message of an alarm within seconds."""
    pause: float = 1.0


def fire_drill(
    workspace: Workspace, options: ChangeOptions, priority: Priority, patience: DrillPatience, *, as_json: bool
) -> None:
    """Set an alarm of a priority, follow its message to the receivers, and set it back.

    Raises OrderopsError if a drill would hide an outage, or if a receiver was not reached.
    """
    lease, bucket = read_lease(workspace), Bucket(workspace.aws)
    env = workspace.environment.name
    left = fire_drills(bucket, env).unfinished
    if left:
        console.info(f"{counted(len(left), 'unfinished drill')} is set back first: {joined([d.alarm for d in left])}")
    # What a killed drill set looks like an outage until it is set back.
    target = None if left else _target(workspace, priority)
    if target:
        console.info(f"sets {target.alarm}, which notifies {joined(target.paged)}")
    if options.dry_run:
        return
    who = joined(target.paged) if target else f"the receivers of {priority}"
    confirm_change(workspace, f"Page {who} now, for a drill?", options)
    with locked_run(workspace, options, lease) as run:
        _set_back_all(workspace, bucket)
        drill = _carried_out(workspace, run, _target(workspace, priority), patience)
        run.record.note(action="drilled", **drill.to_dict())
    if as_json:
        console.show_json(drill.to_dict())
    else:
        show_drill(drill.ends)
    if not drill.passed:
        missed = [end_.end for end_ in drill.ends if not end_.reached]
        raise OrderopsError(
            f"the drill of {priority} did not reach {joined(missed)} for certain",
            f"ask the receiver, and look for faults: orderops alerts check --env {env}",
        )
    console.info(f"{drill.alarm} is set back; next: orderops alerts list --env {env}")


def end_fire_drills(workspace: Workspace, options: ChangeOptions) -> None:
    """Set back what unfinished drills left, and composite alarms in ALARM for no reason."""
    lease, bucket = read_lease(workspace), Bucket(workspace.aws)
    left = [drill.alarm for drill in fire_drills(bucket, workspace.environment.name).unfinished]
    names = sorted({*left, *stuck_pages(workspace.aws, workspace.environment)})
    if not names:
        console.info("no drill is unfinished, and no alarm is stuck")
        return
    console.info(f"sets back {joined(names)}")
    if options.dry_run:
        return
    confirm_change(workspace, f"Set back {joined(names)}?", options)
    with locked_run(workspace, options, lease) as run:
        run.record.note(action="set back", alarms=_set_back_all(workspace, bucket))
    console.info(f"next: orderops alerts check --env {workspace.environment.name}")


def _target(workspace: Workspace, priority: Priority) -> DrillTarget:
    return choose(workspace.stack, AlertsRead.of(workspace.aws, workspace.environment), priority)


def _set_back_all(workspace: Workspace, bucket: Bucket) -> list[str]:
    """Call only while the lease is held, so that no drill is under way."""
    aws, environment = workspace.aws, workspace.environment
    names = set()
    for drill in fire_drills(bucket, environment.name).unfinished:
        set_back(aws, environment, drill)
        end(bucket, environment.name, drill, datetime.now(UTC))
        names.add(drill.alarm)
    for name in stuck_pages(aws, environment):
        end_stuck(aws, environment, name)
        names.add(name)
    return sorted(names)


def _carried_out(workspace: Workspace, run: Run, target: DrillTarget, patience: DrillPatience) -> FireDrill:
    aws, environment = workspace.aws, workspace.environment
    watch, number = DeliveryWatch(aws, target), str(run.record.run["run"])
    drill = begun(number, target.priority, target.alarm, aws.caller, datetime.now(UTC), composite=target.composite)
    # Written first: a killed drill is found by it.
    save(Bucket(aws), environment.name, drill)
    with Progress() as progress:
        try:
            set_alarm(aws, drill)
            accepted = _accepted(workspace, drill, target, patience, progress)
        finally:
            # At once, and not after the deliveries: until then, an outage could not page.
            set_back(aws, environment, drill)
            drill = end(Bucket(aws), environment.name, drill, datetime.now(UTC))
        if accepted.accepted:
            # The end of the alarm is a message, too, and shows that an incident would be closed.
            accepted = acceptance(aws, drill)
        until = monotonic() + patience.delivered.total_seconds()
        while (waits := watch.missing(accepted)) and monotonic() < until:
            progress.watch(target.alarm, f"SNS to deliver to {joined(waits)}")
            time.sleep(patience.pause)
    drill = replace(drill, ends=watch.ends(accepted))
    save(Bucket(aws), environment.name, drill)
    return drill


def _accepted(
    workspace: Workspace, drill: FireDrill, target: DrillTarget, patience: DrillPatience, progress: Progress
) -> MessagesTaken:
    until = monotonic() + patience.accepted.total_seconds()
    while True:
        found = acceptance(workspace.aws, drill)
        if target.ends.keys() <= found.accepted.keys() | found.failed or monotonic() > until:
            return found
        progress.watch(drill.alarm, "SNS to accept the message")
        time.sleep(patience.pause)
