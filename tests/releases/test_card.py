"""Tasks that ended, grouped by cause."""

from __future__ import annotations

from orderops.releases.card import card_of
from orderops.releases.task_end import TaskEnd

VALUES = {"environment": "dev", "service": "shop", "image": "shop:9", "memory": "512", "port": "8080"}
EXITED = "EssentialContainerExited; Essential container in task exited"


def test_tasks_are_grouped_by_cause_the_most_frequent_first() -> None:
    ends = [
        TaskEnd("a", "TaskFailedToStart; ResourceInitializationError: secret did not contain json key X"),
        TaskEnd("b", f"{EXITED}; OutOfMemoryError", (137,)),
        TaskEnd("c", f"{EXITED}; OutOfMemoryError", (137,)),
    ]

    card = card_of(ends, (), VALUES)

    assert card.summary == "2 x out of memory at 512 MiB, exit 137; 1 x a secret has no key X"
    assert [group.tasks for group in card.groups] == [("b", "c"), ("a",)]


def test_the_last_lines_are_those_of_the_newest_task_that_wrote_any() -> None:
    ends = [TaskEnd("new", EXITED, (3,)), TaskEnd("old", EXITED, (3,), ("so long",))]

    card = card_of(ends, (), VALUES)

    assert card.groups[0].lines == ("so long",)


def test_two_errors_are_two_causes() -> None:
    ends = [TaskEnd("a", EXITED, (1,), ("KeyError: 'A'",)), TaskEnd("b", EXITED, (1,), ("KeyError: 'B'",))]

    assert len(card_of(ends, (), VALUES).groups) == 2


def test_events_are_a_cause_only_where_no_task_says_why() -> None:
    events = ["was unable to place a task. Reason: Capacity is unavailable at this time."] * 2

    placed = card_of([TaskEnd("a", EXITED, (3,))], events, VALUES)
    never = card_of([], events, VALUES)

    assert [group.cause.key for group in placed.groups] == ["exited"]
    assert [(group.cause.key, group.count, group.tasks) for group in never.groups] == [("capacity", 2, ())]
