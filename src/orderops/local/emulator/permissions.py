"""Whether the policies of a principal allow an action, written from "Policy evaluation logic" of the IAM user guide.

Conditions are not evaluated: a statement with one allows nothing, and denies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from orderops.local.emulator.partition import global_backends

Statement = Mapping[str, Any]


def key_holder(key_id: str) -> Any:
    """Return moto's record of the user or the role that a key of the account belongs to; None for another key.

    Call only while holding the emulator's lock.
    """
    for backend in global_backends("iam"):
        for user in backend.users.values():
            if any(key.access_key_id == key_id for key in user.access_keys):
                return user
    for backend in global_backends("sts"):
        for session in backend.assumed_roles:
            if session.access_key_id == key_id:
                return role(session.role_arn)
    return None


def role(arn: str) -> Any:
    """Return moto's record of a role; None if it does not exist. Call only while holding the emulator's lock."""
    roles = (record for backend in global_backends("iam") for record in backend.roles.values())
    return next((record for record in roles if record.arn == arn), None)


def allows(principal: Any, action: str, resource: str) -> bool:
    """Tell whether the policies of a user or role allow an action, and its permissions boundary as well.

    Call only while holding the emulator's lock.
    """
    documents = [*principal.policies.values(), *map(_document, principal.managed_policies.values())]
    if not _allowed(list(map(_parsed, documents)), action, resource):
        return False
    boundary = getattr(principal, "permissions_boundary_arn", None)
    return not boundary or _allowed(list(map(_parsed, _managed(boundary))), action, resource)


def _allowed(documents: list[Any], action: str, resource: str) -> bool:
    about = [statement for statement in _statements(documents) if _is_about(statement, action, resource)]
    if any(statement["Effect"] == "Deny" for statement in about):
        return False
    return any("Condition" not in statement for statement in about)


def _statements(documents: list[Any]) -> Iterator[Statement]:
    for document in documents:
        found = document.get("Statement", [])
        yield from [found] if isinstance(found, Mapping) else found


def _is_about(statement: Statement, action: str, resource: str) -> bool:
    # The case of an action does not matter, and that of a resource does: names of database users differ by it.
    named = _matches(statement, "Action", action, re.IGNORECASE)
    return named and _matches(statement, "Resource", resource, re.NOFLAG)


def _matches(statement: Statement, key: str, text: str, flags: re.RegexFlag) -> bool:
    patterns = statement.get(key, statement.get(f"Not{key}", []))
    found = any(
        re.fullmatch(_regular(pattern), text, flags)
        for pattern in ([patterns] if isinstance(patterns, str) else patterns)
    )
    return found if key in statement else not found


def _regular(pattern: str) -> str:
    return "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern)


def _managed(arn: str) -> list[Any]:
    backends = global_backends("iam")
    found = [backend.managed_policies[arn] for backend in backends if arn in backend.managed_policies]
    return [_document(policy) for policy in found]


def _document(policy: Any) -> Any:
    return next(version.document for version in policy.versions if version.is_default)


def _parsed(document: Any) -> Any:
    return json.loads(document) if isinstance(document, str) else document
