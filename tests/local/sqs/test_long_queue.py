"""A queue of 100,000 messages, over HTTP: nothing of it is in the state file, and it survives a kill."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from support.laptop import Laptop

MESSAGES = 100_000
SENDERS = 4


@pytest.mark.slow
def test_a_queue_of_100000_messages_is_served_saved_and_survives_a_kill(own_laptop: Laptop) -> None:
    laptop = own_laptop
    url = laptop.client("sqs").create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "43200"})["QueueUrl"]
    with ThreadPoolExecutor(SENDERS) as senders:
        list(senders.map(lambda sender: send(laptop.client("sqs"), url, sender), range(SENDERS)))
    assert counts(laptop, url) == (MESSAGES, 0)

    first = receive(laptop.client("sqs"), url, 1000)
    laptop.remembered()
    state = (laptop.directory / "emulator.state").read_bytes()
    assert b"an order of sender" not in state
    # An id alone has 16 bytes; the rest of the account has some 300 kB.
    assert len(state) < 10 * MESSAGES
    laptop.kill()
    laptop.start()

    assert counts(laptop, url) == (MESSAGES - 1000, 0)
    second = receive(laptop.client("sqs"), url, 1000)
    assert len({*first, *second}) == 2000
    laptop.client("sqs").purge_queue(QueueUrl=url)
    assert counts(laptop, url) == (0, 0)


def send(client: Any, url: str, sender: int) -> None:
    """Send this sender's share in batches of ten."""
    for start in range(0, MESSAGES // SENDERS, 10):
        numbers = range(start, start + 10)
        entries = [{"Id": str(n), "MessageBody": f"an order of sender {sender}: {n}"} for n in numbers]
        assert not client.send_message_batch(QueueUrl=url, Entries=entries).get("Failed")


def receive(client: Any, url: str, count: int) -> list[str]:
    """Receive and delete so many messages, and return their bodies."""
    bodies: list[str] = []
    while len(bodies) < count:
        messages = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
        entries = [{"Id": str(n), "ReceiptHandle": found["ReceiptHandle"]} for n, found in enumerate(messages)]
        assert not client.delete_message_batch(QueueUrl=url, Entries=entries).get("Failed")
        bodies += [message["Body"] for message in messages]
    return bodies


def counts(laptop: Laptop, url: str) -> tuple[int, int]:
    """Return the numbers of visible and invisible messages."""
    names = [f"ApproximateNumberOfMessages{state}" for state in ("", "NotVisible")]
    attributes = laptop.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    visible, invisible = (int(attributes[name]) for name in names)
    return visible, invisible
