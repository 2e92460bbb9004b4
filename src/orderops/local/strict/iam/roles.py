"""The roles of the account, and whether the services know them yet."""

from __future__ import annotations

import time
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID


def role_by_name(name: str) -> Any:
    """The role of this name, or None."""
    return next((role for role in _roles() if role.name == name), None)


def role_by_arn(arn: str) -> Any:
    """The role with this ARN, or None."""
    return next((role for role in _roles() if role.arn == arn), None)


def linked_role(service: str) -> Any:
    """The role that belongs to this service, or None."""
    return next((role for role in _roles() if role.path == f"/aws-service-role/{service}/"), None)


def unknown_yet(role: Any) -> bool:
    """The role is there, and the services that assume it do not know it."""
    return role is not None and getattr(role, "known_from", 0.0) > time.time()


def _roles() -> list[Any]:
    return list(get_backend("iam")[DEFAULT_ACCOUNT_ID]["aws"].roles.values())
