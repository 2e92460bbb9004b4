"""Message attributes: what SQS accepts, how much they count, and their MD5.

Rules and the digest's layout are those of "Amazon SQS message metadata" in the SQS developer guide.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from orderops.local.emulator.protocol import ApiError
from orderops.local.sqs.errors import invalid_value

MAX_ATTRIBUTES = 10
NAME = re.compile(r"(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]{1,256}(?<!\.)")
RESERVED = ("aws.", "amazon.")
TYPE = re.compile(r"(String|Number|Binary)(\.[A-Za-z0-9_.-]{1,249})?")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
# #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF
FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
TEXT, BINARY = b"\x01", b"\x02"
TRACE_HEADER = "AWSTraceHeader"


def check_attributes(attributes: Mapping[str, Any]) -> None:
    """Raise the error of SQS for attributes that it refuses."""
    if len(attributes) > MAX_ATTRIBUTES:
        raise invalid_value(
            f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum [{MAX_ATTRIBUTES}]."
        )
    for name, attribute in attributes.items():
        if not NAME.fullmatch(name) or name.lower().startswith(RESERVED):
            raise invalid_value(f"The message attribute name '{name}' is invalid.")
        _check_value(name, attribute)


def check_system_attributes(attributes: Mapping[str, Any]) -> None:
    """Raise the error of SQS for other system attributes than the only one that a sender may set."""
    for name, attribute in attributes.items():
        if name != TRACE_HEADER:
            raise invalid_value(f"Message system attribute name '{name}' is invalid.")
        _check_value(name, attribute)


def check_text(text: str) -> None:
    """Raise the error of SQS for characters that no message may have."""
    if FORBIDDEN.search(text):
        raise ApiError(
            "InvalidMessageContents",
            "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | "
            "#xE000 to #xFFFD | #x10000 to #x10FFFF",
            shape="com.amazonaws.sqs#InvalidMessageContents",
        )


def size(attributes: Mapping[str, Any]) -> int:
    """Return how many bytes of a message's size the names, types and values count."""
    return sum(len(part) for name in attributes for part in _parts(name, attributes[name]))


def digest(attributes: Mapping[str, Any]) -> str:
    """Return the MD5 of attributes, which clients calculate again."""
    md5 = hashlib.md5(usedforsecurity=False)
    for name in sorted(attributes):
        name_bytes, type_bytes, value = _parts(name, attributes[name])
        kind = BINARY if type_bytes.startswith(b"Binary") else TEXT
        md5.update(_counted(name_bytes) + _counted(type_bytes) + kind + _counted(value))
    return md5.hexdigest()


def selected(attributes: Mapping[str, Any], patterns: list[str]) -> dict[str, Any]:
    """Return the attributes that a receive names: `All`, names, and prefixes such as `order.*`."""
    return {
        name: attribute
        for name, attribute in attributes.items()
        if any(
            pattern in ("All", name) or (pattern.endswith(".*") and name.startswith(pattern[:-2]))
            for pattern in patterns
        )
    }


def _check_value(name: str, attribute: Any) -> None:
    kind = str(attribute.get("DataType") or "") if isinstance(attribute, dict) else ""
    if not TYPE.fullmatch(kind):
        raise invalid_value(
            f"The type of message (user) attribute '{name}' is invalid. You must use only the following supported "
            "type prefixes: Binary, Number, String."
        )
    key = "BinaryValue" if kind.startswith("Binary") else "StringValue"
    value = attribute.get(key)
    if not isinstance(value, str) or not value:
        raise invalid_value(
            f"Message (user) attribute '{name}' must contain a non-empty value of type '{kind.partition('.')[0]}'."
        )
    if key == "StringValue":
        check_text(value)
    elif not _is_base64(value):
        raise ApiError("SerializationException", f"BinaryValue of attribute '{name}' is not base64.")
    if kind.startswith("Number") and not NUMBER.fullmatch(value):
        raise invalid_value(f"Can't cast the value of message (user) attribute '{name}' to a number.")


def _is_base64(value: str) -> bool:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _parts(name: str, attribute: Mapping[str, Any]) -> Iterator[bytes]:
    kind = str(attribute["DataType"])
    binary = kind.startswith("Binary")
    yield name.encode()
    yield kind.encode()
    yield base64.b64decode(attribute["BinaryValue"]) if binary else str(attribute["StringValue"]).encode()


def _counted(value: bytes) -> bytes:
    return len(value).to_bytes(4) + value
