"""Parameters of message calls, checked as SQS checks them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from orderops.local.emulator.protocol import ApiError, Request
from orderops.local.sqs.attributes import (
    check_attributes,
    check_system_attributes,
    check_text,
    size,
)
from orderops.local.sqs.errors import invalid_value, missing, sqs_error
from orderops.local.sqs.query import parsed
from orderops.local.sqs.store import Draft

# From "Amazon SQS message quotas".
MAX_BATCH_BYTES = 1_048_576
MAX_BATCH_ENTRIES = 10
MAX_DELAY = 900
ENTRY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
Parameters = Mapping[str, Any]


def parameters_of(request: Request) -> Parameters:
    """Return the parameters of a request, in the names of the JSON protocol. Raises ApiError."""
    if request.form:
        return parsed(request)
    try:
        return request.json
    except (ValueError, RecursionError):
        raise ApiError("SerializationException", "The request's body is not valid JSON.") from None


def text(parameters: Parameters, name: str) -> str:
    """Return a text that must be there."""
    value = parameters.get(name)
    if value is None or value == "":
        raise missing(name)
    if not isinstance(value, str):
        raise _serialization(name, "a string")
    return value


def number(parameters: Parameters, name: str, low: int, high: int, default: int | None = None) -> int:
    """Return a whole number in its range; without a default, it must be there."""
    value = parameters.get(name)
    if value is None:
        if default is None:
            raise missing(name)
        return default
    if not isinstance(value, int) or isinstance(value, bool):
        raise _serialization(name, "an integer")
    if not low <= value <= high:
        raise invalid_value(
            f"Value {value} for parameter {name} is invalid. Reason: Must be >= {low} and <= {high}, if provided."
        )
    return value


def texts(parameters: Parameters, name: str) -> list[str]:
    """Return a list of texts, empty when it is not there."""
    values = parameters.get(name) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise _serialization(name, "a list of strings")
    return values


def entries(parameters: Parameters, kind: str) -> list[Parameters]:
    """Return the entries of a batch, whose ids are valid and differ."""
    batch = parameters.get("Entries") or []
    if not isinstance(batch, list) or not all(isinstance(entry, dict) for entry in batch):
        raise _serialization("Entries", "a list of structures")
    if not batch:
        raise sqs_error("EmptyBatchRequest", f"There should be at least one {kind} in the request.")
    if len(batch) > MAX_BATCH_ENTRIES:
        raise sqs_error(
            "TooManyEntriesInBatchRequest",
            f"Maximum number of entries per request are {MAX_BATCH_ENTRIES}. You have sent {len(batch)}.",
        )
    ids: set[str] = set()
    for entry in batch:
        entry_id = text(entry, "Id")
        if not ENTRY_ID.fullmatch(entry_id):
            raise sqs_error(
                "InvalidBatchEntryId",
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
                "It can be at most 80 letters long.",
            )
        if entry_id in ids:
            raise sqs_error("BatchEntryIdsNotDistinct", f"Id {entry_id} repeated.")
        ids.add(entry_id)
    return batch


def draft(parameters: Parameters, max_bytes: int, delay: int) -> Draft:
    """Return the message that a call wants to send; `delay` is that of the queue. Raises ApiError."""
    body = text(parameters, "MessageBody")
    check_text(body)
    attributes, system = _structure(parameters, "MessageAttributes"), _structure(parameters, "MessageSystemAttributes")
    check_attributes(attributes)
    check_system_attributes(system)
    if len(body.encode()) + size(attributes) > max_bytes:
        raise invalid_value(
            f"One or more parameters are invalid. Reason: Message must be shorter than {max_bytes} bytes."
        )
    if parameters.get("MessageDeduplicationId") is not None:
        raise invalid_value(
            f"Value {parameters['MessageDeduplicationId']} for parameter MessageDeduplicationId is invalid. Reason: "
            "The request includes a parameter that is not valid for this queue type."
        )
    group = parameters.get("MessageGroupId")
    if group is not None and not re.fullmatch(r"[!-~]{1,128}", str(group)):
        raise invalid_value(
            f"Value {group} for parameter MessageGroupId is invalid. Reason: MessageGroupId can only include "
            "alphanumeric and punctuation characters. 1 to 128 in length."
        )
    properties = {"attributes": attributes, "system": system, "group": group}
    return Draft(body, json.dumps(properties), number(parameters, "DelaySeconds", 0, MAX_DELAY, delay))


def check_batch_size(batch: list[Parameters]) -> None:
    """Raise the error of SQS for a batch whose messages are too long together."""
    total = 0
    for entry in batch:
        body = entry.get("MessageBody")
        # What else is wrong with an entry fails that entry alone.
        total += len(body.encode(errors="surrogatepass")) if isinstance(body, str) else 0
        try:
            total += size(_structure(entry, "MessageAttributes"))
        except (ApiError, KeyError, TypeError, ValueError, AttributeError):
            continue
    if total > MAX_BATCH_BYTES:
        raise sqs_error(
            "BatchRequestTooLong",
            f"Batch requests cannot be longer than {MAX_BATCH_BYTES} bytes. You have sent {total} bytes.",
        )


def _structure(parameters: Parameters, name: str) -> dict[str, Any]:
    value = parameters.get(name) or {}
    if not isinstance(value, dict):
        raise _serialization(name, "a structure")
    return value


def _serialization(name: str, kind: str) -> ApiError:
    return ApiError("SerializationException", f"{name} must be {kind}.")
