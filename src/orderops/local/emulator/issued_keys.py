"""Keys that the emulated account itself has issued: access keys of IAM users, and sessions of assumed roles."""

from __future__ import annotations

from datetime import UTC, datetime

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.keys import AccessKey


def find_issued_key(key_id: str) -> AccessKey | None:
    """Return an active key of the account by its id, or None. Call only while holding the emulator's lock."""
    for user in get_backend("iam")[DEFAULT_ACCOUNT_ID]["aws"].users.values():
        for key in user.access_keys:
            if key.access_key_id == key_id and key.status == "Active":
                return AccessKey(key_id, key.secret_access_key)
    now = datetime.now(UTC)
    for role in get_backend("sts")[DEFAULT_ACCOUNT_ID]["aws"].assumed_roles:
        if role.access_key_id == key_id and role.expiration.replace(tzinfo=UTC) > now:
            return AccessKey(key_id, role.secret_access_key, role.session_token)
    return None
