"""How tasks of a service ended: ECS's words, exit codes and the last lines that each wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orderops.aws.client import Aws
from orderops.frozen import Frozen
from orderops.releases.running import read_service
from orderops.resources.ecs_failure import BY_PLAN, last_lines_of, stopped
from orderops.text.outside import plain

BY_HAND = "UserInitiated"
LONGEST_REASON = 600
READ_LINES_OF = 12
"""Tasks, the newest, whose last lines are read; a release that fails has many that end alike."""
# "(service s) (task t) (port 80) is unhealthy in (target-group arn:…) due to (reason …)."; not all of them name a task.
UNHEALTHY = re.compile(r"is unhealthy in \(target-group (?P<group>[^)]+)\) due to \(reason (?P<reason>.*?)\)\.?$")
TASK = re.compile(r"\(task (?P<id>\w+)\)")
TARGET_GROUP = re.compile(r"arn:[^:\s]+:elasticloadbalancing:[^/\s]*targetgroup/([^/\s]+)/\w+")
"""The ARN of a target group, which is too long for a line that only its name is read in."""


class TaskEnd(Frozen):
    """A task that stopped, or never started, without being asked to by a deployment."""

    task: str
    """Its id, the last part of its ARN."""
    reason: str
    """Stop code, stopped reason, the reasons of containers and of a failed health check, in AWS's words."""
    exits: tuple[int, ...] = ()
    """Exit codes of its containers; empty if none ran."""
    lines: tuple[str, ...] = ()
    """The last that it wrote, oldest first."""
    stopped_at: str = ""

    @property
    def counts(self) -> bool:
        """Whether it says something of the release; a task that was stopped by hand does not."""
        return not self.reason.startswith(BY_HAND)


def ends_of(aws: Aws, cluster: str, service: Mapping[str, Any], deployment: str = "") -> Iterator[TaskEnd]:
    """How tasks of a deployment, or of all, ended, newest first, with their last lines.

    `service` is what DescribeServices answers.
    """
    # Filtered here: ListTasks takes `startedBy` only alone, and then for all services of the cluster.
    ended = [
        task for task in stopped(aws, cluster, service["serviceName"]) if deployment in ("", task.get("startedBy"))
    ]
    unplanned = [task for task in ended if not str(task.get("stoppedReason", "")).startswith(BY_PLAN)]
    events = service.get("events", ())
    if any(
        "target-group" in str(task.get("stoppedReason", "")) and not _failed_check(task, events) for task in unplanned
    ):
        # The service was read before the tasks, and may say by now what the check of one of them got.
        events = read_service(aws, cluster, service["serviceName"]).get("events", ())
    for number, task in enumerate(unplanned):
        containers = task.get("containers", ())
        exits = tuple(container["exitCode"] for container in containers if container.get("exitCode") is not None)
        yield TaskEnd(
            str(task["taskArn"]).rpartition("/")[2],
            _reason(task, events),
            exits,
            tuple(last_lines_of(aws, task)) if exits and number < READ_LINES_OF else (),
            str(task.get("stoppedAt", "")),
        )


def _reason(task: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> str:
    stopped_reason = str(task.get("stoppedReason", ""))
    parts = [str(task.get("stopCode", "")), stopped_reason]
    parts += [str(container["reason"]) for container in task.get("containers", ()) if container.get("reason")]
    if "health checks" in stopped_reason:
        parts.append(_failed_check(task, events))
    return plain(TARGET_GROUP.sub(r"\1", "; ".join(filter(None, parts))), LONGEST_REASON)


def _failed_check(task: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> str:
    """The reason that the newest event about a task gives for the target group in which it was unhealthy."""
    for event in events:
        match = UNHEALTHY.search(str(event.get("message", "")))
        if match and match["group"] in str(task.get("stoppedReason", "")) and _is_about(event, task):
            return match["reason"]
    return ""


def _is_about(event: Mapping[str, Any], task: Mapping[str, Any]) -> bool:
    """Whether an event may be about a task: those of the releases before stay in the list for long."""
    if named := TASK.search(str(event["message"])):
        return named["id"] == str(task["taskArn"]).rpartition("/")[2]
    return "createdAt" not in task or event["createdAt"] >= task["createdAt"]
