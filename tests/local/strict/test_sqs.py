from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from support.laptop import until
from support.strict_clients import Client, Refused


def test_the_name_of_a_deleted_queue_stays_taken_for_a_while(moto: Client, strict: Client, refused: Refused) -> None:
    for client in (moto, strict):
        url = client("sqs").create_queue(QueueName="orders")["QueueUrl"]
        client("sqs").delete_queue(QueueUrl=url)
    moto("sqs").create_queue(QueueName="other")

    with refused("AWS.SimpleQueueService.QueueDeletedRecently"):
        strict("sqs").create_queue(QueueName="orders")

    def again() -> bool:
        try:
            return bool(strict("sqs").create_queue(QueueName="orders"))
        except strict("sqs").exceptions.QueueDeletedRecently:
            return False

    until(again)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VisibilityTimeout", "43201"),
        ("MessageRetentionPeriod", "59"),
        ("ReceiveMessageWaitTimeSeconds", "21"),
        ("DelaySeconds", "-1"),
    ],
)
def test_an_attribute_out_of_its_range_is_refused(
    moto: Client, strict: Client, refused: Refused, name: str, value: str
) -> None:
    moto("sqs").create_queue(QueueName="loose", Attributes={name: value})
    url = strict("sqs").create_queue(QueueName="orders")["QueueUrl"]

    with refused("InvalidAttributeValue"):
        strict("sqs").create_queue(QueueName="other", Attributes={name: value})
    with refused("InvalidAttributeValue"):
        strict("sqs").set_queue_attributes(QueueUrl=url, Attributes={name: value})


def test_an_unknown_attribute_is_refused(moto: Client, strict: Client, refused: Refused) -> None:
    moto("sqs").create_queue(QueueName="loose", Attributes={"Colour": "red"})

    with refused("InvalidAttributeName"):
        strict("sqs").create_queue(QueueName="orders", Attributes={"Colour": "red"})


def test_a_redrive_policy_needs_a_valid_receive_count(moto: Client, strict: Client, refused: Refused) -> None:
    sqs = strict("sqs")
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 0})}
    moto("sqs").create_queue(QueueName="loose", Attributes=redrive)

    with refused("InvalidParameterValue"):
        sqs.create_queue(QueueName="orders", Attributes=redrive)
    url = sqs.create_queue(QueueName="orders")["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": ""})


def test_an_error_has_the_exception_class_that_boto3_defines(strict: Client) -> None:
    with pytest.raises(ClientError) as caught:
        strict("sqs").create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "-1"})

    assert isinstance(caught.value, strict("sqs").exceptions.InvalidAttributeValue)
