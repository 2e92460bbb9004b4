"""IAM: policies with the ARNs of their own partition, and permissions boundaries that exist."""

from __future__ import annotations

import json
import re
from typing import Any

from moto.utilities.utils import get_partition

from orderops.local.emulator.partition import global_backend
from orderops.local.emulator.protocol import ApiError, Request
from orderops.local.emulator.server import Emulator

AWS_MANAGED = re.compile(r"arn:[\w-]+:iam::aws:policy/.+")
# From CreateRole in the IAM API reference.
PATH = re.compile(r"/|/[!-~]+/")
MAX_PATH_LENGTH = 512


def register(emulator: Emulator) -> None:
    """Reject what AWS rejects."""
    for action in ("PutRolePolicy", "PutUserPolicy", "CreatePolicy", "CreatePolicyVersion"):
        emulator.on_before("iam", action, _check_partition)
    for action in ("CreateRole", "PutRolePermissionsBoundary"):
        emulator.on_before("iam", action, _check_boundary)
    emulator.on_before("iam", "CreateRole", _check_path)


def _check_partition(request: Request) -> None:
    try:
        statements = _as_list(json.loads(request.form.get("PolicyDocument", "")).get("Statement"))
    except (ValueError, AttributeError):
        # moto answers for a document that is none.
        return
    partition = get_partition(request.region)
    for statement in statements:
        for resource in [*_as_list(statement.get("Resource")), *_as_list(statement.get("NotResource"))]:
            if not re.match(rf"\*|arn:({partition}|\*):", resource):
                named = resource.split(":")[1] if resource.startswith("arn:") else resource
                raise ApiError(
                    "MalformedPolicyDocument", f'Partition "{named}" is not valid for resource "{resource}".'
                )


def _check_boundary(request: Request) -> None:
    boundary = request.form.get("PermissionsBoundary", "")
    policies = global_backend("iam", request.region).managed_policies
    if boundary and boundary not in policies and not AWS_MANAGED.fullmatch(boundary):
        raise ApiError("NoSuchEntity", f"Scope ARN: {boundary} does not exist or is not attachable.", 404)


def _check_path(request: Request) -> None:
    path = request.form.get("Path", "/")
    if not PATH.fullmatch(path) or len(path) > MAX_PATH_LENGTH:
        raise ApiError(
            "ValidationError",
            "The specified value for path is invalid. It must begin and end with / and contain only "
            "alphanumeric characters and/or / characters.",
        )


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
