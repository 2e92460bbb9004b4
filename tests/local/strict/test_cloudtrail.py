"""LookupEvents of the emulator: the rules of the CloudTrail API reference, and of its user guide."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from orderops.local.emulator.server import Emulator
from orderops.local.strict import make_strict
from orderops.local.strict.delays import Delays
from support.laptop import until
from support.strict_clients import Client, Refused, served

REGION = "ap-southeast-2"


@pytest.fixture(scope="module")
def recording() -> Iterator[Client]:
    """An emulator whose LookupEvents may be called at any rate."""
    emulator = Emulator()
    make_strict(emulator, Delays(trail_pause=0))
    with served(emulator) as client:
        yield client


def looked_up(client: Client, key: str = "", value: str = "", **more: Any) -> list[dict[str, Any]]:
    attributes = {"LookupAttributes": [{"AttributeKey": key, "AttributeValue": value}]} if key else {}
    events: list[dict[str, Any]] = client("cloudtrail").lookup_events(**attributes, **more)["Events"]
    return events


def record_of(event: dict[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(event["CloudTrailEvent"])
    return record


def test_a_change_is_recorded_with_its_parameters_and_a_read_is_not(recording: Client) -> None:
    url = recording("sqs").create_queue(QueueName="orders")["QueueUrl"]
    recording("sqs").get_queue_attributes(QueueUrl=url)
    recording("sqs").set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "99"})
    recording("sqs").send_message(QueueUrl=url, MessageBody="an order")

    events = looked_up(recording)

    assert [event["EventName"] for event in events] == ["SetQueueAttributes", "CreateQueue"]
    assert record_of(events[0])["requestParameters"] == {"queueUrl": url, "attributes": {"VisibilityTimeout": "99"}}
    assert events[0]["EventSource"] == "sqs.amazonaws.com"
    assert events[0]["ReadOnly"] == "false"
    assert abs(datetime.now(UTC) - events[0]["EventTime"]) < timedelta(minutes=1)


def test_a_refused_change_is_recorded_with_its_error(recording: Client, refused: Refused) -> None:
    with refused("ResourceNotFoundException"):
        recording("logs").delete_log_group(logGroupName="/none")

    (event,) = looked_up(recording, "EventName", "DeleteLogGroup")

    assert record_of(event)["errorCode"] == "ResourceNotFoundException"


def test_parameters_of_ec2_are_spelled_as_in_its_events(recording: Client) -> None:
    ec2 = recording("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    ec2.create_tags(Resources=[vpc], Tags=[{"Key": "Name", "Value": "dev"}])
    group = ec2.create_security_group(GroupName="db", Description="db", VpcId=vpc)["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "IpRanges": [{"CidrIp": "10.0.0.0/16"}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])

    (tagged,) = looked_up(recording, "EventName", "CreateTags")
    (opened,) = looked_up(recording, "ResourceName", group)

    assert record_of(tagged)["requestParameters"] == {
        "resourcesSet": {"items": [{"resourceId": vpc}]},
        "tagSet": {"items": [{"key": "Name", "value": "dev"}]},
    }
    assert record_of(opened)["requestParameters"]["ipPermissions"]["items"][0] == {
        "ipProtocol": "tcp",
        "fromPort": 5432,
        "toPort": 5432,
        "ipRanges": {"items": [{"cidrIp": "10.0.0.0/16"}]},
    }


def test_events_of_iam_are_in_the_first_region(recording: Client) -> None:
    recording("iam").create_user(UserName="alice")
    url = recording("cloudtrail").meta.endpoint_url
    first = boto3.Session("testing", "testing", region_name="us-east-1").client("cloudtrail", endpoint_url=url)

    assert looked_up(recording) == []
    assert [event["EventName"] for event in first.lookup_events()["Events"]] == ["CreateUser"]


def test_the_user_of_a_key_and_the_session_of_a_role_are_named(recording: Client) -> None:
    iam = recording("iam")
    iam.create_user(UserName="alice")
    user = iam.create_access_key(UserName="alice")["AccessKey"]
    allowed = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    trust = {"Version": "2012-10-17", "Statement": [allowed]}
    arn = iam.create_role(RoleName="deploy", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    role = retried(lambda: recording("sts").assume_role(RoleArn=arn, RoleSessionName="run-17"))["Credentials"]
    url = recording("sqs").meta.endpoint_url
    for name, key in {"one": user, "two": role}.items():
        keys = (key["AccessKeyId"], key["SecretAccessKey"], key.get("SessionToken"))
        boto3.Session(*keys, region_name=REGION).client("sqs", endpoint_url=url).create_queue(QueueName=name)
    iam.delete_access_key(UserName="alice", AccessKeyId=user["AccessKeyId"])

    two, one = looked_up(recording, "EventName", "CreateQueue")

    assert (one["Username"], two["Username"]) == ("alice", "run-17")
    assert record_of(one)["userIdentity"]["type"] == "IAMUser"
    assert record_of(two)["userIdentity"]["arn"].endswith(":assumed-role/deploy/run-17")
    assert looked_up(recording, "Username", "alice") == [one]


def test_the_user_agent_is_recorded(recording: Client) -> None:
    url = recording("sqs").meta.endpoint_url
    config = Config(user_agent_extra="Terraform/1.9.5")
    boto3.Session("testing", "testing", region_name=REGION).client("sqs", endpoint_url=url, config=config).create_queue(
        QueueName="orders"
    )

    assert "Terraform/1.9.5" in record_of(looked_up(recording)[0])["userAgent"]


def test_a_secret_is_not_recorded(recording: Client) -> None:
    recording("secretsmanager").create_secret(Name="login", SecretString="hunter2")

    assert "hunter2" not in str(looked_up(recording))


def test_a_page_has_fifty_events_the_newest_first(recording: Client) -> None:
    logs = recording("logs")
    for number in range(52):
        logs.create_log_group(logGroupName=f"/group/{number}")

    first = recording("cloudtrail").lookup_events()
    second = recording("cloudtrail").lookup_events(NextToken=first["NextToken"])

    names = [record_of(event)["requestParameters"]["logGroupName"] for event in [*first["Events"], *second["Events"]]]
    assert len(first["Events"]) == 50
    assert names == [f"/group/{number}" for number in range(51, -1, -1)]
    assert "NextToken" not in second


@pytest.mark.parametrize(
    "code, parameters",
    [
        (
            "InvalidLookupAttributesException",
            {"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": name} for name in ("A", "B")]},
        ),
        ("InvalidTimeRangeException", {"StartTime": 200, "EndTime": 100}),
        ("InvalidNextTokenException", {"NextToken": "not one of ours"}),
    ],
)
def test_a_request_that_aws_refuses_is_refused(
    recording: Client, refused: Refused, code: str, parameters: dict[str, Any]
) -> None:
    with refused(code):
        recording("cloudtrail").lookup_events(**parameters)


def test_a_third_call_at_once_is_throttled() -> None:
    emulator = Emulator()
    # A pause that no machine is slow enough to fill.
    make_strict(emulator, Delays(trail_pause=3600))
    with served(emulator) as client:
        once = boto3.Session("testing", "testing", region_name=REGION).client(
            "cloudtrail",
            endpoint_url=client("sqs").meta.endpoint_url,
            config=Config(retries={"mode": "standard", "total_max_attempts": 1}),
        )
        once.lookup_events()
        once.lookup_events()

        with pytest.raises(ClientError, match="ThrottlingException"):
            once.lookup_events()


def test_an_event_appears_after_the_delay() -> None:
    emulator = Emulator()
    make_strict(emulator, Delays(trail=3600, trail_pause=0))
    with served(emulator) as client:
        client("sqs").create_queue(QueueName="orders")

        assert looked_up(client) == []


def retried(call: Any) -> Any:
    """What a call answers once AWS knows the new role."""
    answers: list[Any] = []

    def attempt() -> bool:
        try:
            answers.append(call())
        except ClientError:
            return False
        return True

    until(attempt)
    return answers[0]
