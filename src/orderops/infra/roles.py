"""Roles of an environment: each with the path and the permissions boundary that its file declares."""

from __future__ import annotations

from orderops.config.environment import Environment
from orderops.resources.iam_role import Allow, IamRole


def role_of(environment: Environment, name: str, principal: str, allow: tuple[Allow, ...]) -> IamRole:
    """The role that a service of AWS assumes in an environment."""
    declared = environment.iam
    return IamRole(name, principal, allow, path=declared.path, permissions_boundary=declared.permissions_boundary)
