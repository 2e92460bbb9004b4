"""SQS: a deleted queue's name rests for a while, and attributes have their ranges."""

from __future__ import annotations

import json
import time
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays

RANGES = {
    "DelaySeconds": (0, 900),
    "KmsDataKeyReusePeriodSeconds": (60, 86_400),
    "MaximumMessageSize": (1024, 1_048_576),
    "MessageRetentionPeriod": (60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": (0, 20),
    "VisibilityTimeout": (0, 43_200),
}
WITHOUT_A_RANGE = (
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "FifoQueue",
    "FifoThroughputLimit",
    "KmsMasterKeyId",
    "Policy",
    "RedriveAllowPolicy",
    "RedrivePolicy",
    "SqsManagedSseEnabled",
)
MOST_RECEIVES = 1000


def take_part(emulator: Emulator, pace: Delays) -> None:
    """Refuse what AWS refuses."""

    def name_is_free(call: Request) -> None:
        name = call.json["QueueName"]
        if time.time() - _deleted(call).get(name, 0.0) < pace.queue_name:
            raise ApiError(
                "AWS.SimpleQueueService.QueueDeletedRecently",
                "You must wait 60 seconds after deleting a queue before you can create another with the same name.",
                shape="com.amazonaws.sqs#QueueDeletedRecently",
            )

    for action in ("CreateQueue", "SetQueueAttributes"):
        emulator.on_before("sqs", action, _attributes_are_in_range)
    emulator.on_before("sqs", "CreateQueue", name_is_free)
    emulator.on_after("sqs", "DeleteQueue", _note_deleted)


def _attributes_are_in_range(call: Request) -> None:
    for name, value in (call.json.get("Attributes") or {}).items():
        if name in RANGES:
            low, high = RANGES[name]
            if not (str(value).isdigit() and low <= int(value) <= high):
                raise _invalid(name)
        elif name not in WITHOUT_A_RANGE:
            raise ApiError("InvalidAttributeName", f"Unknown Attribute {name}.")
        elif name == "RedrivePolicy" and value and not _is_redrive(value):
            raise ApiError("InvalidParameterValue", f"Value {value} for parameter RedrivePolicy is invalid.")


def _is_redrive(text: str) -> bool:
    try:
        policy = json.loads(text)
        return not policy or 1 <= int(policy["maxReceiveCount"]) <= MOST_RECEIVES
    except (ValueError, KeyError, TypeError):
        return False


def _invalid(name: str) -> ApiError:
    return ApiError("InvalidAttributeValue", f"Invalid value for the parameter {name}.")


def _note_deleted(call: Request, _answer: Response) -> None:
    _deleted(call)[call.json["QueueUrl"].rpartition("/")[2]] = time.time()


def _deleted(call: Request) -> dict[str, float]:
    """When which queue was deleted, kept with what moto keeps of SQS."""
    backend: Any = get_backend("sqs")[DEFAULT_ACCOUNT_ID][call.region]
    if not hasattr(backend, "deleted"):
        backend.deleted = {}
    found: dict[str, float] = backend.deleted
    return found
