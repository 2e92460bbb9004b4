"""Schedules by which AWS runs commands of orderops: whether one of them did not start."""

from __future__ import annotations

from orderops.health.component import ComponentState, ComponentStatus
from orderops.infra.alert_rule import Priority
from orderops.infra.failed_schedules import KEPT, dead_letter_of, schedules_of
from orderops.infra.workspace import Workspace
from orderops.queues.messages import depth_of, url_of
from orderops.text.durations import in_words
from orderops.text.lists import counted

LABEL = "schedules"


def schedules_status(workspace: Workspace) -> ComponentStatus:
    """The component for the schedules, by the number of starts that failed.

    Which of them it was is in the messages. Receiving one needs a permission that whoever looks does not have to have.
    """
    url = url_of(workspace.aws, dead_letter_of(workspace.environment).name)
    if url is None:
        detail, command = "no queue for starts that fail", "orderops infra apply"
        return ComponentStatus(LABEL, ComponentState.ABSENT, detail, command, priority=Priority.P2)
    depth = depth_of(workspace.aws, url)
    names = " or ".join(schedules_of(workspace.environment))
    if failed := depth.waiting + depth.in_flight:
        detail = f"{names} did not start: {counted(failed, 'failed start')} in the last {in_words(KEPT)}"
        command = "orderops queue dlq list --schedules"
        return ComponentStatus(LABEL, ComponentState.DEGRADED, detail, command, priority=Priority.P2)
    return ComponentStatus(LABEL, ComponentState.OK, f"{names.replace(' or ', ', ')}: no failed start")
