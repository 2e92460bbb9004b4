"""Interface to running tasks: processes on this machine, or simulated tasks in tests."""

from __future__ import annotations

from typing import Protocol

from orderops.local.ecs.records import EcsTask


class Fleet(Protocol):
    """All tasks of the account."""

    @property
    def all(self) -> dict[str, EcsTask]:
        """Tasks by ARN."""

    def add(self, task: EcsTask) -> EcsTask:
        """Add a task; it starts with a later tick."""

    def of_group(self, region: str, cluster: str, group: str) -> list[EcsTask]:
        """Return the tasks of one service or task family."""

    def is_healthy(self, task: EcsTask) -> bool:
        """Tell whether the task runs and is healthy in all its target groups."""

    def target_states(self, task: EcsTask) -> list[tuple[str, str]]:
        """Return state and description of the task in each of its target groups."""
