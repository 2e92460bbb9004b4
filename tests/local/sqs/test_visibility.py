"""When a message can be received: visibility timeouts, delays, receipt handles and the limit in flight."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from local.sqs.conftest import Refused
from orderops.local.sqs.index import Entry
from orderops.local.sqs.journal import Content
from support.sqs_calls import BEGIN, Clock, SqsCalls, SqsRefusal


def test_a_received_message_is_invisible_until_its_timeout(sqs: SqsCalls, clock: Clock) -> None:
    url = sqs.create(VisibilityTimeout="30")
    sqs.send(url)

    assert len(sqs.receive(url)) == 1
    clock.sleep(29.9)
    assert (sqs.receive(url), sqs.counts(url)) == ([], (0, 1, 0))
    clock.sleep(0.1)

    assert sqs.counts(url) == (1, 0, 0)
    (again,) = sqs.receive(url, MessageSystemAttributeNames=["All"])
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"
    assert again["Attributes"]["ApproximateFirstReceiveTimestamp"] == str(int(BEGIN * 1000))


def test_the_timeout_of_a_receive_overrides_that_of_the_queue(sqs: SqsCalls, clock: Clock) -> None:
    url = sqs.create(VisibilityTimeout="30")
    sqs.send(url)

    sqs.receive(url, VisibilityTimeout=5)
    clock.sleep(5)

    assert len(sqs.receive(url, VisibilityTimeout=0)) == 1
    assert len(sqs.receive(url, VisibilityTimeout=0)) == 1


def test_one_receive_returns_a_message_once(sqs: SqsCalls) -> None:
    url = sqs.create()
    sqs.send(url, "first")
    sqs.send(url, "second")

    assert sqs.bodies(url, VisibilityTimeout=0) == ["first", "second"]


def test_a_timeout_can_be_extended_and_ended(sqs: SqsCalls, clock: Clock) -> None:
    url = sqs.create(VisibilityTimeout="30")
    sqs.send(url)
    (message,) = sqs.receive(url)

    clock.sleep(20)
    sqs.hide(url, message, 60)
    clock.sleep(59)
    assert sqs.receive(url) == []
    sqs.hide(url, message, 0)

    assert len(sqs.receive(url)) == 1


def test_an_extended_timeout_ends_later_than_the_first(sqs: SqsCalls, clock: Clock) -> None:
    url = sqs.create(VisibilityTimeout="30")
    sqs.send(url)
    (message,) = sqs.receive(url)
    sqs.hide(url, message, 10)
    sqs.hide(url, message, 40)

    clock.sleep(39)
    assert sqs.counts(url) == (0, 1, 0)
    clock.sleep(1)
    assert sqs.counts(url) == (1, 0, 0)


def test_a_timeout_ends_twelve_hours_after_the_receive(sqs: SqsCalls, clock: Clock, refused: Refused) -> None:
    url = sqs.create()
    sqs.send(url)
    (message,) = sqs.receive(url, VisibilityTimeout=7200)
    clock.sleep(3600)

    # "beyond the limit": https://github.com/aws/aws-sdk-net/issues/794
    with pytest.raises(SqsRefusal, match="Total VisibilityTimeout for the message is beyond the limit") as caught:
        sqs.hide(url, message, 39_601)
    assert caught.value.code == "InvalidParameterValue"
    sqs.hide(url, message, 39_600)
    with refused("InvalidParameterValue"):
        sqs.hide(url, message, 43_201)


def test_a_handle_of_an_earlier_receive_deletes_and_hides_nothing(
    sqs: SqsCalls, clock: Clock, refused: Refused
) -> None:
    url = sqs.create(VisibilityTimeout="30")
    sqs.send(url)
    (earlier,) = sqs.receive(url)
    clock.sleep(30)
    (later,) = sqs.receive(url)
    assert earlier["ReceiptHandle"] != later["ReceiptHandle"]

    # DeleteMessage: "otherwise, the request succeeds, but the message will not be deleted".
    sqs.delete(url, earlier)
    with refused("InvalidParameterValue"):
        sqs.hide(url, earlier, 0)

    assert sqs.counts(url) == (0, 1, 0)
    sqs.delete(url, later)
    assert sqs.counts(url) == (0, 0, 0)
    with refused("InvalidParameterValue"):
        sqs.hide(url, later, 0)


def test_a_message_that_is_visible_again_can_be_deleted_and_not_hidden(sqs: SqsCalls, clock: Clock) -> None:
    url = sqs.create(VisibilityTimeout="30")
    sqs.send(url)
    (message,) = sqs.receive(url)
    clock.sleep(30)

    # AWS answers without an error and changes nothing: https://github.com/localstack/localstack/pull/9632
    sqs.hide(url, message, 600)
    assert sqs.counts(url) == (1, 0, 0)
    sqs.delete(url, message)
    assert sqs.counts(url) == (0, 0, 0)
    assert sqs.receive(url) == []


def other_number(handle: str) -> str:
    text = base64.urlsafe_b64decode(handle).decode()
    return base64.urlsafe_b64encode(f"x{text}".encode()).decode()


@pytest.mark.parametrize(
    "change", [lambda handle: "nonsense", lambda handle: "ä", lambda handle: handle[8:], other_number]
)
def test_a_text_that_is_no_handle_is_refused(sqs: SqsCalls, refused: Refused, change: Any) -> None:
    url, other = sqs.create(), sqs.create("other")
    sqs.send(url)
    (message,) = sqs.receive(url)

    for message_of_elsewhere, place in (
        ({"ReceiptHandle": change(message["ReceiptHandle"])}, url),
        (message, other),
    ):
        with refused("ReceiptHandleIsInvalid"):
            sqs.delete(place, message_of_elsewhere)
        with refused("ReceiptHandleIsInvalid"):
            sqs.hide(place, message_of_elsewhere, 7)
    assert sqs.counts(url) == (0, 1, 0)


def test_a_delayed_message_comes_after_its_delay(sqs: SqsCalls, clock: Clock) -> None:
    url = sqs.create(DelaySeconds="60")
    sqs.send(url, "by the queue")
    sqs.send(url, "at once", DelaySeconds=0)
    sqs.send(url, "by itself", DelaySeconds=900)

    assert sqs.counts(url) == (1, 0, 2)
    assert sqs.bodies(url, VisibilityTimeout=2000) == ["at once"]
    clock.sleep(60)
    assert sqs.bodies(url, VisibilityTimeout=2000) == ["by the queue"]
    clock.sleep(839)
    assert sqs.receive(url) == []
    clock.sleep(1)
    assert sqs.bodies(url) == ["by itself"]


def test_another_delay_of_the_queue_leaves_the_messages_that_are_there(sqs: SqsCalls, clock: Clock) -> None:
    url = sqs.create(DelaySeconds="60")
    sqs.send(url)

    sqs("SetQueueAttributes", QueueUrl=url, Attributes={"DelaySeconds": "0"})

    assert sqs.counts(url) == (0, 0, 1)


def fill(sqs: SqsCalls, url: str, count: int) -> None:
    """Put messages into a queue at once."""
    queues = sqs.messages.queues
    mailbox = queues.mailbox(queues.by_url(url, "ap-southeast-2"))
    sent = int(sqs.clock() * 1000)
    sqs.messages.store.adopt(mailbox, [(Entry(0, sent, sent), content(number)) for number in range(count)])


def content(number: int) -> Content:
    return Content(f"id-{number}", '{"attributes": {}, "system": {}, "group": null}', "x")


@pytest.mark.slow
def test_a_queue_has_at_most_120000_messages_in_flight(sqs: SqsCalls, refused: Refused, clock: Clock) -> None:
    url = sqs.create(VisibilityTimeout="600")
    fill(sqs, url, 120_001)
    queues = sqs.messages.queues
    mailbox = queues.mailbox(queues.by_url(url, "ap-southeast-2"))
    received = sqs.messages.store.receive(mailbox, 119_995, 600)
    assert len(received) == 119_995

    assert len(sqs.receive(url)) == 5
    with refused("OverLimit"):
        sqs.receive(url)
    assert sqs.counts(url) == (1, 120_000, 0)
    sqs.delete(url, {"ReceiptHandle": received[0].handle})

    assert len(sqs.receive(url)) == 1


def test_long_polling_answers_without_messages_where_short_polling_is_refused(
    sqs: SqsCalls, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orderops.local.sqs.store.MAX_IN_FLIGHT", 2)
    url = sqs.create()
    for number in range(3):
        sqs.send(url, str(number))
    assert sqs.bodies(url) == ["0", "1"]

    with refused("OverLimit"):
        sqs.receive(url)
    assert sqs.receive(url, WaitTimeSeconds=1) == []
