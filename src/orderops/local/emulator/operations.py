"""Which operation a REST request asks for: AWS's own models tell it by method, path, query and headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

MODELS = {
    "s3": ("s3",),
    "route53": ("route53",),
    "lambda": ("lambda",),
    "xray": ("xray",),
    "apigateway": ("apigateway", "apigatewayv2"),
}
"""The services that speak in paths, as signatures name them, and the models that may be meant."""


@dataclass(frozen=True)
class OperationPattern:
    """One operation, and what a request for it must have; the more that is, the more it means this one."""

    name: str
    method: str
    path: re.Pattern[str]
    fixed: frozenset[tuple[str, str]]
    queries: frozenset[str]
    headers: frozenset[str]

    @property
    def weight(self) -> int:
        return len(self.fixed) + len(self.queries) + len(self.headers)

    def asked(self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, Any]) -> bool:
        return (
            method == self.method
            and self.path.fullmatch(path) is not None
            and self.fixed <= query.items()
            and self.queries <= query.keys()
            and self.headers <= headers.keys()
        )


def name_of(service: str, method: str, path: str, query: str, headers: Mapping[str, Any]) -> str | None:
    """The operation's name; None for a service that does not speak in paths, or a request that fits none of its."""
    told = dict(parse_qsl(query, keep_blank_values=True))
    found = (one for one in operations(service) if one.asked(method, path.rstrip("/") or "/", told, headers))
    best = max(found, key=lambda one: one.weight, default=None)
    return best.name if best else None


@cache
def operations(service: str) -> tuple[OperationPattern, ...]:
    """Every operation of a service that speaks in paths; reading a model takes a while, so it is read once."""
    from moto.core.utils import get_service_model  # not before the daemon has set moto's settings

    found: list[OperationPattern] = []
    for name in MODELS.get(service, ()):
        model = get_service_model(name)
        each = (model.operation_model(operation) for operation in model.operation_names)
        found += [_operation(one) for one in each if not one.deprecated]
    return tuple(found)


def _operation(model: Any) -> OperationPattern:
    path, _, query = model.http["requestUri"].partition("?")
    shape = model.input_shape
    needed = [shape.members[name].serialization for name in shape.required_members] if shape else []
    return OperationPattern(
        name=model.name,
        method=model.http["method"],
        path=re.compile(_pattern(path.rstrip("/") or "/")),
        fixed=frozenset(parse_qsl(query, keep_blank_values=True)),
        queries=frozenset(each["name"] for each in needed if each.get("location") == "querystring"),
        headers=frozenset(_in_environ(each["name"]) for each in needed if each.get("location") == "header"),
    )


def _pattern(path: str) -> str:
    """`/{Bucket}/{Key+}`: a name is one piece of the path, a greedy one all that is left."""
    pieces = re.split(r"(\{[^}]+\})", path)
    return "".join(re.escape(piece) if piece[:1] != "{" else ".+" if piece[-2] == "+" else "[^/]+" for piece in pieces)


def _in_environ(header: str) -> str:
    return "HTTP_" + header.upper().replace("-", "_")
