"""Dead letters: what moves there, what is known of it, and message move tasks that bring it back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.sqs.conftest import Refused
from orderops.local.sqs.moves import MoveTask
from support.laptop import until
from support.sqs_calls import BEGIN, Clock, SqsCalls, arn_of


@pytest.fixture(autouse=True)
def _no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tests take each step of a move task themselves."""
    monkeypatch.setattr("orderops.local.sqs.moves.MoveTasks._run_in_background", lambda *_: None)


def exhaust(sqs: SqsCalls, url: str, receives: int) -> None:
    """Receive all messages so often that the next receive moves them."""
    for _ in range(receives + 1):
        sqs.receive(url, VisibilityTimeout=0)


def steps(sqs: SqsCalls) -> int:
    """Take steps of the only move task until it ends, and return how many it took."""
    (task,) = tasks(sqs)
    taken = 1
    while sqs.messages.moves.step(task):
        taken += 1
    return taken


def tasks(sqs: SqsCalls, source: str = "orders-dead") -> list[MoveTask]:
    return sqs.messages.moves.of(arn_of(source))


def listed(sqs: SqsCalls, source: str = "orders-dead", **parameters: Any) -> list[dict[str, Any]]:
    return list(sqs("ListMessageMoveTasks", SourceArn=arn_of(source), **parameters)["Results"])


def test_a_message_received_too_often_moves_to_the_dead_letters(sqs: SqsCalls, clock: Clock) -> None:
    url, dead = sqs.create_with_dead_letters(max_receives=2)
    sent = sqs.send(url, "a poisoned order")
    sqs.send(url, "delayed", DelaySeconds=900)

    for _ in range(2):
        assert sqs.bodies(url, VisibilityTimeout=30) == ["a poisoned order"]
        clock.sleep(30)
    assert sqs.counts(dead) == (0, 0, 0)
    assert sqs.receive(url) == []

    assert (sqs.counts(url), sqs.counts(dead)) == ((0, 0, 1), (1, 0, 0))
    (message,) = sqs.receive(dead, MessageSystemAttributeNames=["All"])
    assert (message["Body"], message["MessageId"]) == ("a poisoned order", sent["MessageId"])
    assert message["Attributes"]["DeadLetterQueueSourceArn"] == arn_of("orders")
    assert message["Attributes"]["SentTimestamp"] == str(int(BEGIN * 1000))
    assert message["Attributes"]["ApproximateReceiveCount"] == "3"


def test_a_dead_letter_takes_no_good_message_along(sqs: SqsCalls) -> None:
    url, dead = sqs.create_with_dead_letters(max_receives=1)
    sqs.send(url, "poisoned")
    sqs.receive(url, VisibilityTimeout=0)
    sqs.send(url, "good")

    assert sqs.bodies(url) == ["good"]
    assert sqs.bodies(dead) == ["poisoned"]


def test_a_handle_of_the_source_does_nothing_to_a_dead_letter(sqs: SqsCalls, clock: Clock) -> None:
    url, dead = sqs.create_with_dead_letters(max_receives=1)
    sqs.send(url)
    (message,) = sqs.receive(url, VisibilityTimeout=30)
    clock.sleep(30)
    sqs.receive(url)

    sqs.delete(url, message)

    assert sqs.counts(dead) == (1, 0, 0)


def test_a_dead_letter_expires_by_the_time_it_was_first_sent(sqs: SqsCalls, clock: Clock) -> None:
    # "the expiration of a message is always based on its original enqueue timestamp": SQS developer guide.
    url, dead = sqs.create_with_dead_letters(max_receives=1)
    sqs("SetQueueAttributes", QueueUrl=dead, Attributes={"MessageRetentionPeriod": "100"})
    sqs.send(url)
    sqs.receive(url, VisibilityTimeout=0)
    clock.sleep(90)
    sqs.receive(url)
    assert sqs.counts(dead) == (1, 0, 0)

    clock.sleep(10)

    assert sqs.counts(dead) == (0, 0, 0)


def test_messages_stay_where_the_dead_letter_queue_was_deleted(sqs: SqsCalls) -> None:
    url, dead = sqs.create_with_dead_letters(max_receives=1)
    sqs.send(url)
    sqs("DeleteQueue", QueueUrl=dead)

    exhaust(sqs, url, 5)

    assert sqs.counts(url) == (1, 0, 0)


def test_a_dead_letter_queue_deleted_during_a_receive_takes_nothing(sqs: SqsCalls) -> None:
    url, dead = sqs.create_with_dead_letters(max_receives=1)
    sqs.send(url)
    exhaust(sqs, url, 0)
    queues = sqs.messages.queues
    queue = queues.by_url(url, "ap-southeast-2")
    redrive = queues.redrive(queue)
    sqs("DeleteQueue", QueueUrl=dead)

    received = sqs.messages.store.receive(queues.mailbox(queue), 10, 0, redrive)

    assert [message.content.body for message in received] == ["an order"]


def test_a_policy_taken_away_lets_messages_stay(sqs: SqsCalls) -> None:
    url, dead = sqs.create_with_dead_letters(max_receives=1)
    sqs.send(url)
    sqs("SetQueueAttributes", QueueUrl=url, Attributes={"RedrivePolicy": ""})

    exhaust(sqs, url, 5)

    assert (sqs.counts(url), sqs.counts(dead)) == ((1, 0, 0), (0, 0, 0))


def test_a_move_brings_dead_letters_back_as_new_messages(sqs: SqsCalls, clock: Clock) -> None:
    url, dead = sqs.create_with_dead_letters(max_receives=2)
    sent = [sqs.send(url, str(number))["MessageId"] for number in range(250)]
    for _ in range(75):
        sqs.receive(url, VisibilityTimeout=0)
    # Which messages a receive returns is no contract: until all are dead letters.
    while sqs.counts(url) != (0, 0, 0):
        sqs.receive(url, VisibilityTimeout=0)
    clock.sleep(60)

    handle = sqs("StartMessageMoveTask", SourceArn=arn_of("orders-dead"))["TaskHandle"]
    (running,) = listed(sqs)
    steps(sqs)

    assert running["TaskHandle"] == handle
    assert (running["Status"], running["ApproximateNumberOfMessagesToMove"]) == ("RUNNING", 250)
    assert listed(sqs) == [
        {
            "Status": "COMPLETED",
            "SourceArn": arn_of("orders-dead"),
            "ApproximateNumberOfMessagesMoved": 250,
            "ApproximateNumberOfMessagesToMove": 250,
            "StartedTimestamp": int((BEGIN + 60) * 1000),
        }
    ]
    assert (sqs.counts(url), sqs.counts(dead)) == ((250, 0, 0), (0, 0, 0))
    # "considered new messages with a new messageID and enqueueTime": StartMessageMoveTask.
    (message,) = sqs.receive(url, MaxNumberOfMessages=1, MessageSystemAttributeNames=["All"])
    assert message["MessageId"] not in sent
    assert message["Attributes"]["SentTimestamp"] == str(int((BEGIN + 60) * 1000))
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert "DeadLetterQueueSourceArn" not in message["Attributes"]


def test_a_move_without_destination_returns_each_message_to_its_own_source(sqs: SqsCalls) -> None:
    url, dead = sqs.create_with_dead_letters(max_receives=1)
    policy = json.dumps({"deadLetterTargetArn": arn_of("orders-dead"), "maxReceiveCount": 1})
    other = sqs.create("other", RedrivePolicy=policy)
    for place in (url, other):
        sqs.send(place, place)
        exhaust(sqs, place, 1)

    sqs("StartMessageMoveTask", SourceArn=arn_of("orders-dead"))
    steps(sqs)

    assert (sqs.bodies(url), sqs.bodies(other), sqs.counts(dead)) == ([url], [other], (0, 0, 0))


def test_a_move_to_a_destination_takes_all_there(sqs: SqsCalls) -> None:
    _, dead = sqs.create_with_dead_letters()
    other = sqs.create("other")
    # Sent to the dead letters directly, so that they have no source.
    sqs.send(dead)

    sqs("StartMessageMoveTask", SourceArn=arn_of("orders-dead"), DestinationArn=arn_of("other"))
    steps(sqs)

    assert sqs.bodies(other) == ["an order"]
    assert listed(sqs)[0]["DestinationArn"] == arn_of("other")


def test_a_message_without_a_source_fails_the_move_and_stays(sqs: SqsCalls) -> None:
    _, dead = sqs.create_with_dead_letters()
    sqs.send(dead)

    sqs("StartMessageMoveTask", SourceArn=arn_of("orders-dead"))
    steps(sqs)

    (task,) = listed(sqs)
    assert (task["Status"], task["FailureReason"]) == ("FAILED", "CouldNotDetermineMessageSource")
    assert "TaskHandle" not in task
    assert sqs.bodies(dead) == ["an order"]


def test_a_source_that_was_deleted_fails_the_move(sqs: SqsCalls) -> None:
    url, dead = sqs.create_with_dead_letters(max_receives=1)
    sqs.send(url)
    exhaust(sqs, url, 1)
    sqs("StartMessageMoveTask", SourceArn=arn_of("orders-dead"))

    sqs("DeleteQueue", QueueUrl=url)
    steps(sqs)

    assert listed(sqs)[0]["FailureReason"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert sqs.counts(dead) == (1, 0, 0)


def test_a_move_keeps_to_its_rate(sqs: SqsCalls, clock: Clock) -> None:
    url, _ = sqs.create_with_dead_letters(max_receives=1)
    for number in range(30):
        sqs.send(url, str(number))
    while sqs.counts(url)[0]:
        sqs.receive(url, VisibilityTimeout=0)

    sqs("StartMessageMoveTask", SourceArn=arn_of("orders-dead"), MaxNumberOfMessagesPerSecond=10)
    (task,) = tasks(sqs)
    moved = []
    for _ in range(3):
        sqs.messages.moves.step(task)
        sqs.messages.moves.step(task)
        moved.append(task.moved)
        clock.sleep(1)

    assert moved == [1, 11, 21]
    assert sqs.counts(url)[0] == 21


def test_a_cancelled_move_keeps_what_it_has_moved(sqs: SqsCalls, refused: Refused) -> None:
    url, dead = sqs.create_with_dead_letters(max_receives=1)
    for number in range(3):
        sqs.send(url, str(number))
    while sqs.counts(url)[0]:
        sqs.receive(url, VisibilityTimeout=0)
    handle = sqs("StartMessageMoveTask", SourceArn=arn_of("orders-dead"), MaxNumberOfMessagesPerSecond=1)["TaskHandle"]
    (task,) = tasks(sqs)
    sqs.messages.moves.step(task)

    assert sqs("CancelMessageMoveTask", TaskHandle=handle) == {"ApproximateNumberOfMessagesMoved": 1}

    assert not sqs.messages.moves.step(task)
    assert (sqs.counts(url)[0], sqs.counts(dead)[0]) == (1, 2)
    assert listed(sqs)[0]["Status"] == "CANCELLED"
    for gone in (handle, "nonsense"):
        with refused("ResourceNotFoundException"):
            sqs("CancelMessageMoveTask", TaskHandle=gone)


def test_a_queue_has_one_move_at_a_time_and_lists_the_latest(sqs: SqsCalls, clock: Clock, refused: Refused) -> None:
    sqs.create_with_dead_letters()
    for _ in range(3):
        handle = sqs("StartMessageMoveTask", SourceArn=arn_of("orders-dead"))["TaskHandle"]
        with refused("InvalidParameterValue"):
            sqs("StartMessageMoveTask", SourceArn=arn_of("orders-dead"))
        sqs("CancelMessageMoveTask", TaskHandle=handle)
        clock.sleep(1)

    assert len(listed(sqs)) == 1
    begun = [task["StartedTimestamp"] for task in listed(sqs, MaxResults=10)]
    assert begun == sorted(begun, reverse=True)
    assert len(begun) == 3


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"SourceArn": arn_of("absent")}, "ResourceNotFoundException"),
        ({"SourceArn": "nonsense"}, "InvalidParameterValue"),
        ({}, "MissingParameter"),
        # No queue has it as its dead-letter queue.
        ({"SourceArn": arn_of("orders")}, "InvalidParameterValue"),
        ({"SourceArn": arn_of("orders-dead"), "DestinationArn": arn_of("absent")}, "ResourceNotFoundException"),
        ({"SourceArn": arn_of("orders-dead"), "DestinationArn": arn_of("orders-dead")}, "InvalidParameterValue"),
        ({"SourceArn": arn_of("orders-dead"), "MaxNumberOfMessagesPerSecond": 501}, "InvalidParameterValue"),
    ],
)
def test_a_move_that_sqs_refuses_is_refused(
    sqs: SqsCalls, refused: Refused, parameters: dict[str, Any], code: str
) -> None:
    sqs.create_with_dead_letters()

    with refused(code):
        sqs("StartMessageMoveTask", **parameters)

    assert listed(sqs) == []


def test_a_move_runs_by_itself(sqs: SqsCalls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    url, dead = sqs.create_with_dead_letters()
    sqs.create("other")
    for number in range(5):
        sqs.send(dead, str(number))

    sqs("StartMessageMoveTask", SourceArn=arn_of("orders-dead"), DestinationArn=arn_of("other"))

    until(lambda: listed(sqs)[0]["Status"] == "COMPLETED")
    assert sqs.counts(url.replace("orders", "other")) == (5, 0, 0)
