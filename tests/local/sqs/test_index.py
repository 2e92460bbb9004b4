"""The index agrees with a scan of all messages, whatever happens, and does not grow with what is gone."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import pytest

from orderops.local.sqs.index import Entry, MessageIndex, MessageState

RETENTION = 200


@dataclass
class Scan:
    """The rules of SQS, by looking at every message each time."""

    messages: dict[int, Entry]
    now: int = 0

    def expire(self) -> None:
        self.messages = {n: entry for n, entry in self.messages.items() if entry.sent > self.now - RETENTION}

    def state(self, entry: Entry) -> MessageState:
        if self.now >= entry.visible_at:
            return MessageState.VISIBLE
        return MessageState.IN_FLIGHT if entry.receives > 0 else MessageState.DELAYED

    def visible(self) -> list[int]:
        found = [entry for entry in self.messages.values() if self.state(entry) is MessageState.VISIBLE]
        return [entry.number for entry in sorted(found, key=lambda entry: (entry.arrived, entry.number))]


@pytest.mark.parametrize("seed", range(20))
def test_the_index_agrees_with_a_scan_of_all_messages(seed: int) -> None:
    dice = random.Random(seed)
    index, scan, number = MessageIndex(), Scan({}), 0
    for _ in range(400):
        action = dice.choice(["add", "add", "take", "take", "hide", "remove", "pass", "move"])
        known = list(scan.messages.values())
        if action == "add":
            number += 1
            entry = Entry(number, scan.now, scan.now, scan.now + dice.choice([0, 0, 5, 50]))
            index.add(entry, scan.now)
            scan.messages[number] = entry
        elif action == "take" and (taken := index.take()):
            assert taken.number == scan.visible()[0]
            changed = replace(taken, receives=taken.receives + 1, visible_at=scan.now + dice.choice([0, 5, 30]))
            index.replace(changed, scan.now)
            scan.messages[taken.number] = changed
        elif action == "hide" and (hidden := [entry for entry in known if scan.state(entry) is MessageState.IN_FLIGHT]):
            changed = replace(dice.choice(hidden), visible_at=scan.now + dice.choice([0, 1, 5, 60]))
            index.replace(changed, scan.now)
            scan.messages[changed.number] = changed
        elif action == "remove" and known:
            gone = dice.choice(known).number
            index.remove(gone)
            del scan.messages[gone]
        elif action == "move" and (taken := index.take()):
            # Out of the queue and back as a new message with the same number.
            index.remove(taken.number)
            moved = Entry(taken.number, scan.now, scan.now)
            index.add(moved, scan.now)
            del scan.messages[taken.number]
            scan.messages[taken.number] = moved
        elif action == "pass":
            scan.now += dice.choice([1, 5, 30])
            index.refresh(scan.now, scan.now - RETENTION)
            scan.expire()
        for state in MessageState:
            assert index.count(state) == sum(scan.state(entry) is state for entry in scan.messages.values())
        assert len(index) == len(scan.messages)
        waiting = [
            entry.visible_at for entry in scan.messages.values() if scan.state(entry) is not MessageState.VISIBLE
        ]
        assert index.next_change == min(waiting, default=None)
        assert index.oldest_arrival == next((entry.arrived for entry in scan.messages.values()), None)


def test_a_heartbeat_leaves_nothing_behind() -> None:
    index, entry = MessageIndex(), Entry(1, 0, 0, receives=1)
    index.add(entry, 0)

    for moment in range(10_000):
        index.replace(replace(entry, visible_at=moment + 30_000), moment)

    assert sum(len(heap._items) for heap in (index._visible, index._waiting, index._sent)) < 300


def test_messages_that_are_gone_leave_nothing_behind() -> None:
    index = MessageIndex()

    for number in range(10_000):
        index.add(Entry(number, number, number), number)
        taken = index.take()
        assert taken is not None
        index.replace(replace(taken, receives=1, visible_at=number + 30_000), number)
        index.remove(number)

    assert sum(len(heap._items) for heap in (index._visible, index._waiting, index._sent)) < 300


def work(index: MessageIndex, messages: int) -> int:
    """Return how many items of the heaps a hundred receives and deletions look at, with so many messages waiting."""
    looked = 0
    for heap in (index._visible, index._waiting, index._sent):
        real = heap._is_current

        def counted(item: tuple[int, int], real: object = real) -> bool:
            nonlocal looked
            looked += 1
            return bool(real(item))  # type: ignore[operator]

        heap._is_current = counted
    for number in range(messages):
        index.add(Entry(number, number, number), messages)
    looked = 0
    for _ in range(100):
        index.refresh(messages, -1)
        taken = index.take()
        assert taken is not None
        index.replace(replace(taken, receives=1, visible_at=messages + 30_000), messages)
        index.remove(taken.number)
    return looked


def test_a_receive_looks_at_no_more_messages_in_a_long_queue() -> None:
    assert work(MessageIndex(), 20_000) <= work(MessageIndex(), 200) + 100
