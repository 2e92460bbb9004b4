"""One outage is one page, whatever number of alarms it raises."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.aws.client import Aws
from orderops.engine.resource import Outputs
from orderops.infra.alert_rule import Priority
from orderops.infra.pages import pages_of
from orderops.resources.cloudwatch_alarm import CloudwatchAlarm
from support.alarm_data import BALANCER, LOGS, Points, answers, hosts, points, put, requests, seconds, wanted
from support.paging_account import ACCOUNT, REGION, aws_at, declared, fill, paging_server

TASKS_DEAD = [wanted(2, 2, 2), hosts(0, 0, 0), answers("ELB_5XX", 30, 30, 30, group=BALANCER)]
DATABASE_AWAY = points("orderops", "BreakerOpen", LOGS, 1, 1)
FAILING = [requests(100), answers("Target_5XX", 40, 40, 40)]
SLOW = [requests(100), seconds(20, 20, 20)]
# The causes, and which alarm pages.
OUTAGES: dict[str, tuple[list[list[Points]], str]] = {
    "all tasks dead": ([TASKS_DEAD], "p0-outage"),
    "database away": ([DATABASE_AWAY], "p0-outage"),
    "database away, with its errors": ([[*DATABASE_AWAY, *FAILING]], "p0-outage"),
    "database away, noticed a minute after its errors": ([FAILING, DATABASE_AWAY], "p0-outage"),
    "database away, noticed a minute before its errors": ([DATABASE_AWAY, FAILING], "p0-outage"),
    "both, one after the other": ([DATABASE_AWAY, TASKS_DEAD], "p0-outage"),
    "errors alone": ([FAILING], "p0-errors"),
    "slow answers alone": ([SLOW], "p0-errors"),
    "slow answers that become errors": ([SLOW, FAILING], "p0-errors"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Aws]:
    with paging_server() as url:
        yield aws_at(url)


@pytest.fixture
def aws(server: Aws) -> Aws:
    """An account with the alarms of dev, whose pages go to a queue."""
    topic = fill(server, {})[Priority.P0]
    queue = server.sqs.create_queue(QueueName="pages")["QueueUrl"]
    arn = server.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    server.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return server


@pytest.mark.parametrize("outage", OUTAGES)
def test_an_outage_raises_exactly_one_page_and_its_end_none(aws: Aws, outage: str) -> None:
    causes, alarm = OUTAGES[outage]
    for cause in causes:
        put(aws.cloudwatch, cause)
        look(aws)
    pass_time(61)
    look(aws)

    assert pages(aws) == [f"orderops-dev-{alarm}"]

    end(DATABASE_AWAY, TASKS_DEAD)
    look(aws)
    end(FAILING, SLOW)
    look(aws)
    pass_time(400)
    look(aws)
    assert pages(aws) == []


def test_errors_that_outlast_their_first_cause_page_after_all(aws: Aws) -> None:
    put(aws.cloudwatch, [*DATABASE_AWAY, *FAILING])
    look(aws)
    end(DATABASE_AWAY)
    look(aws)
    assert pages(aws) == ["orderops-dev-p0-outage"]

    pass_time(359)
    look(aws)
    assert pages(aws) == []
    pass_time(1)
    look(aws)

    assert pages(aws) == ["orderops-dev-p0-errors"]


def test_errors_page_once_no_cause_was_found_for_a_minute(aws: Aws) -> None:
    put(aws.cloudwatch, FAILING)
    look(aws)
    pass_time(55)
    look(aws)
    assert pages(aws) == []

    pass_time(5)
    look(aws)

    assert pages(aws) == ["orderops-dev-p0-errors"]


def test_only_composite_alarms_notify_for_p0() -> None:
    alarms = [resource for resource in declared().infra if isinstance(resource, CloudwatchAlarm)]
    children = {child.name for page in declared().pages for child in page.children}

    silent = {alarm.name for alarm in alarms if alarm.topic is None}
    assert silent == children == {alarm.name for alarm in alarms if alarm.description.startswith("P0")}


def test_more_alarms_than_aws_allows_below_one_are_grouped() -> None:
    rules = ("no-healthy-task", "database-away", "5xx", "slow")
    names = [f"orderops-dev-{number:020}-{rule}" for number in range(60) for rule in rules]
    alarms = [CloudwatchAlarm(name, "P0", topic=None) for name in names]

    found = pages_of(declared().environment, alarms, declared().routes)

    assert [page.name for page in found] == [
        "orderops-dev-p0-outage-1",
        "orderops-dev-p0-outage-2",
        "orderops-dev-p0-outage",
        "orderops-dev-p0-errors-1",
        "orderops-dev-p0-errors-2",
        "orderops-dev-p0-errors",
    ]
    assert max(len(page.children) for page in found) == 100
    assert max(len(page.desired(Outputs(REGION, ACCOUNT))["AlarmRule"]) for page in found) <= 10_240
    assert [bool(page.topic) for page in found] == [False, False, True] * 2


def look(aws: Aws) -> None:
    """Let the emulator evaluate all alarms."""
    aws.cloudwatch.describe_alarms()


def pages(aws: Aws) -> list[str]:
    """The alarms that paged since the last time."""
    queue = aws.sqs.get_queue_url(QueueName="pages")["QueueUrl"]
    found = []
    while messages := aws.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            aws.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            body = json.loads(json.loads(message["Body"])["Message"])
            if body["NewStateValue"] == "ALARM":
                found.append(body["AlarmName"])
    return found


def pass_time(held_seconds: float) -> None:
    """Bring the end of waits nearer."""
    for alarm in _cloudwatch().alarms.values():
        if (held := getattr(alarm, "held", None)) and held.until:
            alarm.held = replace(held, until=held.until - timedelta(seconds=held_seconds))


def end(*causes: Sequence[Points]) -> None:
    """Delete the data of these metrics."""
    names = {(given.namespace, given.metric) for cause in causes for given in cause}
    backend = _cloudwatch()
    backend.metric_data[:] = [datum for datum in backend.metric_data if (datum.namespace, datum.name) not in names]


def _cloudwatch() -> Any:
    return get_backend("cloudwatch")[DEFAULT_ACCOUNT_ID][REGION]
