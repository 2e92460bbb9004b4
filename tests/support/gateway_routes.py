"""Routes of the laptop's API gateway."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from orderops.local.apigateway.matching import GatewayRoute

OPEN = GatewayRoute(
    key="GET /version",
    authorization="NONE",
    issuer="",
    audience=frozenset(),
    scopes=frozenset(),
    listener="listener",
    reachable=True,
    headers={},
    timeout=2.0,
    rate=None,
    burst=None,
)
"""A route for everybody."""


def route(key: str, **more: Any) -> GatewayRoute:
    """A route with a key, for everybody unless told otherwise."""
    return replace(OPEN, key=key, **more)
