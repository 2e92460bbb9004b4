"""SQS queues."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orderops.aws.client import Aws
from orderops.engine.destroy import destroy
from orderops.engine.inventory import Inventory
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.resources.sqs_queue import SqsQueue
from support.contract import Up, keeps_its_promises
from support.faults import Fault, PowerCut

DEAD = SqsQueue("orderops-dev-orders-dlq")
ORDERS = SqsQueue("orderops-dev-orders", dead_letter=DEAD)


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(ORDERS, aws, up, visibility_timeout=60)


def test_drift_is_repaired(aws: Aws, up: Up) -> None:
    up(ORDERS)
    url = aws.sqs.get_queue_url(QueueName=ORDERS.name)["QueueUrl"]
    aws.sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "5"})

    assert up(ORDERS)[ORDERS.address].changes == {"VisibilityTimeout": (5, 30)}


def test_a_dead_letter_queue_no_longer_declared_is_detached(aws: Aws, up: Up) -> None:
    up(ORDERS)

    changes = up(SqsQueue(ORDERS.name))[ORDERS.address].changes

    assert list(changes) == ["RedrivePolicy"]
    assert up(SqsQueue(ORDERS.name))[ORDERS.address].action is Action.NO_OP


@pytest.mark.parametrize("call", range(9))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("sqs", after=call), pytest.raises(PowerCut):
        up(ORDERS)

    up(ORDERS)

    assert {step.action for step in up(ORDERS).values()} == {Action.NO_OP}
    assert len(aws.sqs.list_queues()["QueueUrls"]) == 2


def test_a_lost_answer_makes_no_second_queue(aws: Aws, up: Up, lose_answer: Fault) -> None:
    with lose_answer("sqs", "CreateQueue"):
        steps = up(ORDERS)

    assert {step.action for step in steps.values()} == {Action.CREATE}
    assert len(aws.sqs.list_queues()["QueueUrls"]) == 2


def test_a_queue_of_another_environment_is_not_changed(aws: Aws, up: Up) -> None:
    queue = SqsQueue("orderops-dev-orders")
    up(queue)
    url = aws.sqs.get_queue_url(QueueName=queue.name)["QueueUrl"]
    aws.sqs.tag_queue(QueueUrl=url, Tags={"orderops:environment": "prod"})

    with pytest.raises(Unfinished, match="belongs to prod"):
        up(SqsQueue(queue.name, visibility_timeout=60))

    assert aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]["VisibilityTimeout"] == "30"


def test_a_queue_without_an_owner_is_adopted_only_on_request(aws: Aws, up: Up) -> None:
    queue = SqsQueue("orderops-dev-orders")
    aws.sqs.create_queue(QueueName=queue.name)

    assert up(queue, dry_run=True)[queue.address].action is Action.ADOPT
    with pytest.raises(Unfinished, match="has no owner"):
        up(queue)
    up(queue, adopt=[queue.address])

    assert up(queue)[queue.address].action is Action.NO_OP


def test_a_queue_that_got_another_owner_meanwhile_is_not_deleted(
    aws: Aws, up: Up, survey_of: Callable[..., Inventory]
) -> None:
    queue = SqsQueue("orderops-dev-orders")
    up(queue)
    inventory = survey_of(queue)
    found = list(inventory.owned())
    aws.sqs.tag_queue(QueueUrl=found[0].observed.id, Tags={"orderops:environment": "prod"})

    with pytest.raises(Unfinished, match="belongs to prod; it was not deleted"):
        list(destroy(found, inventory))

    assert aws.sqs.get_queue_url(QueueName=queue.name)
