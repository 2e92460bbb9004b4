"""STS: nobody becomes a role that is not there, or not known yet."""

from __future__ import annotations

from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.emulator.protocol import ApiError, Request
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.iam.roles import role_by_arn, unknown_yet


def take_part(emulator: Emulator, pace: Delays) -> None:
    """Refuse what AWS refuses."""
    emulator.on_before("sts", "AssumeRole", _is_there)


def _is_there(call: Request) -> None:
    arn = call.form.get("RoleArn", "")
    role = role_by_arn(arn)
    if f":{DEFAULT_ACCOUNT_ID}:" in arn and (role is None or unknown_yet(role)):
        raise ApiError(
            "AccessDenied",
            f"User: arn:aws:iam::{DEFAULT_ACCOUNT_ID}:root is not authorized to perform: sts:AssumeRole "
            f"on resource: {arn}",
            403,
        )
