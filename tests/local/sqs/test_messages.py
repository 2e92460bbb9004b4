"""Sending, receiving and deleting, as the SQS API reference describes them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from moto.backends import get_backend

from local.sqs.conftest import Refused
from support.sqs_calls import REGION, Clock, SqsCalls, SqsRefusal, arn_of, environ

STRING = {"DataType": "String", "StringValue": "shop"}


def test_a_message_is_received_as_it_was_sent(sqs: SqsCalls, clock: Clock) -> None:
    url = sqs.create()
    sent = sqs.send(url, "Zwölf Äpfel")
    clock.sleep(2)

    (message,) = sqs.receive(url, MessageSystemAttributeNames=["All"])

    assert message["Body"] == "Zwölf Äpfel"
    assert message["MessageId"] == sent["MessageId"]
    assert message["MD5OfBody"] == sent["MD5OfMessageBody"] == hashlib.md5("Zwölf Äpfel".encode()).hexdigest()
    assert message["Attributes"]["SentTimestamp"] == "1700000000000"
    assert message["Attributes"]["ApproximateFirstReceiveTimestamp"] == "1700000002000"
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert message["Attributes"].keys() == {
        "SenderId",
        "SentTimestamp",
        "ApproximateFirstReceiveTimestamp",
        "ApproximateReceiveCount",
    }


def test_a_receive_returns_the_oldest_messages_and_at_most_the_number_requested(sqs: SqsCalls) -> None:
    url = sqs.create()
    for number in range(12):
        sqs.send(url, str(number))

    assert sqs.bodies(url, MaxNumberOfMessages=3) == ["0", "1", "2"]
    assert len(sqs.receive(url)) == 9
    assert "Messages" not in sqs("ReceiveMessage", QueueUrl=url)


def test_a_receive_returns_one_message_unless_more_are_requested(sqs: SqsCalls) -> None:
    url = sqs.create()
    sqs.send(url, "first")
    sqs.send(url, "second")

    assert [message["Body"] for message in sqs("ReceiveMessage", QueueUrl=url)["Messages"]] == ["first"]


def test_a_deleted_message_never_comes_back(sqs: SqsCalls, clock: Clock) -> None:
    url = sqs.create(VisibilityTimeout="30")
    sqs.send(url)

    (message,) = sqs.receive(url)
    sqs.delete(url, message)
    clock.sleep(31)

    assert sqs.receive(url) == []
    assert sqs.counts(url) == (0, 0, 0)
    # DeleteMessage of a message that is gone succeeds.
    sqs.delete(url, message)


def test_system_attributes_are_returned_only_when_named(sqs: SqsCalls) -> None:
    url = sqs.create()
    header = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988"}}
    sent = sqs.send(url, MessageSystemAttributes=header)
    assert len(sent["MD5OfMessageSystemAttributes"]) == 32

    assert "Attributes" not in sqs.receive(url, VisibilityTimeout=0)[0]
    (message,) = sqs.receive(url, VisibilityTimeout=0, AttributeNames=["AWSTraceHeader", "ApproximateReceiveCount"])
    assert message["Attributes"] == {"AWSTraceHeader": "Root=1-5759e988", "ApproximateReceiveCount": "2"}


def test_an_unknown_system_attribute_is_refused(sqs: SqsCalls, refused: Refused) -> None:
    url = sqs.create()

    with refused("InvalidAttributeName"):
        sqs.receive(url, MessageSystemAttributeNames=["Colour"])


def test_the_digest_of_attributes_is_that_of_aws(sqs: SqsCalls) -> None:
    # Answer of SQS to the Java SDK, from tests of getmoto/moto.
    attribute = {"timestamp": {"DataType": "Number.java.lang.Long", "StringValue": "1493147359900"}}

    sent = sqs.send(sqs.create(), MessageAttributes=attribute)

    assert sent["MD5OfMessageAttributes"] == "2e2e4876d8e0bd6b8c2c8f556831c349"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], set()),
        (["All"], {"shop", "shop.city", "other"}),
        ([".*"], {"shop", "shop.city", "other"}),
        (["shop.*"], {"shop", "shop.city"}),
        (["other", "absent"], {"other"}),
    ],
)
def test_attributes_are_returned_by_name_and_by_prefix(sqs: SqsCalls, names: list[str], expected: set[str]) -> None:
    url = sqs.create()
    sqs.send(url, MessageAttributes=dict.fromkeys(("shop", "shop.city", "other"), STRING))

    (message,) = sqs.receive(url, MessageAttributeNames=names)

    assert message.get("MessageAttributes", {}).keys() == expected
    assert ("MD5OfMessageAttributes" in message) == bool(expected)


def test_binary_attributes_come_back_as_they_were_sent(sqs: SqsCalls) -> None:
    url = sqs.create()
    sent = sqs.send(url, MessageAttributes={"photo": {"DataType": "Binary.png", "BinaryValue": "AAH/"}})

    (message,) = sqs.receive(url, MessageAttributeNames=["All"])

    assert message["MessageAttributes"]["photo"] == {"DataType": "Binary.png", "BinaryValue": "AAH/"}
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]


@pytest.mark.parametrize(
    "attributes",
    [
        {"": STRING},
        {".shop": STRING},
        {"shop.": STRING},
        {"a..b": STRING},
        {"aws.shop": STRING},
        {"Amazon.shop": STRING},
        {"sh op": STRING},
        {"a" * 257: STRING},
        {"shop": {"StringValue": "x"}},
        {"shop": {"DataType": "Text", "StringValue": "x"}},
        {"shop": {"DataType": "String"}},
        {"shop": {"DataType": "String", "StringValue": ""}},
        {"shop": {"DataType": "Binary", "StringValue": "x"}},
        {"shop": {"DataType": "Number", "StringValue": "seven"}},
        {"shop": "x"},
        {str(number): STRING for number in range(11)},
    ],
)
def test_attributes_that_sqs_refuses_are_refused(sqs: SqsCalls, refused: Refused, attributes: dict[str, Any]) -> None:
    url = sqs.create()

    with refused("InvalidParameterValue"):
        sqs.send(url, MessageAttributes=attributes)
    with refused("InvalidParameterValue"):
        sqs.send(url, MessageSystemAttributes={"SenderId": STRING})
    assert sqs.counts(url) == (0, 0, 0)


@pytest.mark.parametrize("body", ["\x00", "a\x0b", "￾", "\ud800"])
def test_characters_that_xml_does_not_have_are_refused(sqs: SqsCalls, refused: Refused, body: str) -> None:
    with refused("InvalidMessageContents"):
        sqs.send(sqs.create(), body)


def test_a_message_has_at_most_one_mebibyte_with_its_attributes(sqs: SqsCalls, refused: Refused) -> None:
    url = sqs.create()
    # Name, type and value of the attribute count: 4 + 6 + 4 bytes.
    sqs.send(url, "ä" * 524_281, MessageAttributes={"shop": STRING})

    with refused("InvalidParameterValue"):
        sqs.send(url, "ä" * 524_281 + "x", MessageAttributes={"shop": STRING})


def test_the_size_that_a_queue_declares_is_enforced(sqs: SqsCalls, refused: Refused) -> None:
    url = sqs.create(MaximumMessageSize="1024")
    sqs.send(url, "x" * 1024)

    with refused("InvalidParameterValue"):
        sqs.send(url, "x" * 1025)


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"MessageBody": ""}, "MissingParameter"),
        ({}, "MissingParameter"),
        ({"MessageBody": 7}, "SerializationException"),
        ({"MessageBody": "x", "DelaySeconds": 901}, "InvalidParameterValue"),
        ({"MessageBody": "x", "DelaySeconds": -1}, "InvalidParameterValue"),
        ({"MessageBody": "x", "DelaySeconds": "7"}, "SerializationException"),
        ({"MessageBody": "x", "MessageAttributes": []}, None),
        ({"MessageBody": "x", "MessageAttributes": "x"}, "SerializationException"),
        ({"MessageBody": "x", "MessageDeduplicationId": "x"}, "InvalidParameterValue"),
        ({"MessageBody": "x", "MessageGroupId": "a b"}, "InvalidParameterValue"),
    ],
)
def test_parameters_of_a_send_are_checked(sqs: SqsCalls, parameters: dict[str, Any], code: str | None) -> None:
    url = sqs.create()
    if code is None:
        sqs("SendMessage", QueueUrl=url, **parameters)
        return

    with pytest.raises(SqsRefusal) as caught:
        sqs("SendMessage", QueueUrl=url, **parameters)

    assert (caught.value.code, caught.value.status) == (code, 400)


@pytest.mark.parametrize(
    "parameters",
    [
        {"MaxNumberOfMessages": 0},
        {"MaxNumberOfMessages": 11},
        {"WaitTimeSeconds": 21},
        {"WaitTimeSeconds": -1},
        {"VisibilityTimeout": 43_201},
        {"VisibilityTimeout": -1},
    ],
)
def test_parameters_of_a_receive_have_their_ranges(sqs: SqsCalls, refused: Refused, parameters: dict[str, int]) -> None:
    with refused("InvalidParameterValue"):
        sqs.receive(sqs.create(), **parameters)


@pytest.mark.parametrize(
    "action", ["SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "PurgeQueue"]
)
def test_a_queue_that_does_not_exist_is_named_so(sqs: SqsCalls, refused: Refused, action: str) -> None:
    with refused("AWS.SimpleQueueService.NonExistentQueue"):
        sqs(action, QueueUrl="http://localhost/123456789012/absent", MessageBody="x", ReceiptHandle="x")
    with refused("MissingParameter"):
        sqs(action)


def test_a_queue_created_again_is_empty(sqs: SqsCalls, refused: Refused) -> None:
    url = sqs.create()
    sqs.send(url)
    (message,) = sqs.receive(url)
    sqs.send(url)

    sqs("DeleteQueue", QueueUrl=url)
    assert sqs.create() == url

    assert sqs.counts(url) == (0, 0, 0)
    with refused("ReceiptHandleIsInvalid"):
        sqs.delete(url, message)


def test_a_message_group_of_a_standard_queue_is_returned(sqs: SqsCalls) -> None:
    url = sqs.create()
    sqs.send(url, MessageGroupId="customer-7")

    (message,) = sqs.receive(url, MessageSystemAttributeNames=["MessageGroupId"])

    assert message["Attributes"] == {"MessageGroupId": "customer-7"}


@pytest.mark.parametrize("name", ["orders.fifo", "orders"])
def test_a_fifo_queue_is_refused_with_a_next_step(sqs: SqsCalls, name: str) -> None:
    with pytest.raises(SqsRefusal, match="create a standard queue") as caught:
        sqs.create(name, FifoQueue="true")

    assert caught.value.code == "NotEmulated"


def test_a_fifo_queue_of_an_earlier_state_can_be_deleted(sqs: SqsCalls) -> None:
    get_backend("sqs")["123456789012"][REGION].create_queue("old.fifo", {}, FifoQueue="true")
    url = "http://localhost/123456789012/old.fifo"

    with pytest.raises(SqsRefusal, match="FIFO queues are not emulated"):
        sqs.send(url)
    sqs("DeleteQueue", QueueUrl=url)

    assert sqs("ListQueues").get("QueueUrls", []) == []


def test_a_change_of_a_queue_in_the_query_protocol_is_refused_with_a_next_step(sqs: SqsCalls) -> None:
    body = b"Action=CreateQueue&QueueName=orders"

    response = sqs.emulator.answer(environ("", body, target=""))

    assert response.status == 400
    assert b"query protocol is not emulated on the laptop: use a client of 2024 or later" in response.body


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b"\xff"])
def test_a_body_that_is_no_json_is_refused(sqs: SqsCalls, refused: Refused, body: bytes) -> None:
    with refused("SerializationException"):
        sqs.post("SendMessage", body)


def test_what_another_service_delivers_is_received(sqs: SqsCalls) -> None:
    url = sqs.create()
    backend = get_backend("sqs")["123456789012"][REGION]
    backend.send_message("orders", "news", message_attributes={"shop": STRING})

    # Any request to the emulator takes it over.
    sqs("ListQueues")

    assert backend.queues["orders"]._messages == []
    (message,) = sqs.receive(url, MessageAttributeNames=["All"])
    assert (message["Body"], message["MessageAttributes"]) == ("news", {"shop": STRING})


def test_purging_deletes_every_message_once_a_minute(sqs: SqsCalls, clock: Clock, refused: Refused) -> None:
    sqs.messages.purge_pause = 60
    url = sqs.create()
    for delay in (0, 0, 900):
        sqs.send(url, DelaySeconds=delay)
    sqs.receive(url, MaxNumberOfMessages=1)
    assert sqs.counts(url) == (1, 1, 1)

    sqs("PurgeQueue", QueueUrl=url)

    assert sqs.counts(url) == (0, 0, 0)
    clock.sleep(59)
    with refused("AWS.SimpleQueueService.PurgeQueueInProgress"):
        sqs("PurgeQueue", QueueUrl=url)
    clock.sleep(1)
    sqs.send(url, "after")
    assert sqs.bodies(url) == ["after"]
    sqs("PurgeQueue", QueueUrl=url)


def test_a_message_expires_after_the_retention_of_its_queue(sqs: SqsCalls, clock: Clock) -> None:
    url = sqs.create(MessageRetentionPeriod="60")
    sqs.send(url, "first")
    clock.sleep(30)
    sqs.send(url, "second", DelaySeconds=900)
    sqs.send(url, "third")
    sqs.receive(url, VisibilityTimeout=600)

    clock.sleep(30)
    assert sqs.counts(url) == (0, 1, 1)
    clock.sleep(30)

    assert sqs.counts(url) == (0, 0, 0)


def test_a_longer_retention_counts_for_messages_that_are_there(sqs: SqsCalls, clock: Clock) -> None:
    url = sqs.create(MessageRetentionPeriod="60")
    sqs.send(url)

    sqs("SetQueueAttributes", QueueUrl=url, Attributes={"MessageRetentionPeriod": "3600"})
    clock.sleep(3599)

    assert len(sqs.receive(url)) == 1


def test_a_queue_knows_its_own_dead_letters_only(sqs: SqsCalls) -> None:
    url, dead = sqs.create_with_dead_letters("orders")
    other = sqs.create(
        "other", RedrivePolicy=json.dumps({"deadLetterTargetArn": arn_of("orders-dead"), "maxReceiveCount": 1})
    )
    sqs.send(url, "x")
    sqs.send(other, "y")
    for _ in range(3):
        sqs.receive(url, VisibilityTimeout=0)
        sqs.receive(other, VisibilityTimeout=0)

    received = sqs.receive(dead, MessageSystemAttributeNames=["DeadLetterQueueSourceArn"])

    sources = {message["Body"]: message["Attributes"]["DeadLetterQueueSourceArn"] for message in received}
    assert sources == {"x": arn_of("orders"), "y": arn_of("other")}
