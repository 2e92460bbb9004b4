"""Secrets Manager: a name that is being given up is not free, and nothing rotates by itself.

Which names are being given up after a deletion without recovery stands on moto's backend, as there is no secret left.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays

SERVICE = "secretsmanager"
SCHEDULED = "You can't create this secret because a secret with this name is already scheduled for deletion."
MARKED = "You can't perform this operation on the secret because it was marked for deletion."
NOT_WHILE_DELETED = ("GetSecretValue", "PutSecretValue", "UpdateSecret", "RotateSecret", "TagResource", "UntagResource")


def take_part(emulator: Emulator, pace: Delays) -> None:
    """Refuse and delay what AWS does."""
    emulator.on_before(SERVICE, "CreateSecret", _name_is_free)
    emulator.on_after(SERVICE, "DeleteSecret", _gives_up_its_name(pace))
    for action in NOT_WHILE_DELETED:
        emulator.on_before(SERVICE, action, _is_not_deleted)
    emulator.on_before(SERVICE, "RotateSecret", _has_a_function)


def _name_is_free(call: Request) -> None:
    name = call.json.get("Name", "")
    secret = _secret(call, name)
    if (secret and secret.is_deleted()) or _names_going(call).get(name, 0.0) > time.time():
        raise ApiError("InvalidRequestException", SCHEDULED)


def _gives_up_its_name(pace: Delays) -> Callable[[Request, Response], None]:
    """Keep a name for a while that was deleted without recovery: AWS does not do it within the call."""

    def keep(call: Request, answer: Response) -> None:
        if call.json.get("ForceDeleteWithoutRecovery"):
            _names_going(call)[json.loads(answer.body)["Name"]] = time.time() + pace.secret

    return keep


def _is_not_deleted(call: Request) -> None:
    secret = _secret(call, call.json.get("SecretId", ""))
    if secret and secret.is_deleted():
        raise ApiError("InvalidRequestException", MARKED)


def _has_a_function(call: Request) -> None:
    secret = _secret(call, call.json.get("SecretId", ""))
    if secret is None or secret.owning_service:
        return
    function = call.json.get("RotationLambdaARN") or secret.rotation_lambda_arn
    if not function:
        raise ApiError("InvalidRequestException", "No Lambda rotation function ARN is associated with this secret.")
    functions = get_backend("lambda")[DEFAULT_ACCOUNT_ID][call.region].list_functions(None)
    if function not in [each.function_arn for each in functions]:
        raise ApiError(
            "AccessDeniedException",
            "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants "
            "access to the principal secretsmanager.amazonaws.com.",
        )


def _secret(call: Request, identifier: str) -> Any:
    backend = _backend(call)
    return backend.secrets.get(identifier) if backend._is_valid_identifier(identifier) else None


def _names_going(call: Request) -> dict[str, float]:
    found: dict[str, float] = vars(_backend(call)).setdefault("names_going", {})
    return found


def _backend(call: Request) -> Any:
    return get_backend(SERVICE)[DEFAULT_ACCOUNT_ID][call.region]
