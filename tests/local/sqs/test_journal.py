"""What is acknowledged is on disk: after a kill, a stop, and a disk that is full."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from moto.backends import get_backend

from local.sqs.conftest import Refused
from orderops.errors import OrderopsError
from support.laptop import Laptop, until
from support.sqs_calls import REGION, Clock, SqsCalls, arn_of, forget_queues


@pytest.fixture
def path(tmp_path: Path) -> Path:
    forget_queues()
    return tmp_path / "messages.sqlite"


def restarted(sqs: SqsCalls, path: Path, *, saved: bool = True) -> SqsCalls:
    """Return SQS of the next process after a kill; the state of moto is that of the end, or none was saved."""
    if not saved:
        forget_queues()
    again = SqsCalls(sqs.clock, path)
    again.messages.resume()
    return again


def test_a_killed_emulator_loses_no_acknowledged_message(path: Path, clock: Clock) -> None:
    sqs = SqsCalls(clock, path)
    url = sqs.create(VisibilityTimeout="30")
    attribute = {"shop": {"DataType": "String", "StringValue": "x"}}
    for body in ("deleted", "in flight", "waiting"):
        sqs.send(url, body, MessageAttributes=attribute)
    sqs.send(url, "delayed", DelaySeconds=60)
    deleted, in_flight = sqs.receive(url, MaxNumberOfMessages=2)
    sqs.delete(url, deleted)

    again = restarted(sqs, path)

    assert again.counts(url) == (1, 1, 1)
    (waiting,) = again.receive(url, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"])
    assert (waiting["Body"], waiting["MessageAttributes"]) == ("waiting", attribute)
    # The consumer that received it before the kill can still work on it.
    again.hide(url, in_flight, 5)
    clock.sleep(5)
    (message,) = again.receive(url, MessageSystemAttributeNames=["All"])
    assert (message["Body"], message["Attributes"]["ApproximateReceiveCount"]) == ("in flight", "2")
    again.delete(url, message)
    clock.sleep(55)
    assert "delayed" in again.bodies(url)


def test_a_queue_is_kept_that_was_made_after_the_last_save(path: Path, clock: Clock) -> None:
    sqs = SqsCalls(clock, path)
    url, dead = sqs.create_with_dead_letters(max_receives=1)
    sqs("TagQueue", QueueUrl=url, Tags={"team": "shop"})
    sqs("SetQueueAttributes", QueueUrl=url, Attributes={"VisibilityTimeout": "7", "DelaySeconds": "1"})
    sqs.send(url, "an order", DelaySeconds=0)
    gone = sqs.create("gone")
    sqs.send(gone)
    sqs("DeleteQueue", QueueUrl=gone)

    again = restarted(sqs, path, saved=False)

    urls = again("ListQueues")["QueueUrls"]
    assert sorted(urls) == sorted([url, dead])
    attributes = again("GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (attributes["VisibilityTimeout"], attributes["DelaySeconds"]) == ("7", "1")
    assert arn_of("orders-dead") in attributes["RedrivePolicy"]
    assert again("ListQueueTags", QueueUrl=url)["Tags"] == {"team": "shop"}
    assert again.bodies(url, VisibilityTimeout=0) == ["an order"]
    assert again.receive(url) == []
    assert again.bodies(dead) == ["an order"]


def test_dead_letters_and_purges_are_on_disk(path: Path, clock: Clock) -> None:
    sqs = SqsCalls(clock, path)
    url, dead = sqs.create_with_dead_letters(max_receives=1)
    other = sqs.create("other")
    sqs.send(url)
    sqs.send(other)
    sqs.receive(url, VisibilityTimeout=0)
    sqs.receive(url)
    sqs("PurgeQueue", QueueUrl=other)

    again = restarted(sqs, path)

    assert (again.counts(url), again.counts(dead), again.counts(other)) == ((0, 0, 0), (1, 0, 0), (0, 0, 0))
    (message,) = again.receive(dead, AttributeNames=["DeadLetterQueueSourceArn"])
    assert message["Attributes"] == {"DeadLetterQueueSourceArn": arn_of("orders")}


def test_a_move_that_was_interrupted_continues(path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    sqs = SqsCalls(clock, path)
    _, dead = sqs.create_with_dead_letters()
    other = sqs.create("other")
    for number in range(150):
        sqs.send(dead, str(number))
    with monkeypatch.context() as patch:
        patch.setattr("orderops.local.sqs.moves.MoveTasks._run_in_background", lambda *_: None)
        sqs("StartMessageMoveTask", SourceArn=arn_of("orders-dead"), DestinationArn=arn_of("other"))
        (task,) = sqs.messages.moves.of(arn_of("orders-dead"))
        assert sqs.messages.moves.step(task)
    assert 0 < task.moved < 150

    again = restarted(sqs, path)

    def ended() -> bool:
        (entry,) = again("ListMessageMoveTasks", SourceArn=arn_of("orders-dead"))["Results"]
        return bool(entry["Status"] == "COMPLETED" and entry["ApproximateNumberOfMessagesMoved"] == 150)

    until(ended)
    assert (again.counts(dead), again.counts(other)) == ((0, 0, 0), (150, 0, 0))
    again.messages.shut()


def test_messages_of_an_earlier_version_are_taken_over_from_the_state(path: Path, clock: Clock) -> None:
    backend = get_backend("sqs")["123456789012"][REGION]
    backend.create_queue("orders", {})
    backend.send_message("orders", "an order")
    sqs = SqsCalls(clock, path)

    sqs.messages.resume()

    url = "http://localhost/123456789012/orders"
    assert restarted(sqs, path).bodies(url) == ["an order"]


def test_a_full_disk_acknowledges_nothing_and_loses_nothing(path: Path, clock: Clock, refused: Refused) -> None:
    sqs = SqsCalls(clock, path)
    url, dead = sqs.create_with_dead_letters(max_receives=1)
    sqs.send(url, "poisoned")
    sqs.receive(url, VisibilityTimeout=0)
    sqs.send(url, "first")
    connection = sqs.messages.store.journal._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    # SQLite answers as on a full disk: SQLITE_FULL.
    connection.execute(f"PRAGMA max_page_count = {pages}")

    with refused("InternalFailure"):
        sqs.send(url, "x" * 100_000)
    assert sqs.counts(url) == (2, 0, 0)
    connection.execute("PRAGMA max_page_count = 100000")

    assert sqs.bodies(url) == ["first"]
    assert sqs.counts(dead) == (1, 0, 0)
    assert restarted(sqs, path).counts(url) == (0, 1, 0)


def test_a_start_needs_no_space(path: Path, clock: Clock) -> None:
    sqs = SqsCalls(clock, path)
    url = sqs.create()
    sqs.send(url)
    again = SqsCalls(clock, path)
    again.messages.store.journal._connection.execute("PRAGMA query_only = ON")

    again.messages.resume()

    assert again.counts(url) == (1, 0, 0)


@pytest.mark.parametrize("action", ["receive", "delete", "hide"])
def test_a_change_that_cannot_be_written_changes_nothing(
    path: Path, clock: Clock, refused: Refused, action: str
) -> None:
    sqs = SqsCalls(clock, path)
    url, dead = sqs.create_with_dead_letters(max_receives=1)
    for body in ("poisoned", "taken", "waiting"):
        sqs.send(url, body)
    sqs.receive(url, MaxNumberOfMessages=1, VisibilityTimeout=0)
    # The poisoned one moves, the next is taken.
    (taken,) = sqs.receive(url, MaxNumberOfMessages=1, VisibilityTimeout=600)
    before = (sqs.counts(url), sqs.counts(dead))
    connection = sqs.messages.store.journal._connection
    connection.execute("PRAGMA query_only = ON")

    with refused("InternalFailure"):
        if action == "receive":
            sqs.receive(url)
        elif action == "delete":
            sqs.delete(url, taken)
        else:
            sqs.hide(url, taken, 0)

    connection.execute("PRAGMA query_only = OFF")
    assert (sqs.counts(url), sqs.counts(dead)) == before == ((1, 1, 0), (1, 0, 0))
    assert sqs.bodies(url) == ["waiting"]
    sqs.hide(url, taken, 0)
    assert restarted(sqs, path).counts(url) == (1, 1, 0)


def test_a_journal_that_cannot_be_read_is_kept_and_named(path: Path, clock: Clock) -> None:
    path.write_bytes(b"not a database" * 100)

    with pytest.raises(OrderopsError, match="messages of the local environment cannot be read") as caught:
        SqsCalls(clock, path)

    assert "orderops local reset" in caught.value.hint
    assert path.read_bytes() == b"not a database" * 100


def test_a_journal_of_another_format_is_kept_and_named(path: Path, clock: Clock) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(OrderopsError, match="format 99"):
        SqsCalls(clock, path)


def test_only_the_user_can_read_the_journal(path: Path, clock: Clock) -> None:
    sqs = SqsCalls(clock, path)
    sqs.send(sqs.create())

    assert {file.name for file in path.parent.iterdir()} == {f"messages.sqlite{end}" for end in ("", "-wal", "-shm")}
    assert [file.stat().st_mode & 0o077 for file in path.parent.iterdir()] == [0, 0, 0]


def test_the_journal_writes_what_changes_and_not_the_queue(path: Path, clock: Clock) -> None:
    sqs = SqsCalls(clock, path)
    url = sqs.create()
    for _ in range(100):
        batch = [{"Id": str(number), "MessageBody": "x" * 1000} for number in range(10)]
        sqs("SendMessageBatch", QueueUrl=url, Entries=batch)
    log = path.with_name("messages.sqlite-wal")
    sqs.messages.store.journal._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    sqs.receive(url, MaxNumberOfMessages=1)

    # Pages of 4 KiB: the entry's, its index's, and none of the thousand bodies.
    assert 0 < log.stat().st_size < 40_000


@pytest.mark.slow
def test_a_killed_laptop_keeps_each_acknowledged_message(own_laptop: Laptop) -> None:
    laptop, client = own_laptop, own_laptop.client("sqs")
    url = client.create_queue(QueueName="orders")["QueueUrl"]
    sent = []
    for number in range(50):
        client.send_message(QueueUrl=url, MessageBody=str(number))
        sent.append(str(number))
    message = client.receive_message(QueueUrl=url, VisibilityTimeout=600)["Messages"][0]
    # At once: the state is saved later.
    laptop.kill()
    laptop.start()

    client = laptop.client("sqs")
    client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    received = []
    while messages := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        received += [message["Body"] for message in messages]
    assert sorted([*received, message["Body"]], key=int) == sent
