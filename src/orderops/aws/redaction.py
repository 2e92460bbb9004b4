"""Removes passwords, tokens and signatures from the parameters and texts that are logged."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"
MAX_CHARACTERS = 2000

SECRET = re.compile(
    r"pass(word|wd|phrase)|secret|token|authori[sz]ation|credential|private.?key|access.?key|api.?key|dsn$", re.I
)
# They contain the word "secret", and hold the name of one.
NAMES_ONLY = frozenset({"SecretId", "secretArn", "SecretArn", "SecretIdList", "MasterUserSecretKmsKeyId"})
# Messages of customers and stored objects: only their size is logged.
CONTENTS = frozenset({"MessageBody", "Message", "Body"})
NAME_KEYS = ("name", "Name", "key", "Key", "ParameterName")
VALUE_KEYS = ("value", "Value", "ParameterValue", "values", "Values")
SIGNATURE = r"([?&](?:X-Amz-(?:Signature|Credential|Security-Token)|Signature|AWSAccessKeyId)=)[^&\s]+"
# At most 80 characters on each side of the word, which bounds the time that the search takes on a long text.
JSON_SECRET = r'("[^"]{0,80}?(?:password|secret|token|authorization)[^"]{0,80}"\s*:\s*)"(?:[^"\\]|\\.)*"'
IN_TEXT = (
    ("://", r"(\b[a-z][a-z0-9+.-]{0,30}://[^\s:/@]*):[^\s@/]+@", rf"\1:{HIDDEN}@"),
    ("=", SIGNATURE, rf"\1{HIDDEN}"),
    ('"', JSON_SECRET, rf'\1"{HIDDEN}"'),
    ("=", r"(\b(?:password|passwd|pwd|token|secret)\s*=\s*)[^\s&;,]+", rf"\1{HIDDEN}"),
    ("", r"\b(Bearer|Basic)\s+[\w.~+/=-]{8,}", rf"\1 {HIDDEN}"),
)
"""What every match contains, the pattern, and what stands in its place."""


def masked(value: Any, *, name: str = "") -> Any:
    """Return parameters with all secrets hidden and long texts cut, in types that JSON knows."""
    if SECRET.search(name) and name not in NAMES_ONLY and not isinstance(value, bool):
        return HIDDEN
    if name in CONTENTS and isinstance(value, str):
        return f"({len(value)} characters)"
    match value:
        case Mapping():
            return _masked_fields(value)
        case list() | tuple() | set() | frozenset():
            return [masked(element) for element in value]
        case str():
            return without_secrets(value)
        case bool() | int() | float() | None:
            return value
        case bytes() | bytearray():
            return f"({len(value)} bytes)"
    return without_secrets(str(value)) if type(value).__module__ == "datetime" else f"({type(value).__name__})"


def without_secrets(text: str) -> str:
    """Return a text without passwords in URLs, signatures, and secrets in JSON."""
    for contained, pattern, replacement in IN_TEXT:
        if contained in text:
            text = re.sub(pattern, replacement, text, flags=re.IGNORECASE)
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}… ({len(text)} characters)"


def _masked_fields(fields: Mapping[Any, Any]) -> dict[str, Any]:
    # In {name: DB_PASSWORD, value: …} the value of one field says whether to hide the other.
    name = next((str(fields[key]) for key in NAME_KEYS if isinstance(fields.get(key), str)), "")
    return {str(key): masked(value, name=name if key in VALUE_KEYS else str(key)) for key, value in fields.items()}
