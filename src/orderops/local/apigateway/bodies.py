"""Bodies of requests, which a REST API validates by a JSON schema (draft 4) before it sends them on."""

from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft4Validator


def is_valid(schema: dict[str, Any] | None, content_type: str, body: bytes) -> bool:
    """Tell whether a body fits; one of another type than JSON has no model, and is sent on as it is."""
    if schema is None or (content_type and content_type.partition(";")[0].strip().lower() != "application/json"):
        return True
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return bool(Draft4Validator(schema).is_valid(document))
