"""Secrets Manager: names stay taken after a deletion, and rotation needs a function.

Names released by a deletion without recovery are stored on moto's backend, since the secret no longer exists.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays

SERVICE = "secretsmanager"
SCHEDULED_MESSAGE = "You can't create this secret because a secret with this name is already scheduled for deletion."
MARKED_MESSAGE = "You can't perform this operation on the secret because it was marked for deletion."
DATED = ("CreateSecret", "PutSecretValue", "UpdateSecret")
# RDS user guide, "Password management with Amazon RDS and AWS Secrets Manager".
NOT_FROM_OUTSIDE = ("DeleteSecret", "PutSecretValue", "UpdateSecret", "UpdateSecretVersionStage")
ROTATED_EVERY = 7  # days
NOT_WHILE_DELETED = ("GetSecretValue", "PutSecretValue", "UpdateSecret", "RotateSecret", "TagResource", "UntagResource")


def register(emulator: Emulator, delays: Delays) -> None:
    """Reject and delay what AWS does."""
    emulator.on_before(SERVICE, "CreateSecret", _check_name_free)
    # moto frees the name within the request; on AWS, CreateSecret fails for a few seconds with "scheduled for
    # deletion".
    emulator.on_after(SERVICE, "DeleteSecret", _hold_name(delays))
    for action in DATED:
        emulator.on_after(SERVICE, action, _date)
    emulator.on_before(SERVICE, "ListSecretVersionIds", _check_exists)
    emulator.on_after(SERVICE, "ListSecretVersionIds", _date_versions)
    for action in NOT_WHILE_DELETED:
        emulator.on_before(SERVICE, action, _check_not_deleted)
    for action in NOT_FROM_OUTSIDE:
        emulator.on_before(SERVICE, action, _check_not_managed)
    emulator.on_after(SERVICE, "DescribeSecret", _show_rotation)
    emulator.on_before(SERVICE, "RotateSecret", _check_rotation_function)
    emulator.on_before(SERVICE, "GetSecretValue", _default_to_current)


def _check_name_free(request: Request) -> None:
    name = request.json.get("Name", "")
    secret = _secret(request, name)
    if (secret and secret.is_deleted()) or _released_names(request).get(name, 0.0) > time.time():
        raise ApiError("InvalidRequestException", SCHEDULED_MESSAGE)


def _hold_name(delays: Delays) -> Callable[[Request, Response], None]:
    """Keep a name taken for a while: AWS deletes without recovery asynchronously."""

    def hold(request: Request, response: Response) -> None:
        if request.json.get("ForceDeleteWithoutRecovery"):
            _released_names(request)[json.loads(response.body)["Name"]] = time.time() + delays.secret

    return hold


def _date(request: Request, response: Response) -> None:
    """Date a change and the value that it wrote in fractions of a second, as AWS does; moto cuts them off.

    So a value that is written right after a task has started is newer than the task.
    """
    answer = json.loads(response.body)
    secret, now = _secret(request, answer["Name"]), time.time()
    secret.last_changed_date = now
    if version := secret.versions.get(answer.get("VersionId", "")):
        version["createdate"] = now


def _date_versions(request: Request, response: Response) -> Response:
    """Answer when each version was made; moto answers the time of the call."""
    answer = json.loads(response.body)
    secret = _secret(request, request.json["SecretId"])
    for version in answer["Versions"]:
        version["CreatedDate"] = secret.versions[version["VersionId"]]["createdate"]
    return replace(response, body=json.dumps(answer).encode())


def _check_exists(request: Request) -> None:
    if _secret(request, request.json.get("SecretId", "")) is None:
        raise ApiError("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")


def _check_not_deleted(request: Request) -> None:
    secret = _secret(request, request.json.get("SecretId", ""))
    if secret and secret.is_deleted():
        raise ApiError("InvalidRequestException", MARKED_MESSAGE)


def _default_to_current(request: Request) -> None:
    """Answer the current version unless another one is asked for; moto answers the last one that was put as such.

    Secrets Manager API, GetSecretValue: "If you don't specify either a VersionStage or VersionId, Secrets Manager
    returns the AWSCURRENT version."
    """
    secret = _secret(request, request.json.get("SecretId", ""))
    for name, version in secret.versions.items() if secret else ():
        if "AWSCURRENT" in version["version_stages"]:
            secret.default_version_id = name


def _check_not_managed(request: Request) -> None:
    secret = _secret(request, request.json.get("SecretId", ""))
    if secret and secret.owning_service:
        message = f"You can't perform this operation on the secret because it is managed by {secret.owning_service}."
        raise ApiError("InvalidRequestException", message)


def _show_rotation(request: Request, response: Response) -> Response | None:
    """A service rotates its own secrets; moto says so of none."""
    if not response.ok or not (answer := json.loads(response.body)).get("OwningService"):
        return None
    rotation = {"RotationEnabled": True, "RotationRules": {"AutomaticallyAfterDays": ROTATED_EVERY}}
    return replace(response, body=json.dumps({**answer, **rotation}).encode())


def _check_rotation_function(request: Request) -> None:
    secret = _secret(request, request.json.get("SecretId", ""))
    # RDS rotates its own secrets without a function.
    if secret is None or secret.owning_service:
        return
    function = request.json.get("RotationLambdaARN") or secret.rotation_lambda_arn
    if not function:
        raise ApiError("InvalidRequestException", "No Lambda rotation function ARN is associated with this secret.")
    functions = get_backend("lambda")[DEFAULT_ACCOUNT_ID][request.region].list_functions(None)
    if function not in [known.function_arn for known in functions]:
        raise ApiError(
            "AccessDeniedException",
            "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants "
            "access to the principal secretsmanager.amazonaws.com.",
        )


def _secret(request: Request, identifier: str) -> Any:
    backend = _backend(request)
    return backend.secrets.get(identifier) if backend._is_valid_identifier(identifier) else None


def _released_names(request: Request) -> dict[str, float]:
    found: dict[str, float] = vars(_backend(request)).setdefault("released_names", {})
    return found


def _backend(request: Request) -> Any:
    return get_backend(SERVICE)[DEFAULT_ACCOUNT_ID][request.region]
