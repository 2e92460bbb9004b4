"""IAM's decision on one question: which statements of some policies allow it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from support.policy_requests import Asked

Statement = Mapping[str, Any]
Document = Mapping[str, Any]


def allowing(asked: Asked, documents: Iterable[Document]) -> list[Statement]:
    """The statements that allow it; none means that it is denied. Only what orderops uses of IAM is known here."""
    found = []
    for statement in (each for document in documents for each in document["Statement"]):
        assert statement.keys() <= {"Sid", "Effect", "Action", "Resource", "Condition"}, statement
        assert statement["Effect"] == "Allow", statement
        if (
            _any(statement["Action"], asked.action.lower(), str.lower)
            and _any(statement["Resource"], asked.resource)
            and _holds(statement.get("Condition", {}), asked.context)
        ):
            found.append(statement)
    return found


def _any(patterns: str | list[str], text: str, spelled: Callable[[str], str] = str) -> bool:
    return any(matches(spelled(each), text) for each in _listed(patterns))


def matches(pattern: str, text: str) -> bool:
    """IAM's wildcards: `*` for any text, `?` for one character."""
    return _compiled(pattern).fullmatch(text) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile("".join({"*": ".*", "?": "."}.get(each, re.escape(each)) for each in pattern), re.DOTALL)


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _holds(condition: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    """Every operator with every key."""
    return all(_one(*each, context) for each in _lines(condition))


def _lines(condition: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, list[str]]]:
    for operator, keys in condition.items():
        for key, values in keys.items():
            yield operator, key, _listed(values)


def _one(operator: str, key: str, values: list[str], context: Mapping[str, str]) -> bool:
    if operator == "Null":
        return (key not in context) == (values == ["true"])
    if key not in context:
        return operator.endswith("IfExists")
    return OPERATORS[operator.removesuffix("IfExists")](context[key], values)


OPERATORS: Mapping[str, Callable[[str, list[str]], bool]] = {
    "StringEquals": lambda told, values: told in values,
    "ArnLike": lambda told, values: any(matches(value, told) for value in values),
}
