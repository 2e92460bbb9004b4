"""Starts of schedules that fail: tried again as the schedule says, then written into its dead-letter queue."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from moto.moto_api._internal import moto_api_backend

from orderops.local.data_plane import FailedStarts
from orderops.local.ecs.schedules import Schedules
from orderops.local.emulator.server import Emulator
from orderops.local.sqs.api import SqsMessages
from orderops.local.strict import patch
from support.strict_clients import Client, served

QUEUE = "orderops-dev-failed-schedules"
QUEUE_ARN = f"arn:aws:sqs:ap-southeast-2:123456789012:{QUEUE}"
CLUSTER = "arn:aws:ecs:ap-southeast-2:123456789012:cluster/dev"
INPUT = json.dumps({"containerOverrides": [{"name": "board", "command": ["publish"]}]})


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Started:
    """Tasks that were started."""

    def __init__(self) -> None:
        self.tasks: list[Any] = []

    def add(self, task: Any) -> None:
        self.tasks.append(task)


class Account:
    """An account with a schedule of every hour, and what is done with it."""

    def __init__(self, client: Client, emulator: Emulator, messages: SqsMessages) -> None:
        self.client = client
        self.clock, self.started = Clock(), Started()
        self._emulator = emulator
        self._url = client("sqs").create_queue(QueueName=QUEUE)["QueueUrl"]
        client("ecs").create_cluster(clusterName="dev")
        self.role = self._role(["sqs:SendMessage"])
        self.definition = self._definition()
        self.schedules = Schedules(self.started, FailedStarts(messages.deliver), self.clock)  # type: ignore[arg-type]

    def make(self, **target: Any) -> None:
        """Make the schedule; the first start is due when the clock is moved on."""
        self.client("scheduler").create_schedule_group(Name="dev")
        whole = {
            "Arn": CLUSTER,
            "RoleArn": self.role,
            "EcsParameters": {"TaskDefinitionArn": self.definition},
            "Input": INPUT,
            "RetryPolicy": {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 3600},
            "DeadLetterConfig": {"Arn": QUEUE_ARN},
            **target,
        }
        self.client("scheduler").create_schedule(
            Name="board",
            GroupName="dev",
            ScheduleExpression="rate(1 hour)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target=whole,
        )
        made = self.client("scheduler").get_schedule(Name="board", GroupName="dev")["CreationDate"].timestamp()
        self.clock.now = made - 1
        self.schedules.tick()
        self.clock.now = made + 1

    def after(self, seconds: float) -> list[Any]:
        """What has been written into the queue after so many seconds, a look each second."""
        for _ in range(int(seconds)):
            self.clock.now += 1
            with self._emulator.lock:
                self.schedules.tick()
        answer = self.client("sqs").receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        return list(answer.get("Messages", ()))

    def lost(self) -> list[Any]:
        """The metrics of Scheduler about starts that it could not write into a queue."""
        metrics = self.client("cloudwatch").list_metrics(Namespace="AWS/Scheduler")["Metrics"]
        return [(metric["MetricName"], metric["Dimensions"]) for metric in metrics]

    def _role(self, actions: list[str]) -> str:
        trust = {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        role = self.client("iam").create_role(RoleName="starter", AssumeRolePolicyDocument=document)["Role"]
        allowed = {"Effect": "Allow", "Action": actions, "Resource": QUEUE_ARN}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        self.client("iam").put_role_policy(RoleName="starter", PolicyName="own", PolicyDocument=policy)
        return str(role["Arn"])

    def _definition(self) -> str:
        containers = [{"name": "board", "image": "board:1", "memory": 512}]
        made = self.client("ecs").register_task_definition(family="board", containerDefinitions=containers)
        return str(made["taskDefinition"]["taskDefinitionArn"])


@pytest.fixture
def account() -> Iterator[Account]:
    moto_api_backend.reset()
    emulator = Emulator()
    messages = SqsMessages(emulator)
    patch(emulator, messages)
    with served(emulator) as client:
        yield Account(client, emulator, messages)


def forget_definition(account: Account) -> None:
    account.client("ecs").deregister_task_definition(taskDefinition=account.definition)


def delete_cluster(account: Account) -> None:
    account.client("ecs").delete_cluster(cluster="dev")


def forbid_sending(account: Account) -> None:
    forget_definition(account)
    account.client("iam").delete_role_policy(RoleName="starter", PolicyName="own")


def distrust(account: Account) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": "ecs.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    account.client("iam").update_assume_role_policy(RoleName="starter", PolicyDocument=document)


def delete_queue(account: Account) -> None:
    forget_definition(account)
    account.client("sqs").delete_queue(QueueUrl=account.client("sqs").get_queue_url(QueueName=QUEUE)["QueueUrl"])


@pytest.mark.parametrize(
    ("spoil", "code"),
    [(forget_definition, "ClientException"), (delete_cluster, "ClusterNotFoundException")],
    ids=["an inactive task definition", "no cluster"],
)
def test_a_start_that_fails_is_written_into_the_queue_as_scheduler_does(
    account: Account, spoil: Callable[[Account], None], code: str
) -> None:
    account.make()
    spoil(account)

    (message,) = account.after(60)

    # User guide, "Configuring a dead-letter queue": the input as the body, and what happened in the attributes.
    assert message["Body"] == INPUT
    said = {name: one["StringValue"] for name, one in message["MessageAttributes"].items()}
    assert said.pop("EXECUTION_ID")
    assert said.pop("SCHEDULED_TIME").endswith("Z")
    assert said.pop("ERROR_MESSAGE")
    assert said == {
        "ERROR_CODE": code,
        "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
        "IS_PAYLOAD_TRUNCATED": "false",
        "RETRY_ATTEMPTS": "2",
        "SCHEDULE_ARN": "arn:aws:scheduler:ap-southeast-2:123456789012:schedule/dev/board",
        "TARGET_ARN": CLUSTER,
    }
    assert account.started.tasks == []


def test_a_start_that_succeeds_writes_nothing(account: Account) -> None:
    account.make()

    assert account.after(60) == []
    assert len(account.started.tasks) == 1


def test_a_cause_that_is_fixed_before_the_last_attempt_leaves_no_trace(account: Account) -> None:
    account.make()
    delete_cluster(account)
    assert account.after(5) == []
    assert account.started.tasks == []
    account.client("ecs").create_cluster(clusterName="dev")

    assert account.after(60) == []
    assert len(account.started.tasks) == 1


def test_no_attempt_comes_after_the_age_that_is_allowed(account: Account) -> None:
    account.make(RetryPolicy={"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 60})
    forget_definition(account)

    (message,) = account.after(60)

    assert message["MessageAttributes"]["EXHAUSTED_RETRY_CONDITION"]["StringValue"] == "MaximumEventAgeInSeconds"


@pytest.mark.parametrize("spoil", [forbid_sending, distrust, delete_queue], ids=["no permission", "trust", "no queue"])
def test_a_start_that_cannot_be_written_into_the_queue_is_counted(
    account: Account, spoil: Callable[[Account], None]
) -> None:
    account.make()
    spoil(account)

    if spoil is delete_queue:
        with pytest.raises(account.client("sqs").exceptions.QueueDoesNotExist):
            account.after(60)
    else:
        assert account.after(60) == []
    expected = [{"Name": "ScheduleGroup", "Value": "dev"}]
    assert account.lost() == [("InvocationsFailedToBeSentToDeadLetterCount", expected)]
