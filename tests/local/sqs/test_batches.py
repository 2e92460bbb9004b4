"""Batches: limits of a whole batch, and errors entry by entry."""

from __future__ import annotations

from typing import Any

import pytest

from local.sqs.conftest import Refused
from support.sqs_calls import SqsCalls

BATCHES = ("SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch")


def entry(entry_id: str) -> dict[str, Any]:
    """Return an entry that fits each batch."""
    return {"Id": entry_id, "MessageBody": "x", "ReceiptHandle": "x", "VisibilityTimeout": 7}


@pytest.mark.parametrize("action", BATCHES)
@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([], "AWS.SimpleQueueService.EmptyBatchRequest"),
        ([entry(str(number)) for number in range(11)], "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"),
        ([entry("1"), entry("1")], "AWS.SimpleQueueService.BatchEntryIdsNotDistinct"),
        ([entry("a b")], "AWS.SimpleQueueService.InvalidBatchEntryId"),
        ([entry("x" * 81)], "AWS.SimpleQueueService.InvalidBatchEntryId"),
        ([{"MessageBody": "x"}], "MissingParameter"),
        (["x"], "SerializationException"),
    ],
)
def test_a_batch_that_is_wrong_as_a_whole_is_refused(
    sqs: SqsCalls, refused: Refused, action: str, entries: list[Any], code: str
) -> None:
    url = sqs.create()

    with refused(code):
        sqs(action, QueueUrl=url, Entries=entries)

    assert sqs.counts(url) == (0, 0, 0)


def test_a_bad_entry_of_a_send_takes_no_good_one_along(sqs: SqsCalls) -> None:
    url = sqs.create()

    answer = sqs(
        "SendMessageBatch",
        QueueUrl=url,
        Entries=[
            {"Id": "good", "MessageBody": "first"},
            {"Id": "delay", "MessageBody": "second", "DelaySeconds": 901},
            {"Id": "text", "MessageBody": "\x00"},
            {"Id": "surrogate", "MessageBody": "\ud800"},
            {"Id": "attribute", "MessageBody": "x", "MessageAttributes": {"a": {"DataType": "Text"}}},
            {"Id": "none"},
            {"Id": "late", "MessageBody": "third", "DelaySeconds": 900},
        ],
    )

    assert [sent["Id"] for sent in answer["Successful"]] == ["good", "late"]
    assert answer["Successful"][0]["MD5OfMessageBody"] == "8b04d5e3775d298e78455efc5ca404d5"
    assert {failed["Id"]: (failed["Code"], failed["SenderFault"]) for failed in answer["Failed"]} == {
        "delay": ("InvalidParameterValue", True),
        "text": ("InvalidMessageContents", True),
        "surrogate": ("InvalidMessageContents", True),
        "attribute": ("InvalidParameterValue", True),
        "none": ("MissingParameter", True),
    }
    assert sqs.counts(url) == (1, 0, 1)
    (message,) = sqs.receive(url)
    assert (message["MessageId"], message["Body"]) == (answer["Successful"][0]["MessageId"], "first")


def test_a_batch_has_at_most_one_mebibyte(sqs: SqsCalls, refused: Refused) -> None:
    url = sqs.create()
    half = "x" * 524_288

    answer = sqs("SendMessageBatch", QueueUrl=url, Entries=[{"Id": name, "MessageBody": half} for name in ("a", "b")])
    assert len(answer["Successful"]) == 2
    with refused("AWS.SimpleQueueService.BatchRequestTooLong"):
        sqs(
            "SendMessageBatch",
            QueueUrl=url,
            Entries=[{"Id": "a", "MessageBody": half}, {"Id": "b", "MessageBody": half + "x"}],
        )

    assert sqs.counts(url) == (2, 0, 0)


def test_messages_are_deleted_in_batches_entry_by_entry(sqs: SqsCalls) -> None:
    url = sqs.create()
    for number in range(3):
        sqs.send(url, str(number))
    first, second, _ = sqs.receive(url)

    answer = sqs(
        "DeleteMessageBatch",
        QueueUrl=url,
        Entries=[
            {"Id": "1", "ReceiptHandle": first["ReceiptHandle"]},
            {"Id": "2", "ReceiptHandle": "nonsense"},
            {"Id": "3"},
            {"Id": "4", "ReceiptHandle": second["ReceiptHandle"]},
        ],
    )

    assert answer["Successful"] == [{"Id": "1"}, {"Id": "4"}]
    assert [(failed["Id"], failed["Code"]) for failed in answer["Failed"]] == [
        ("2", "ReceiptHandleIsInvalid"),
        ("3", "MissingParameter"),
    ]
    assert sqs.counts(url) == (0, 1, 0)


def test_timeouts_are_changed_in_batches_entry_by_entry(sqs: SqsCalls) -> None:
    url = sqs.create()
    for number in range(3):
        sqs.send(url, str(number))
    first, second, third = sqs.receive(url)
    sqs.delete(url, third)

    answer = sqs(
        "ChangeMessageVisibilityBatch",
        QueueUrl=url,
        Entries=[
            {"Id": "1", "ReceiptHandle": first["ReceiptHandle"], "VisibilityTimeout": 0},
            {"Id": "2", "ReceiptHandle": second["ReceiptHandle"], "VisibilityTimeout": 43_201},
            {"Id": "3", "ReceiptHandle": third["ReceiptHandle"], "VisibilityTimeout": 0},
            {"Id": "4", "ReceiptHandle": "nonsense", "VisibilityTimeout": 0},
        ],
    )

    assert answer["Successful"] == [{"Id": "1"}]
    assert [(failed["Id"], failed["Code"]) for failed in answer["Failed"]] == [
        ("2", "InvalidParameterValue"),
        ("3", "InvalidParameterValue"),
        ("4", "ReceiptHandleIsInvalid"),
    ]
    assert sqs.bodies(url) == ["0"]
