"""Long polling: a waiting receive holds up no other request and wakes as soon as there is a message."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.laptop import until
from support.sqs_calls import SqsCalls, SqsRefusal, environ, forget_queues


class Waiting:
    """A receive of 20 s in a thread of its own."""

    def __init__(self, sqs: SqsCalls, url: str) -> None:
        self.result: Any = None
        self.seconds = 0.0
        self._began = time.monotonic()
        mailbox = sqs.messages.queues.mailbox(sqs.messages.queues.by_url(url, "ap-southeast-2"))
        self._thread = threading.Thread(target=self._receive, args=(sqs, url), daemon=True)
        self._thread.start()
        until(lambda: len(mailbox.changed._waiters) > 0, what="the receive waits")  # type: ignore[attr-defined]

    def _receive(self, sqs: SqsCalls, url: str) -> None:
        try:
            self.result = sqs.bodies(url, WaitTimeSeconds=20)
        except SqsRefusal as error:
            self.result = error.code
        self.seconds = time.monotonic() - self._began

    def ended(self) -> Any:
        self._thread.join(30)
        # Far from the 20 s of the request, on a busy machine too.
        assert self.seconds < 15
        return self.result


@pytest.fixture
def sqs() -> Iterator[SqsCalls]:
    """SQS with the clock of this machine."""
    forget_queues()
    yield SqsCalls(time.time)  # type: ignore[arg-type]  # nothing turns it
    forget_queues()


def test_a_sent_message_wakes_a_waiting_receive(sqs: SqsCalls) -> None:
    url, other = sqs.create(), sqs.create("other")
    waiting = Waiting(sqs, url)

    sqs.send(other)
    assert waiting.result is None
    sqs.send(url, "an order")

    assert waiting.ended() == ["an order"]


def test_a_message_given_back_wakes_a_waiting_receive(sqs: SqsCalls) -> None:
    url = sqs.create()
    sqs.send(url, "an order")
    (message,) = sqs.receive(url, VisibilityTimeout=600)
    waiting = Waiting(sqs, url)

    sqs.hide(url, message, 0)

    assert waiting.ended() == ["an order"]


@pytest.mark.parametrize(
    "prepare",
    [
        lambda sqs, url: sqs.send(url, "an order", DelaySeconds=1),
        lambda sqs, url: (sqs.send(url, "an order"), sqs.receive(url, VisibilityTimeout=1)),
    ],
    ids=["delayed", "in flight"],
)
def test_a_message_that_becomes_visible_by_time_wakes_a_waiting_receive(
    sqs: SqsCalls, prepare: Callable[[SqsCalls, str], object]
) -> None:
    url = sqs.create()
    prepare(sqs, url)

    assert Waiting(sqs, url).ended() == ["an order"]


def test_a_deleted_queue_ends_a_waiting_receive(sqs: SqsCalls) -> None:
    url = sqs.create()
    waiting = Waiting(sqs, url)

    sqs("DeleteQueue", QueueUrl=url)

    assert waiting.ended() == "AWS.SimpleQueueService.NonExistentQueue"


def test_the_queue_says_how_long_a_receive_waits(sqs: SqsCalls) -> None:
    url = sqs.create(ReceiveMessageWaitTimeSeconds="1")
    began = time.monotonic()

    assert sqs.receive(url) == []
    assert time.monotonic() - began >= 1
    assert sqs.receive(url, WaitTimeSeconds=0) == []


def test_no_call_about_messages_waits_for_the_emulator(sqs: SqsCalls) -> None:
    url, dead = sqs.create_with_dead_letters()
    sqs.send(url, "first")
    sqs.send(dead)
    held, release = threading.Event(), threading.Event()

    def save() -> None:
        with sqs.emulator.lock:
            held.set()
            release.wait(30)

    thread = threading.Thread(target=save, daemon=True)
    thread.start()
    held.wait(30)

    try:
        sqs.send(url, "second")
        first, second = sqs.receive(url)
        sqs.hide(url, first, 0)
        sqs.delete(url, second)
    finally:
        release.set()
    thread.join()
    assert sqs.bodies(url) == ["first"]


def test_a_client_that_has_hung_up_receives_nothing(sqs: SqsCalls) -> None:
    url = sqs.create()
    sqs.send(url, "an order", DelaySeconds=1)
    body = f'{{"QueueUrl": "{url}", "WaitTimeSeconds": 20}}'.encode()
    client, server = socket.socketpair()
    client.close()

    with server:
        response = sqs.emulator.answer({**environ("ReceiveMessage", body), "werkzeug.socket": server})

    assert response.body == b"{}"
    assert sqs.bodies(url, WaitTimeSeconds=20, MessageSystemAttributeNames=[]) == ["an order"]
