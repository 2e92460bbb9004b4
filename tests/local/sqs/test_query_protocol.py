"""The query protocol of SQS, as curl speaks it: names of parameters and elements as in AWS's API reference of 2012."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest

from support.sqs_calls import SqsCalls, environ

PATH = "/123456789012/orders"


@pytest.fixture(autouse=True)
def _queue(sqs: SqsCalls) -> None:
    sqs.create()


def call(sqs: SqsCalls, action: str, path: str = PATH, **parameters: str) -> tuple[int, ElementTree.Element]:
    """Send a form to the address of the queue; return status and body, whose elements are without their namespace."""
    body = urlencode({"Action": action, **parameters}).encode()
    response = sqs.emulator.answer({**environ("", body, target=""), "PATH_INFO": path})
    root = ElementTree.fromstring(response.body)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return response.status, root


def test_a_message_sent_as_a_form_is_received_as_json(sqs: SqsCalls) -> None:
    status, sent = call(sqs, "SendMessage", MessageBody="an order & <its> note")

    message = sqs.receive(PATH)[0]
    assert (status, message["Body"]) == (200, "an order & <its> note")
    assert message["MessageId"] == sent.findtext("SendMessageResult/MessageId")
    digest = hashlib.md5(b"an order & <its> note", usedforsecurity=False).hexdigest()
    assert sent.findtext("SendMessageResult/MD5OfMessageBody") == digest


def test_a_message_received_as_xml_has_its_attributes_and_can_be_deleted(sqs: SqsCalls) -> None:
    sqs.send(
        PATH, MessageAttributes={"key": {"DataType": "Binary", "BinaryValue": base64.b64encode(b"\x00\xff").decode()}}
    )

    _, received = call(sqs, "ReceiveMessage", **{"AttributeName.1": "All", "MessageAttributeName.1": "All"})

    message = received.find("ReceiveMessageResult/Message")
    assert message is not None
    assert message.findtext("Body") == "an order"
    system = {entry.findtext("Name"): entry.findtext("Value") for entry in message.findall("Attribute")}
    assert system["ApproximateReceiveCount"] == "1"
    value = message.findtext("MessageAttribute/Value/BinaryValue")
    assert value is not None and base64.b64decode(value) == b"\x00\xff"
    call(sqs, "ChangeMessageVisibility", ReceiptHandle=str(message.findtext("ReceiptHandle")), VisibilityTimeout="60")
    assert counts(sqs) == {"ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesNotVisible": "1"}
    call(sqs, "DeleteMessage", ReceiptHandle=str(message.findtext("ReceiptHandle")))
    assert counts(sqs) == {"ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesNotVisible": "0"}


def test_a_batch_as_a_form_is_answered_entry_by_entry(sqs: SqsCalls) -> None:
    entry = "SendMessageBatchRequestEntry"
    batch = {f"{entry}.1.Id": "a", f"{entry}.1.MessageBody": "x", f"{entry}.2.Id": "b", f"{entry}.2.MessageBody": "y"}

    _, answer = call(sqs, "SendMessageBatch", **batch, **{f"{entry}.2.DelaySeconds": "901"})

    result = answer.find("SendMessageBatchResult")
    assert result is not None
    assert result.findtext("SendMessageBatchResultEntry/Id") == "a"
    assert result.findtext("BatchResultErrorEntry/Id") == "b"
    assert result.findtext("BatchResultErrorEntry/Code") == "InvalidParameterValue"


def test_errors_as_xml_have_the_codes_of_the_query_protocol(sqs: SqsCalls) -> None:
    absent = call(sqs, "SendMessage", f"{PATH}x", MessageBody="an order")
    stale = call(sqs, "DeleteMessage", ReceiptHandle="nonsense")

    codes = [(status, body.findtext("Error/Code")) for status, body in (absent, stale)]
    assert codes == [(400, "AWS.SimpleQueueService.NonExistentQueue"), (400, "ReceiptHandleIsInvalid")]


def counts(sqs: SqsCalls) -> dict[str | None, str | None]:
    names = {
        "AttributeName.1": "ApproximateNumberOfMessages",
        "AttributeName.2": "ApproximateNumberOfMessagesNotVisible",
    }
    _, answer = call(sqs, "GetQueueAttributes", **names)
    return {entry.findtext("Name"): entry.findtext("Value") for entry in answer.iter("Attribute")}
