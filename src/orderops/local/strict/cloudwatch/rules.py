"""Rules of composite alarms: which alarms they name, whether they hold, and what AWS refuses of them.

From PutCompositeAlarm in the CloudWatch API reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from orderops.local.strict.cloudwatch.queries import refused

States = Mapping[str, str]
Condition = Callable[[States], bool]
TOKEN = re.compile(
    r"""\s*(?:
        (?P<state>ALARM|OK|INSUFFICIENT_DATA)\(\s*(?:"(?P<quoted>[^"]+)"|(?P<plain>[^()"\s]+))\s*\)
        | (?P<word>TRUE|FALSE|AND|OR|NOT)\b
        | (?P<parenthesis>[()])
    )\s*""",
    re.VERBOSE,
)
LONGEST, MOST_CHILDREN, MOST_ELEMENTS = 10_240, 100, 500


@dataclass(frozen=True)
class AlarmRule:
    """A parsed rule."""

    children: frozenset[str]
    holds: Condition
    """Whether it is true for these states, by name of the alarm."""


def parsed(text: str) -> AlarmRule:
    """Parse a rule. Raises ApiError for one that AWS refuses."""
    if len(text) > LONGEST:
        raise refused(f"AlarmRule must have length less than or equal to {LONGEST}")
    parser = _Parser(text)
    holds = parser.whole()
    if len(parser.children) > MOST_CHILDREN:
        raise refused(f"AlarmRule must not contain more than {MOST_CHILDREN} child alarms")
    if parser.elements > MOST_ELEMENTS:
        raise refused(f"AlarmRule must not contain more than {MOST_ELEMENTS} elements")
    return AlarmRule(frozenset(parser.children), holds)


class _Parser:
    """Recursive descent: NOT binds closer than AND, and AND closer than OR."""

    def __init__(self, text: str) -> None:
        self.children: set[str] = set()
        self.elements = 0
        self._text = text
        self._position = 0
        self._token = self._next()

    def whole(self) -> Condition:
        condition = self._either()
        if self._token is not None:
            raise self._wrong()
        return condition

    def _either(self) -> Condition:
        parts = [self._both()]
        while self._word() == "OR":
            self._token = self._next()
            parts.append(self._both())
        return lambda states: any(part(states) for part in parts)

    def _both(self) -> Condition:
        parts = [self._single()]
        while self._word() == "AND":
            self._token = self._next()
            parts.append(self._single())
        return lambda states: all(part(states) for part in parts)

    def _single(self) -> Condition:
        token = self._token
        if token is None or token["word"] in ("AND", "OR") or token["parenthesis"] == ")":
            raise self._wrong()
        self._token = self._next()
        if token["word"] == "NOT":
            negated = self._single()
            return lambda states: not negated(states)
        if token["parenthesis"]:
            condition = self._either()
            if self._token is None or self._token["parenthesis"] != ")":
                raise self._wrong()
            self._token = self._next()
            self.elements += 2
            return condition
        self.elements += 1
        if token["word"]:
            return lambda _: token["word"] == "TRUE"
        name, wanted = name_in(token["quoted"] or token["plain"]), token["state"]
        self.children.add(name)
        return lambda states: states.get(name) == wanted

    def _word(self) -> str | None:
        return self._token["word"] if self._token else None

    def _next(self) -> re.Match[str] | None:
        if self._position >= len(self._text):
            return None
        if (match := TOKEN.match(self._text, self._position)) is None:
            raise self._wrong()
        self._position = match.end()
        return match

    def _wrong(self) -> Exception:
        return refused(f"Error in AlarmRule: unexpected text near position {self._position}")


def name_in(reference: str) -> str:
    """The name of an alarm that is given by its name or its ARN."""
    return reference.rpartition(":alarm:")[2] if reference.startswith("arn:") else reference
