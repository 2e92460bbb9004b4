"""Find the operation of a REST request by method, path, query and headers, using AWS's own service models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

# Services with a REST protocol, as named in signatures, and the models that may define an operation.
MODELS = {
    "s3": ("s3",),
    "scheduler": ("scheduler",),
    "route53": ("route53",),
    "lambda": ("lambda",),
    "xray": ("xray",),
    "apigateway": ("apigateway", "apigatewayv2"),
}


@dataclass(frozen=True)
class OperationPattern:
    """Requirements of one operation; the pattern with the most of them wins."""

    name: str
    method: str
    path: re.Pattern[str]
    fixed_query: frozenset[tuple[str, str]]
    required_query: frozenset[str]
    headers: frozenset[str]

    @property
    def weight(self) -> int:
        return len(self.fixed_query) + len(self.required_query) + len(self.headers)

    def matches(self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, Any]) -> bool:
        return (
            method == self.method
            and self.path.fullmatch(path) is not None
            and self.fixed_query <= query.items()
            and self.required_query <= query.keys()
            and self.headers <= headers.keys()
        )


def name_of(service: str, method: str, path: str, query: str, headers: Mapping[str, Any]) -> str | None:
    """Return the operation's name; None for services without a REST protocol and for requests that match none."""
    query_values = dict(parse_qsl(query, keep_blank_values=True))
    matching = (
        pattern
        for pattern in operations(service)
        if pattern.matches(method, path.rstrip("/") or "/", query_values, headers)
    )
    # GET /{Bucket} with `?policy` fits both ListObjects and GetBucketPolicy: the more specific one is meant.
    best = max(matching, key=lambda pattern: pattern.weight, default=None)
    return best.name if best else None


@cache
def operations(service: str) -> tuple[OperationPattern, ...]:
    """Return every operation of a REST service. Cached, since loading a model takes long."""
    # Import only after the daemon has set moto's settings.
    from moto.core.utils import get_service_model

    patterns: list[OperationPattern] = []
    for name in MODELS.get(service, ()):
        service_model = get_service_model(name)
        models = (service_model.operation_model(operation) for operation in service_model.operation_names)
        patterns += [_operation(model) for model in models if not model.deprecated]
    return tuple(patterns)


def _operation(model: Any) -> OperationPattern:
    path, _, query = model.http["requestUri"].partition("?")
    shape = model.input_shape
    required = [shape.members[name].serialization for name in shape.required_members] if shape else []
    return OperationPattern(
        name=model.name,
        method=model.http["method"],
        path=re.compile(_pattern(path.rstrip("/") or "/")),
        fixed_query=frozenset(parse_qsl(query, keep_blank_values=True)),
        required_query=frozenset(member["name"] for member in required if member.get("location") == "querystring"),
        headers=frozenset(_in_environ(member["name"]) for member in required if member.get("location") == "header"),
    )


def _pattern(path: str) -> str:
    """Turn `/{Bucket}/{Key+}` into a regular expression: a greedy name matches the rest of the path."""
    pieces = re.split(r"(\{[^}]+\})", path)
    return "".join(re.escape(piece) if piece[:1] != "{" else ".+" if piece[-2] == "+" else "[^/]+" for piece in pieces)


def _in_environ(header: str) -> str:
    return "HTTP_" + header.upper().replace("-", "_")
