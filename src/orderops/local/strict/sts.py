"""STS: only existing roles that other services know can be assumed."""

from __future__ import annotations

from moto.core import DEFAULT_ACCOUNT_ID
from moto.utilities.utils import get_partition

from orderops.local.emulator.protocol import ApiError, Request
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.iam.roles import not_yet_known, role_by_arn


def register(emulator: Emulator, delays: Delays) -> None:
    """Reject what AWS rejects."""
    emulator.on_before("sts", "AssumeRole", _check_role)


def _check_role(request: Request) -> None:
    arn = request.form.get("RoleArn", "")
    role = role_by_arn(arn)
    # Roles of other accounts cannot be checked, since the emulator has only one.
    if f":{DEFAULT_ACCOUNT_ID}:" in arn and (role is None or not_yet_known(role)):
        raise ApiError(
            "AccessDenied",
            f"User: arn:{get_partition(request.region)}:iam::{DEFAULT_ACCOUNT_ID}:root is not authorized to perform: "
            f"sts:AssumeRole on resource: {arn}",
            403,
        )
