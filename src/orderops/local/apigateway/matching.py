"""Routes of an API, and which of them a request takes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote, unquote


@dataclass(frozen=True)
class GatewayRoute:
    """A route with everything that its requests need."""

    key: str
    authorization: str
    issuer: str
    audience: frozenset[str]
    scopes: frozenset[str]
    listener: str
    """ARN of the listener that it leads to."""
    reachable: bool
    """Whether the VPC link is available, and the load balancer admits it."""
    headers: dict[str, str]
    """Headers that are overwritten, with their expressions."""
    timeout: float
    """Seconds."""
    rate: float | None
    burst: int | None
    needs_key: bool = False
    schema: dict[str, Any] | None = None
    """What a JSON body is validated by; None for any body."""
    target: str = ""
    """The path that the load balancer gets, with variables; "" for the path of the request."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Names of the variables of `target`, and of the route's own that they are filled with."""

    @property
    def weight(self) -> tuple[bool, int, int, bool]:
        """How exactly it describes its requests; the largest wins."""
        parts = self._path.split("/")
        greedy = any(part.endswith("+}") for part in parts)
        fixed = sum(not part.startswith("{") for part in parts)
        return (self.key != "$default" and not greedy, len(parts), fixed, self._method != "ANY")

    def matches(self, method: str, path: str) -> bool:
        """Tell whether a request takes this route, if no other describes it more exactly."""
        if self.key == "$default":
            return True
        return self._method in ("ANY", method) and self._pattern.fullmatch(path) is not None

    def target_path(self, raw: str) -> str:
        """Return the path that the load balancer gets for this one, both encoded."""
        found = self._pattern.fullmatch(unquote(raw))
        if not self.target or found is None:
            return raw
        names = [name.strip("{}+") for name in re.findall(r"\{[^}]+\}", self._path)]
        values = dict(zip(names, found.groups(), strict=True))
        filled = {name: quote(values.get(source, ""), safe="/") for name, source in self.variables.items()}
        return re.sub(r"\{([^}]+)\}", lambda variable: filled.get(variable[1], ""), self.target)

    @property
    def _method(self) -> str:
        return self.key.partition(" ")[0]

    @property
    def _path(self) -> str:
        return self.key.partition(" ")[2]

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        pieces = re.split(r"(\{[^}]+\})", self._path)
        return re.compile("".join(_expression(piece) for piece in pieces))


def route_for(routes: Sequence[GatewayRoute], method: str, path: str) -> GatewayRoute | None:
    """Return the route that a request takes; None if it takes none."""
    return max((one for one in routes if one.matches(method, path)), key=lambda one: one.weight, default=None)


def _expression(piece: str) -> str:
    if not piece.startswith("{"):
        return re.escape(piece)
    return "(.+)" if piece.endswith("+}") else "([^/]+)"
