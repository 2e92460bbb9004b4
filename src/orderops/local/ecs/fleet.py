"""Who runs tasks, as the scheduler and the calls of ECS know it: processes of this machine, or nobody, on paper."""

from __future__ import annotations

from typing import Protocol

from orderops.local.ecs.records import EcsTask


class Fleet(Protocol):
    """Every task of the account."""

    @property
    def all(self) -> dict[str, EcsTask]:
        """Tasks by ARN."""

    def add(self, task: EcsTask) -> EcsTask:
        """A new task; it starts later."""

    def of_group(self, region: str, cluster: str, group: str) -> list[EcsTask]:
        """The tasks of one service, or of one family."""

    def is_healthy(self, task: EcsTask) -> bool:
        """It runs, and every target group that it belongs to finds it healthy."""

    def target_states(self, task: EcsTask) -> list[tuple[str, str]]:
        """State and description of its place in each of its target groups."""
