"""The rules of composite alarms: ALARM("a") AND NOT (OK("b") OR TRUE)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

TOKEN = re.compile(r'\s*(?:(ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*"?([^()"]+?)"?\s*\)|(AND|OR|NOT|TRUE|FALSE|[()]))', re.I)

AlarmRule = Callable[[Mapping[str, str]], bool]


class BadRule(ValueError):
    """A rule that cannot be read."""


def children(rule: str) -> set[str]:
    """The alarms that a rule names; raises BadRule."""
    reader = _Reader(rule)
    reader.read()
    return {name.rpartition(":")[2] for name in reader.named}


def holds(rule: str, states: Mapping[str, str]) -> bool:
    """Whether the rule is true while alarms are in these states."""
    return _Reader(rule).read()(states)


class _Reader:
    def __init__(self, rule: str) -> None:
        self.named: set[str] = set()
        self._tokens: list[tuple[str, str]] = []
        place, end = 0, len(rule.rstrip())
        while place < end:
            found = TOKEN.match(rule, place)
            if not found:
                raise BadRule(rule[place:])
            state, name, word = found.groups()
            self._tokens.append((state.upper(), name) if state else (word.upper(), ""))
            place = found.end()

    def read(self) -> AlarmRule:
        rule = self._either()
        if self._tokens:
            raise BadRule(self._tokens[0][0])
        return rule

    def _either(self) -> AlarmRule:
        parts = [self._both()]
        while self._take("OR"):
            parts.append(self._both())
        return lambda states: any(part(states) for part in parts)

    def _both(self) -> AlarmRule:
        parts = [self._one()]
        while self._take("AND"):
            parts.append(self._one())
        return lambda states: all(part(states) for part in parts)

    def _one(self) -> AlarmRule:
        if not self._tokens:
            raise BadRule("the end")
        word, name = self._tokens.pop(0)
        if word == "NOT":
            inner = self._one()
            return lambda states: not inner(states)
        if word == "(":
            inner = self._either()
            if not self._take(")"):
                raise BadRule("a bracket is not closed")
            return inner
        if word in ("TRUE", "FALSE"):
            return lambda _states: word == "TRUE"
        if not name:
            raise BadRule(word)
        self.named.add(name)
        return lambda states: states.get(name.rpartition(":")[2]) == word

    def _take(self, word: str) -> bool:
        if self._tokens and self._tokens[0][0] == word:
            self._tokens.pop(0)
            return True
        return False
