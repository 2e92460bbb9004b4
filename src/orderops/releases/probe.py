"""Ask a service through its load balancer, as a client would."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from types import MappingProxyType
from typing import Any

from orderops.frozen import Frozen, field
from orderops.infra.readiness import on_this_machine

TIMEOUT = 5.0
"""Seconds for an answer."""
LONGEST = 64 * 1024
"""Bytes of an answer that are read."""


class Answer(Frozen):
    """What a path of a service answered. `status` is 0, and `problem` says why, if nothing did."""

    status: int = 0
    document: Mapping[str, Any] = field(default_factory=dict)
    """The JSON object; empty for anything else."""
    problem: str = ""


def ask(url: str, headers: Mapping[str, str] = MappingProxyType({})) -> Answer:
    """Get a URL. Never raises for what the other end does."""
    # A proxy of the operator does not know this machine.
    direct = [urllib.request.ProxyHandler({})] if on_this_machine(url) else []
    try:
        request = urllib.request.Request(url, headers=dict(headers))
        with urllib.request.build_opener(*direct).open(request, timeout=TIMEOUT) as response:
            return Answer(response.status, _document(response.read(LONGEST)))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, _document(error.read(LONGEST)))
    except (OSError, HTTPException, ValueError) as error:
        return Answer(problem=str(getattr(error, "reason", error)) or type(error).__name__)


def _document(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
