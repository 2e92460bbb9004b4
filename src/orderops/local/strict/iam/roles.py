"""Roles of the account, and whether other services know them yet."""

from __future__ import annotations

import time
from typing import Any

from orderops.local.emulator.partition import global_backends


def role_by_name(name: str) -> Any:
    """Return the role with this name, or None."""
    return next((role for role in _roles() if role.name == name), None)


def role_by_arn(arn: str) -> Any:
    """Return the role with this ARN, or None."""
    return next((role for role in _roles() if role.arn == arn), None)


def linked_role(service: str) -> Any:
    """Return the service-linked role of this service, or None."""
    return next((role for role in _roles() if role.path == f"/aws-service-role/{service}/"), None)


def not_yet_known(role: Any) -> bool:
    """Tell whether the role exists, but is not yet known to the services that assume it."""
    return role is not None and getattr(role, "known_from", 0.0) > time.time()


def _roles() -> list[Any]:
    return [role for backend in global_backends("iam") for role in backend.roles.values()]
