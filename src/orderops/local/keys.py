"""Access keys of the laptop environment: the one that operators use, and those of its tasks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

# Not AWS's own prefixes (AKIA, ASIA): a scanner for leaked keys would report the laptop's as one of a real account.
OPERATOR_PREFIX = "LAPTOP"
TASK_PREFIX = "LAPTASK"
# Characters of base32, which are 5 bytes.
PART = 8


@dataclass(frozen=True)
class AccessKey:
    """Access key as AWS's clients use it; those of tasks have a session token, as a role's have."""

    id: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)


def new_key() -> AccessKey:
    """Return a random key."""
    return AccessKey(OPERATOR_PREFIX + _base32(secrets.token_bytes(10)), secrets.token_hex(20))


def task_key(operator: AccessKey) -> AccessKey:
    """Return a key for one task.

    The key is derived and not stored, so that a task that outlives a killed daemon can go on using it.
    """
    return _derived(operator, _base32(secrets.token_bytes(5)))


def find_task_key(operator: AccessKey, key_id: str) -> AccessKey | None:
    """Return the key of a task by its id; None for an id that was not made from the operator's key."""
    number = key_id.removeprefix(TASK_PREFIX)[:PART]
    key = _derived(operator, number)
    return key if hmac.compare_digest(key.id.encode(), key_id.encode()) else None


def _derived(operator: AccessKey, number: str) -> AccessKey:
    def made_of(purpose: str) -> bytes:
        return hmac.digest(operator.secret.encode(), f"{purpose} of task {number}".encode(), hashlib.sha256)

    key_id = TASK_PREFIX + number + _base32(made_of("id")[:5])
    return AccessKey(key_id, made_of("secret").hex(), made_of("token").hex())


def _base32(content: bytes) -> str:
    return base64.b32encode(content).decode()
