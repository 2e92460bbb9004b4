"""Errors of SQS: codes of the older query protocol, which clients read, and names of the JSON protocol.

From the service model of SQS and "Common error types" of its API reference.
"""

from __future__ import annotations

from orderops.local.emulator.protocol import ApiError

QUERY_PREFIX = "AWS.SimpleQueueService."
# Errors without the prefix in the query protocol.
PLAIN = frozenset({"InvalidAttributeName", "OverLimit", "ReceiptHandleIsInvalid", "ResourceNotFoundException"})
OTHER_CODES = {"QueueDoesNotExist": f"{QUERY_PREFIX}NonExistentQueue"}


def sqs_error(name: str, message: str, status: int = 400) -> ApiError:
    """Return an error that the service model declares."""
    code = OTHER_CODES.get(name, name if name in PLAIN else f"{QUERY_PREFIX}{name}")
    return ApiError(code, message, status, f"com.amazonaws.sqs#{name}")


def invalid_value(message: str) -> ApiError:
    """Return the error for a value that no queue accepts."""
    return _common("InvalidParameterValue", message)


def missing(parameter: str) -> ApiError:
    return _common("MissingParameter", f"The request must contain the parameter {parameter}.")


def no_queue() -> ApiError:
    return sqs_error("QueueDoesNotExist", "The specified queue does not exist.")


def invalid_receipt(handle: str) -> ApiError:
    return sqs_error("ReceiptHandleIsInvalid", f'The input receipt handle "{handle}" is not a valid receipt handle.')


def not_found(message: str) -> ApiError:
    return sqs_error("ResourceNotFoundException", message, 404)


def no_fifo() -> ApiError:
    return ApiError(
        "NotEmulated",
        "FIFO queues are not emulated on the laptop: create a standard queue, without FifoQueue and without .fifo",
    )


def _common(code: str, message: str) -> ApiError:
    return ApiError(code, message, shape=f"com.amazon.coral.service#{code}Exception")
