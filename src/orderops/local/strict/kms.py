"""Keys: no use of one that is disabled or waits for its deletion."""

from __future__ import annotations

import base64
from typing import Any

from orderops.local.emulator.protocol import ApiError, Request
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.interfaces import backend

USES = (
    "Decrypt",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "GenerateMac",
    "ReEncrypt",
    "Sign",
    "Verify",
    "VerifyMac",
)
CHANGES = ("CreateGrant", "DisableKey", "DisableKeyRotation", "EnableKey", "EnableKeyRotation", "ScheduleKeyDeletion")
NAMED_IN_FRONT = 36
"""With so many bytes, the identifier of the key, what moto encrypts begins."""


def take_part(emulator: Emulator, _pace: Delays) -> None:
    """Look at the state of the key first."""
    for action in USES:
        emulator.on_before("kms", action, _usable)
    for action in CHANGES:
        emulator.on_before("kms", action, _stays)


def _usable(call: Request) -> None:
    key = _key(call)
    _stays(call)
    if key and key.key_state == "Disabled":
        raise ApiError("DisabledException", f"{key.arn} is disabled.")


def _stays(call: Request) -> None:
    key = _key(call)
    if key and key.key_state == "PendingDeletion":
        raise ApiError("KMSInvalidStateException", f"{key.arn} is pending deletion.")


def _key(call: Request) -> Any:
    """The key that the call names, or the one that its secret was encrypted with."""
    keys, asked = backend("kms", call.region), call.json
    name = asked.get("DestinationKeyId") or asked.get("KeyId")
    if not name and "CiphertextBlob" in asked:
        name = base64.b64decode(asked["CiphertextBlob"])[:NAMED_IN_FRONT].decode(errors="replace")
    if not name:
        return None
    identifier = keys.get_key_id(name)
    if "alias/" in name:
        identifier = keys.get_key_id_from_alias(keys.get_alias_name(name)) or ""
    return keys.keys.get(identifier)
