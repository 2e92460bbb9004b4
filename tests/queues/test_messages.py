"""Messages of a queue are looked at without being lost, and sent on before they are deleted."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.queues.messages import QueuedMessage, delete, depth_of, held, send, url_of

REASON = {"reason": {"DataType": "String", "StringValue": "invalid message"}}


@pytest.fixture
def dead(aws: Aws) -> str:
    return str(aws.sqs.create_queue(QueueName="orders-dlq")["QueueUrl"])


@pytest.fixture
def target(aws: Aws) -> str:
    return str(aws.sqs.create_queue(QueueName="orders-queue")["QueueUrl"])


def put(aws: Aws, url: str, *bodies: str, **attributes: Any) -> None:
    for body in bodies:
        aws.sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)


def read(aws: Aws, url: str) -> list[QueuedMessage]:
    with held(aws, url, wait=0) as messages:
        return messages


def test_all_messages_are_read_and_stay(aws: Aws, dead: str) -> None:
    put(aws, dead, *(str(number) for number in range(23)))

    assert sorted(int(message.body) for message in read(aws, dead)) == list(range(23))

    assert depth_of(aws, dead).to_dict() == {"waiting": 23, "in_flight": 0, "delayed": 0}


def test_messages_are_let_go_after_an_error(aws: Aws, dead: str) -> None:
    put(aws, dead, "1")

    with pytest.raises(KeyboardInterrupt), held(aws, dead, wait=0):
        raise KeyboardInterrupt

    assert depth_of(aws, dead).waiting == 1


def test_no_more_messages_are_read_than_wanted(aws: Aws, dead: str) -> None:
    put(aws, dead, *(str(number) for number in range(15)))

    with held(aws, dead, most=12, wait=0) as messages:
        assert len(messages) == 12
        assert depth_of(aws, dead).waiting == 3


def test_the_reason_is_that_of_the_service_or_sqs_itself(aws: Aws, dead: str) -> None:
    put(aws, dead, "1", **REASON, detail={"DataType": "String", "StringValue": "quantity: must be positive"})
    put(aws, dead, "2")

    found = {message.body: (message.reason, message.detail) for message in read(aws, dead)}

    assert found == {
        "1": ("invalid message", "quantity: must be positive"),
        "2": ("received too often without success", ""),
    }


def test_a_message_is_sent_again_with_its_own_attributes_only(aws: Aws, dead: str, target: str) -> None:
    put(aws, dead, '{"n": 1}', **REASON, trace={"DataType": "String", "StringValue": "abc"})

    taken = send(aws, target, read(aws, dead))

    assert [message.body for message in taken] == ['{"n": 1}']
    (sent,) = read(aws, target)
    assert (sent.body, {name: value["StringValue"] for name, value in sent.attributes.items()}) == (
        '{"n": 1}',
        {"trace": "abc"},
    )
    assert depth_of(aws, dead).waiting == 1, "it is not deleted by sending"


def test_large_messages_are_sent_in_batches_that_sqs_accepts(aws: Aws, target: str, the_faults: Any) -> None:
    half = QueuedMessage("1", "x" * (1_048_576 // 2 + 1), "r", *_when())
    the_faults.calls.clear()

    assert len(send(aws, target, [half, half])) == 2

    assert the_faults.calls.count("sqs.SendMessageBatch") == 2


def test_only_what_sqs_has_taken_counts_as_sent(aws: Aws, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    messages = [QueuedMessage(str(number), str(number), "r", *_when()) for number in range(3)]

    class Refusing:
        def send_message_batch(self, **_: Any) -> dict[str, Any]:
            return {"Successful": [{"Id": "0"}, {"Id": "2"}], "Failed": [{"Id": "1", "Code": "InternalError"}]}

    class Account:
        sqs = Refusing()

    assert [message.id for message in send(Account(), target, messages)] == ["0", "2"]  # type: ignore[arg-type]


def test_deleted_messages_are_gone_and_the_rest_comes_back(aws: Aws, dead: str) -> None:
    put(aws, dead, "1", "2")

    with held(aws, dead, wait=0) as messages:
        delete(aws, dead, [message for message in messages if message.body == "1"])

    assert [message.body for message in read(aws, dead)] == ["2"]


def test_a_message_as_json_has_stable_keys(aws: Aws, dead: str) -> None:
    put(aws, dead, "1", **REASON)

    (message,) = read(aws, dead)

    assert list(message.to_dict()) == ["id", "reason", "detail", "sent", "receives", "body"]
    assert json.dumps(message.to_dict())


def test_a_missing_queue_has_no_url(aws: Aws) -> None:
    assert url_of(aws, "absent") is None


def _when() -> tuple[Any, int]:

    return datetime(2026, 11, 1, tzinfo=UTC), 1
