"""How tasks of a service ended: ECS's words, exit codes and the last lines that each wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orderops.aws.client import Aws
from orderops.resources.ecs_failure import BY_PLAN, last_lines_of, stopped
from orderops.text.outside import plain

BY_HAND = "UserInitiated"
LONGEST_REASON = 600
READ_LINES_OF = 12
"""Tasks, the newest, whose last lines are read; a release that fails has many that end alike."""
# "(service s) (port 8080) is unhealthy in (target-group arn:…) due to (reason …)."
UNHEALTHY = re.compile(r"is unhealthy in \(target-group (?P<group>[^)]+)\) due to \(reason (?P<reason>.*?)\)\.?$")
TARGET_GROUP = re.compile(r"arn:[^:\s]+:elasticloadbalancing:[^/\s]*targetgroup/([^/\s]+)/\w+")
"""The ARN of a target group, which is too long for a line that only its name is read in."""


@dataclass(frozen=True)
class TaskEnd:
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
    for number, task in enumerate(unplanned):
        containers = task.get("containers", ())
        exits = tuple(container["exitCode"] for container in containers if container.get("exitCode") is not None)
        yield TaskEnd(
            str(task["taskArn"]).rpartition("/")[2],
            _reason(task, service),
            exits,
            tuple(last_lines_of(aws, task)) if exits and number < READ_LINES_OF else (),
            str(task.get("stoppedAt", "")),
        )


def _reason(task: Mapping[str, Any], service: Mapping[str, Any]) -> str:
    stopped_reason = str(task.get("stoppedReason", ""))
    parts = [str(task.get("stopCode", "")), stopped_reason]
    parts += [str(container["reason"]) for container in task.get("containers", ()) if container.get("reason")]
    if "health checks" in stopped_reason:
        parts.append(_failed_check(stopped_reason, service))
    return plain(TARGET_GROUP.sub(r"\1", "; ".join(filter(None, parts))), LONGEST_REASON)


def _failed_check(stopped_reason: str, service: Mapping[str, Any]) -> str:
    """The reason that the newest event gives for the target group in which a task was unhealthy."""
    for event in service.get("events", ()):
        match = UNHEALTHY.search(str(event.get("message", "")))
        if match and match["group"] in stopped_reason:
            return match["reason"]
    return ""
