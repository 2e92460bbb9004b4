"""IAM's decision on one permission: which statements of some policies allow it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from support.policy_requests import Question

Statement = Mapping[str, Any]
Document = Mapping[str, Any]


def allowing(question: Question, documents: Iterable[Document]) -> list[Statement]:
    """Return the statements that allow it; [] means denied. Supports the parts of IAM's language that orderops uses."""
    allowed = []
    for statement in (statement for document in documents for statement in document["Statement"]):
        assert statement.keys() <= {"Sid", "Effect", "Action", "Resource", "Condition"}, statement
        assert statement["Effect"] == "Allow", statement
        if (
            _any_matches(statement["Action"], question.action.lower(), str.lower)
            and _any_matches(statement["Resource"], question.resource)
            and _holds(statement.get("Condition", {}), question.context)
        ):
            allowed.append(statement)
    return allowed


def _any_matches(patterns: str | list[str], text: str, normalized: Callable[[str], str] = str) -> bool:
    return any(matches(normalized(pattern), text) for pattern in _as_list(patterns))


def matches(pattern: str, text: str) -> bool:
    """Match IAM's wildcards: `*` for any text, `?` for one character."""
    return _compiled(pattern).fullmatch(text) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(
        "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern), re.DOTALL
    )


def _as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _holds(condition: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    return all(_key_holds(operator, key, values, context) for operator, key, values in _lines(condition))


def _lines(condition: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, list[str]]]:
    for operator, keys in condition.items():
        for key, values in keys.items():
            yield operator, key, _as_list(values)


def _key_holds(operator: str, key: str, values: list[str], context: Mapping[str, str]) -> bool:
    if operator == "Null":
        return (key not in context) == (values == ["true"])
    if key not in context:
        return operator.endswith("IfExists")
    return OPERATORS[operator.removesuffix("IfExists")](context[key], values)


OPERATORS: Mapping[str, Callable[[str, list[str]], bool]] = {
    "StringEquals": lambda text, values: text in values,
    "ArnLike": lambda text, values: any(matches(value, text) for value in values),
}
