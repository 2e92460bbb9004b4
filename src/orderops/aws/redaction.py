"""What a log must not show: passwords, tokens and signatures, wherever they stand in a call's parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"
LONGEST = 2000
"""Characters of one text that are kept."""

SECRET = re.compile(
    r"pass(word|wd|phrase)|secret|token|authori[sz]ation|credential|private.?key|access.?key|api.?key|dsn$", re.I
)
NAMES_ONLY = frozenset({"SecretId", "secretArn", "SecretArn", "SecretIdList", "MasterUserSecretKmsKeyId"})
"""Named like secrets, and only names of them."""
CONTENTS = frozenset({"MessageBody", "Message", "Body"})
"""What customers wrote, and what is stored: only how much of it there is."""
NAMING = ("name", "Name", "key", "Key", "ParameterName")
VALUES = ("value", "Value", "ParameterValue", "values", "Values")
SIGNED = r"([?&](?:X-Amz-(?:Signature|Credential|Security-Token)|Signature|AWSAccessKeyId)=)[^&\s]+"
JSON_SECRET = r'("[^"]{0,80}?(?:password|secret|token|authorization)[^"]{0,80}"\s*:\s*)"(?:[^"\\]|\\.)*"'
IN_TEXT = (
    (re.compile(r"(\b[a-z][a-z0-9+.-]{0,30}://[^\s:/@]*):[^\s@/]+@", re.I), rf"\1:{HIDDEN}@"),
    (re.compile(SIGNED, re.I), rf"\1{HIDDEN}"),
    (re.compile(JSON_SECRET, re.I), rf'\1"{HIDDEN}"'),
    (re.compile(r"(\b(?:password|passwd|pwd|token|secret)\s*=\s*)[^\s&;,]+", re.I), rf"\1{HIDDEN}"),
    (re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{8,}", re.I), rf"\1 {HIDDEN}"),
)


def masked(value: Any, *, name: str = "") -> Any:
    """The same parameters with every secret hidden, short enough for a line, and in types that JSON knows."""
    if SECRET.search(name) and name not in NAMES_ONLY and not isinstance(value, bool):
        return HIDDEN
    if name in CONTENTS and isinstance(value, str):
        return f"({len(value)} characters)"
    match value:
        case Mapping():
            return _fields(value)
        case list() | tuple() | set() | frozenset():
            return [masked(each) for each in value]
        case str():
            return without_secrets(value)
        case bool() | int() | float() | None:
            return value
        case bytes() | bytearray():
            return f"({len(value)} bytes)"
    return without_secrets(str(value)) if type(value).__module__ == "datetime" else f"({type(value).__name__})"


def without_secrets(text: str) -> str:
    """A text without the passwords of its URLs, its signatures, and the secrets of the JSON in it."""
    for pattern, instead in IN_TEXT:
        text = pattern.sub(instead, text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def _fields(fields: Mapping[Any, Any]) -> dict[str, Any]:
    """One structure; where it is a pair such as {name: DB_PASSWORD, value: …}, the name says whether to hide."""
    named = next((str(fields[key]) for key in NAMING if isinstance(fields.get(key), str)), "")
    return {str(key): masked(value, name=named if key in VALUES else str(key)) for key, value in fields.items()}
