"""The patterns of metric filters: words that a line has or has not, and conditions on a line of JSON."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

Matches = Callable[[str], bool]
Condition = Callable[[Any], bool]

TERM = re.compile(r'([-?]?)(?:"((?:[^"\\]|\\.)*)"|(\S+))')
TOKEN = re.compile(
    r"""\s*(?:(?P<path>\$[\w.\[\]\-@]*) | (?P<and>&&) | (?P<or>\|\|) | (?P<open>\() | (?P<close>\))
    | (?P<is>(?:IS|NOT)\s+(?:NULL|TRUE|FALSE|EXISTS)) | (?P<compare>!=|<=|>=|=|<|>)
    | "(?P<text>(?:[^"\\]|\\.)*)" | (?P<word>[^\s()&|]+))""",
    re.VERBOSE,
)
ORDERS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
STEP = re.compile(r"[\w\-@]+")
MISSING = object()


class BadPattern(ValueError):
    """A pattern that cannot be read, or is of a kind that is not known here."""


def read(pattern: str) -> Matches:
    """A function that says whether a line matches; raises BadPattern."""
    pattern = pattern.strip()
    if pattern.startswith("["):
        raise BadPattern("columns in brackets are not known")
    if not pattern.startswith("{"):
        return _words(pattern)
    if not pattern.endswith("}"):
        raise BadPattern("the closing brace is missing")
    condition = _Conditions(pattern[1:-1]).read()

    def matches(line: str) -> bool:
        try:
            found = json.loads(line)
        except ValueError:
            return False
        return isinstance(found, dict) and condition(found)

    return matches


def number_at(path: str, line: str) -> float | None:
    """The number that a line of JSON has at `$.path`."""
    try:
        found = _at(path)(json.loads(line))
    except ValueError:
        return None
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def _words(pattern: str) -> Matches:
    terms = [(sign, quoted or word) for sign, quoted, word in TERM.findall(pattern)]
    needed = [term for sign, term in terms if not sign]
    unwanted = [term for sign, term in terms if sign == "-"]
    choice = [term for sign, term in terms if sign == "?"]

    def matches(line: str) -> bool:
        if any(term in line for term in unwanted) or not all(term in line for term in needed):
            return False
        return bool(needed) or not choice or any(term in line for term in choice)

    return matches


class _Conditions:
    """Reads `$.a = "x" && ($.b > 1 || $.c IS TRUE)`; `&&` binds closer than `||`."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        end = len(text.rstrip())
        place = 0
        while place < end:
            found = TOKEN.match(text, place)
            if not found or found.lastgroup is None:
                raise BadPattern(text[place:])
            self._tokens.append((found.lastgroup, found[found.lastgroup]))
            place = found.end()

    def read(self) -> Condition:
        condition = self._either()
        if self._tokens:
            raise BadPattern(self._tokens[0][1])
        return condition

    def _either(self) -> Condition:
        parts = [self._both()]
        while self._next("or"):
            parts.append(self._both())
        return lambda found: any(part(found) for part in parts)

    def _both(self) -> Condition:
        parts = [self._one()]
        while self._next("and"):
            parts.append(self._one())
        return lambda found: all(part(found) for part in parts)

    def _one(self) -> Condition:
        if self._next("open"):
            inner = self._either()
            self._need("close")
            return inner
        value = _at(self._need("path"))
        if state := self._next("is"):
            return _is(value, " ".join(state.split()))
        return self._comparison(value, self._need("compare"))

    def _comparison(self, value: Callable[[Any], Any], sign: str) -> Condition:
        text = self._next("text")
        wanted = self._need("word") if text is None else text
        if sign in ORDERS:
            order, limit = ORDERS[sign], _number(wanted)
            return lambda found: isinstance(value(found), int | float) and bool(order(value(found), limit))
        equal = _equals(value, wanted)
        return equal if sign == "=" else lambda found: value(found) is not MISSING and not equal(found)

    def _next(self, kind: str) -> str | None:
        if self._tokens and self._tokens[0][0] == kind:
            return self._tokens.pop(0)[1]
        return None

    def _need(self, kind: str) -> str:
        found = self._next(kind)
        if found is None:
            raise BadPattern(self._tokens[0][1] if self._tokens else "the end")
        return found


def _at(path: str) -> Callable[[Any], Any]:
    steps = STEP.findall(path.removeprefix("$"))

    def value(found: Any) -> Any:
        for step in steps:
            if isinstance(found, list) and step.isdigit() and int(step) < len(found):
                found = found[int(step)]
            elif isinstance(found, dict) and step in found:
                found = found[step]
            else:
                return MISSING
        return found

    return value


def _is(value: Callable[[Any], Any], state: str) -> Condition:
    if state == "NOT EXISTS":
        return lambda found: value(found) is MISSING
    wanted = {"IS NULL": None, "IS TRUE": True, "IS FALSE": False}.get(state, MISSING)
    if wanted is MISSING:
        raise BadPattern(state)
    return lambda found: value(found) is wanted


def _equals(value: Callable[[Any], Any], wanted: str) -> Condition:
    def equal(found: Any) -> bool:
        there = value(found)
        if isinstance(there, bool) or there is None or there is MISSING:
            return False
        if isinstance(there, int | float):
            try:
                return there == float(wanted)
            except ValueError:
                return wanted == "*"
        return fnmatchcase(str(there), wanted.replace("[", "[[]"))

    return equal


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadPattern(text) from None
