"""Messages of one queue, ordered by time: which is visible next, which becomes visible, which expires.

Each step costs the logarithm of the number of messages, and none looks at all of them.
"""

from __future__ import annotations

import heapq
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto

# Outdated items that a heap may have beside twice its messages: below, clearing it up is not worth its time.
SPARE_ITEMS = 64
# Milliseconds or number of a message, and its number.
Item = tuple[int, int]


class MessageState(Enum):
    """What a consumer finds of a message."""

    VISIBLE = auto()
    DELAYED = auto()
    IN_FLIGHT = auto()


@dataclass(slots=True)
class Entry:
    """Message without its content. Times are milliseconds since 1970; 0 is never."""

    number: int
    sent: int
    arrived: int
    """When it came into this queue: after `sent` for a dead letter."""

    visible_at: int = 0
    receives: int = 0
    first_received: int = 0
    last_received: int = 0
    receipt: str = ""
    source: str = ""
    """ARN of the queue whose dead letter it is."""

    def state(self, now: int) -> MessageState:
        if self.visible_at <= now:
            return MessageState.VISIBLE
        return MessageState.IN_FLIGHT if self.receives else MessageState.DELAYED


class MessageIndex:
    """Entries of a queue. Times only move on when `refresh` says so."""

    def __init__(self, entries: Iterable[Entry] = (), now: int = 0) -> None:
        # Ordered by arrival. A plain dict looks for its first entry through the gaps that deleted ones leave.
        self._entries: OrderedDict[int, Entry] = OrderedDict()
        self._states: dict[int, MessageState] = {}
        self._counts: Counter[MessageState] = Counter()
        self._visible = _Heap(self._is_visible)
        self._waiting = _Heap(self._waits)
        self._sent = _Heap(self._was_sent)
        for entry in entries:
            self.add(entry, now)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, number: int) -> Entry | None:
        return self._entries.get(number)

    def count(self, state: MessageState) -> int:
        return self._counts[state]

    def is_in_flight(self, number: int) -> bool:
        return self._states.get(number) is MessageState.IN_FLIGHT

    @property
    def oldest_arrival(self) -> int | None:
        """When the message that is longest in this queue came."""
        return next(iter(self._entries.values())).arrived if self._entries else None

    @property
    def next_change(self) -> int | None:
        """When the next message becomes visible by itself."""
        first = self._waiting.first()
        return first[0] if first else None

    def add(self, entry: Entry, now: int) -> None:
        self._entries[entry.number] = entry
        self._sent.push((entry.sent, entry.number), len(self))
        self.place(entry, now)

    def remove(self, number: int) -> None:
        del self._entries[number]
        self._counts[self._states.pop(number)] -= 1

    def take(self) -> Entry | None:
        """Take out the first visible entry; `place` or `remove` must follow. None when no entry is visible."""
        item = self._visible.pop()
        return self._entries[item[1]] if item else None

    def replace(self, entry: Entry, now: int) -> None:
        """Put an entry in place of the one with its number."""
        self._entries[entry.number] = entry
        self.place(entry, now)

    def place(self, entry: Entry, now: int) -> None:
        """Put an entry where its time belongs: a new one, one just taken, and one whose time has changed."""
        if previous := self._states.get(entry.number):
            self._counts[previous] -= 1
        state = self._states[entry.number] = entry.state(now)
        self._counts[state] += 1
        if state is MessageState.VISIBLE:
            self._visible.push((entry.arrived, entry.number), len(self))
        else:
            self._waiting.push((entry.visible_at, entry.number), len(self))

    def refresh(self, now: int, sent_after: int) -> list[int]:
        """Make visible what is due, remove messages that were sent at `sent_after` or before, and return these."""
        while (first := self._waiting.first()) and first[0] <= now:
            self._waiting.pop()
            self.place(self._entries[first[1]], now)
        expired = []
        while (first := self._sent.first()) and first[0] <= sent_after:
            self._sent.pop()
            self.remove(first[1])
            expired.append(first[1])
        return expired

    def _is_visible(self, item: Item) -> bool:
        entry = self._entries.get(item[1])
        return entry is not None and entry.arrived == item[0] and self._states[item[1]] is MessageState.VISIBLE

    def _waits(self, item: Item) -> bool:
        entry = self._entries.get(item[1])
        return entry is not None and entry.visible_at == item[0] and self._states[item[1]] is not MessageState.VISIBLE

    def _was_sent(self, item: Item) -> bool:
        entry = self._entries.get(item[1])
        return entry is not None and entry.sent == item[0]


class _Heap:
    """Heap that finds out late which of its items are outdated: when they come up, or when they are the most."""

    def __init__(self, is_current: Callable[[Item], bool]) -> None:
        self._items: list[Item] = []
        self._is_current = is_current

    def push(self, item: Item, messages: int) -> None:
        heapq.heappush(self._items, item)
        if len(self._items) > 2 * messages + SPARE_ITEMS:
            self._items = [kept for kept in self._items if self._is_current(kept)]
            heapq.heapify(self._items)

    def first(self) -> Item | None:
        while self._items and not self._is_current(self._items[0]):
            heapq.heappop(self._items)
        return self._items[0] if self._items else None

    def pop(self) -> Item | None:
        return heapq.heappop(self._items) if self.first() else None
