"""SQS: ranges of attributes, and a deleted queue's name that stays taken."""

from __future__ import annotations

import json
import time
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays

# From SetQueueAttributes in the SQS API reference; moto accepts any value.
RANGES = {
    "DelaySeconds": (0, 900),
    "KmsDataKeyReusePeriodSeconds": (60, 86_400),
    "MaximumMessageSize": (1024, 1_048_576),
    "MessageRetentionPeriod": (60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": (0, 20),
    "VisibilityTimeout": (0, 43_200),
}
# Attributes without a numeric range.
OTHER_ATTRIBUTES = (
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
# From the SQS developer guide, "Amazon SQS dead-letter queues".
MAX_RECEIVES = 1000


def register(emulator: Emulator, delays: Delays) -> None:
    """Reject what AWS rejects."""

    def check_name_free(request: Request) -> None:
        name = request.json["QueueName"]
        # AWS keeps the name for 60 s after DeleteQueue.
        if time.time() - _deleted(request).get(name, 0.0) < delays.queue_name:
            raise ApiError(
                "AWS.SimpleQueueService.QueueDeletedRecently",
                "You must wait 60 seconds after deleting a queue before you can create another with the same name.",
                shape="com.amazonaws.sqs#QueueDeletedRecently",
            )

    for action in ("CreateQueue", "SetQueueAttributes"):
        emulator.on_before("sqs", action, _check_attributes)
    emulator.on_before("sqs", "CreateQueue", check_name_free)
    emulator.on_after("sqs", "DeleteQueue", _note_deleted)


def _check_attributes(request: Request) -> None:
    for name, value in (request.json.get("Attributes") or {}).items():
        if name in RANGES:
            low, high = RANGES[name]
            if not (str(value).isdigit() and low <= int(value) <= high):
                raise _invalid_value(name)
        elif name not in OTHER_ATTRIBUTES:
            raise ApiError("InvalidAttributeName", f"Unknown Attribute {name}.")
        elif name == "RedrivePolicy" and value and not _is_valid_redrive_policy(value):
            raise ApiError("InvalidParameterValue", f"Value {value} for parameter RedrivePolicy is invalid.")


def _is_valid_redrive_policy(text: str) -> bool:
    try:
        policy = json.loads(text)
        return not policy or 1 <= int(policy["maxReceiveCount"]) <= MAX_RECEIVES
    except (ValueError, KeyError, TypeError):
        return False


def _invalid_value(name: str) -> ApiError:
    return ApiError("InvalidAttributeValue", f"Invalid value for the parameter {name}.")


def _note_deleted(request: Request, _answer: Response) -> None:
    _deleted(request)[request.json["QueueUrl"].rpartition("/")[2]] = time.time()


def _deleted(request: Request) -> dict[str, float]:
    """Return the deletion times by queue name, stored on moto's backend."""
    backend: Any = get_backend("sqs")[DEFAULT_ACCOUNT_ID][request.region]
    if not hasattr(backend, "deleted"):
        backend.deleted = {}
    times: dict[str, float] = backend.deleted
    return times
