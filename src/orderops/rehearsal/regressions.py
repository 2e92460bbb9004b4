"""Queries of the running service that no longer work: those that failed when asked, and those that cannot be said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orderops.rehearsal.compatibility import refused
from orderops.rehearsal.harness import Harness
from orderops.rehearsal.load import SlowQuery
from orderops.rehearsal.load_client import PASSING, WELL
from orderops.rehearsal.queries import Query, QueryOrigin
from orderops.rehearsal.report import BrokenQuery

OF_VALUES = "23"
"""The class of errors that come of the values of a row."""
NOT_NULL = "23502"
"""A column that the running service does not know wants a value."""

PREPARED = "0A000"
"""What was prepared would answer in other types."""


class Watchdog:
    """Compares with what worked before."""

    def __init__(self, stage: Harness, asked: Sequence[Query], *, live: bool) -> None:
        self._stage = stage
        self._asked = asked
        self._live = live
        """Whether it is known what the service asks: then what was made here for a table is nobody's."""
        self._refused = set(refused(stage.eye, asked))
        self._failing: set[str] = set()
        self._notes: list[str] = []

    def already_failing(self) -> Iterator[tuple[str, str]]:
        """The families that fail while nothing was done."""
        for call in _failed(self._stage.traffic.calls):
            name = self._stage.told.families[call.family].name
            if name not in self._failing:
                self._failing.add(name)
                yield name, call.message

    def broken(self, since: float) -> list[BrokenQuery]:
        """What has stopped working since a time, and was not told before."""
        found: dict[str, BrokenQuery] = {}
        for call in _failed(self._stage.calls_since(since)):
            query = self._stage.told.families[call.family].query
            if query.name in self._failing:
                continue
            self._failing.add(query.name)
            if self._says_nothing(query, call):
                self._notes.append(f"{query.name}: {call.message}; nobody is known to ask that")
            else:
                found[query.name] = BrokenQuery(query.name, _told(call))
        for text, (query, why) in refused(self._stage.eye, self._asked).items():
            if text not in self._refused:
                self._refused.add(text)
                if query.name not in self._failing:
                    found.setdefault(query.name, BrokenQuery(query.name, why))
        return list(found.values())

    def notes(self, name: str) -> list[str]:
        """What failed and says nothing of the service, once each."""
        told, self._notes = [f"{name}: {note}" for note in self._notes], []
        return told

    def _says_nothing(self, query: Query, call: SlowQuery) -> bool:
        if query.origin is not QueryOrigin.DERIVED:
            return False
        return self._live or (call.state.startswith(OF_VALUES) and call.state != NOT_NULL)


def _told(call: SlowQuery) -> str:
    """The server's words, and for what a prepared statement meets, how long that lasts."""
    if call.state == PREPARED and "cached plan" in call.message:
        return f"{call.message}: a session that has prepared it fails until it connects anew"
    return call.message


def _failed(calls: Sequence[SlowQuery]) -> Iterator[SlowQuery]:
    return (call for call in calls if call.state not in (WELL, *PASSING))
