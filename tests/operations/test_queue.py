"""orderops queue: what waits is shown, and dead letters are sent again or deleted, each on record."""

from __future__ import annotations

from typing import Any

import pytest

from support.command_line import Orderops
from support.recorded_history import Dev

pytest_plugins = ["support.recorded_history_fixtures"]

QUEUE, DEAD = "orderops-dev-order-processor-queue", "orderops-dev-order-processor-dlq"


@pytest.fixture
def sqs(dev: Dev) -> Any:
    return dev.workspace.aws.sqs


def put(sqs: Any, queue: str, body: str, reason: str = "") -> str:
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    attributes = {"reason": {"DataType": "String", "StringValue": reason}} if reason else {}
    return str(sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)["MessageId"])


def bodies(sqs: Any, queue: str) -> list[str]:
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages", ())
    return sorted(message["Body"] for message in received)


def test_status_counts_what_waits_and_leads_to_the_dead_letters(sqs: Any, orderops: Orderops) -> None:
    put(sqs, QUEUE, "1")
    put(sqs, DEAD, "2")

    said = orderops("queue", "status")

    assert f"{QUEUE}  1 waiting, 0 in flight, 0 delayed" in said.out
    assert "next: orderops queue dlq list --env dev --service order-processor" in said.err
    assert orderops("queue", "status", "--json").json["order-processor"][DEAD]["waiting"] == 1


def test_dead_letters_are_listed_by_reason_and_stay(sqs: Any, orderops: Orderops) -> None:
    for number in range(7):
        put(sqs, DEAD, str(number), "invalid message")
    put(sqs, DEAD, "8")

    said = orderops("queue", "dlq", "list")

    lines = said.out.splitlines()
    assert lines[0] == "7 invalid message"
    assert "  and 2 more" in lines
    assert "1 received too often without success" in lines
    assert len(bodies(sqs, DEAD)) == 8


def test_one_dead_letter_is_shown_whole_and_without_control_characters(sqs: Any, orderops: Orderops) -> None:
    identifier = put(sqs, DEAD, '{"sku": "\u009b2J"}', "invalid message")

    said = orderops("queue", "dlq", "show", identifier)

    assert "reason    invalid message" in said.out
    assert '"sku"' in said.out
    assert "\u009b" not in said.out


def test_replay_sends_the_chosen_ones_again_and_is_on_record(sqs: Any, orderops: Orderops) -> None:
    put(sqs, DEAD, "bad", "invalid message")
    put(sqs, DEAD, "good", "failed too often")

    said = orderops("queue", "dlq", "replay", "--reason", "failed too often", "--yes")

    assert said.code == 0, said.err
    assert (bodies(sqs, QUEUE), bodies(sqs, DEAD)) == (["good"], ["bad"])
    (run,) = orderops("history", "--last", "1", "--json").json
    assert run["command"] == "queue dlq replay --reason 'failed too often' --env dev"
    (step,) = run["steps"]
    assert (step["action"], step["queue"], step["messages"]) == ("sent again", DEAD, 1)


def test_a_dry_run_changes_nothing(sqs: Any, orderops: Orderops) -> None:
    put(sqs, DEAD, "1")

    said = orderops("queue", "dlq", "replay", "--all", "--dry-run")

    assert "1 dead letter would be sent again" in said.err
    assert (bodies(sqs, QUEUE), bodies(sqs, DEAD)) == ([], ["1"])


@pytest.mark.parametrize("words", [(), ("--all", "--reason", "x"), ("an-id", "--all")])
def test_which_dead_letters_are_meant_has_to_be_said_once(dev: Dev, orderops: Orderops, words: tuple[str, ...]) -> None:
    said = orderops("queue", "dlq", "replay", *words, "--yes")

    assert said.code == 2
    assert "name the messages by id, by --reason, or all by --all" in said.err


def test_an_unknown_id_is_an_error_and_nothing_is_sent(sqs: Any, orderops: Orderops) -> None:
    put(sqs, DEAD, "1")

    said = orderops("queue", "dlq", "replay", "absent", "--yes")

    assert said.code == 2
    assert "no dead letter has the id absent" in said.err
    assert bodies(sqs, QUEUE) == []


def test_dead_letters_are_deleted_only_if_their_queue_is_confirmed(sqs: Any, orderops: Orderops) -> None:
    put(sqs, DEAD, "1")

    refused = orderops("queue", "dlq", "purge", "--all", "--yes")
    assert refused.code == 2
    assert f"--confirm {DEAD}" in refused.err
    assert bodies(sqs, DEAD) == ["1"]

    assert orderops("queue", "dlq", "purge", "--all", "--yes", "--confirm", DEAD).code == 0
    assert bodies(sqs, DEAD) == []


def test_waiting_messages_are_shown_in_a_line_each(sqs: Any, orderops: Orderops) -> None:
    identifier = put(sqs, QUEUE, '{\n "customer": 7}')

    said = orderops("queue", "peek")

    assert said.out.startswith(identifier)
    assert '{ "customer": 7}' in said.out
