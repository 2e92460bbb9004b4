"""The alarms of the environment dev with a service shop, in the strict emulator, with the topics of their routes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache

import boto3
from moto.moto_api._internal import moto_api_backend

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.config.environment import Environment
from orderops.engine.resource import Observed, Outputs
from orderops.infra.alert_rule import Priority
from orderops.infra.stack import Stack, stack
from orderops.local.emulator.server import Emulator
from orderops.local.strict import make_strict
from orderops.local.strict.delays import Delays
from orderops.resources.cloudwatch_alarm import CloudwatchAlarm
from support.alarm_data import BALANCER, FIRST
from support.strict_clients import served

REGION, ACCOUNT = "ap-southeast-2", "123456789012"


@contextmanager
def paging_server() -> Iterator[str]:
    """Serve a strict emulator; answers its URL."""
    emulator = Emulator()
    # An alarm follows its data at its first read.
    make_strict(emulator, Delays(alarm=0))
    with served(emulator) as client:
        yield str(client("sns").meta.endpoint_url)


def aws_at(url: str) -> Aws:
    """AWS as the program reaches it there."""
    return Aws(REGION, endpoint_url=url, session=boto3.Session("testing", "testing", region_name=REGION))


@cache
def declared() -> Stack:
    """The stack of dev, with a topic for each priority."""
    alerts = {"p0": {"sms": ["+61412345678"]}, "p2": {"sms": ["+61412345678"]}}
    table = {"name": "dev", "database": {}, "services": {"shop": {}}, "alerts": alerts}
    return stack(Environment.model_validate(table), ACCOUNT)


def fill(aws: Aws, receivers: Mapping[Priority, tuple[str, str]]) -> dict[Priority, str]:
    """Empty the account, and make topics, subscriptions and all alarms; answers the topics."""
    moto_api_backend.reset()
    found, outputs = declared(), Outputs(REGION, ACCOUNT)
    topics = {}
    for priority, topic in found.routes.items():
        arn = topics[priority] = aws.sns.create_topic(Name=topic.name)["TopicArn"]
        outputs[topic] = Observed(arn, arn=arn)
    outputs[found.balancer] = Observed("", {"ArnSuffix": BALANCER["LoadBalancer"]})
    routing = found.services["shop"].routing
    assert routing
    outputs[routing.target_groups[0]] = Observed("", {"ArnSuffix": FIRST["TargetGroup"]})
    alarms = [resource for resource in found.infra if isinstance(resource, CloudwatchAlarm)]
    for alarm in (*alarms, *found.pages):
        alarm.create(aws, alarm.desired(outputs), Ownership("dev"))
    # The first states of new alarms are messages, too.
    aws.cloudwatch.describe_alarms()
    for priority, (protocol, endpoint) in receivers.items():
        aws.sns.subscribe(TopicArn=topics[priority], Protocol=protocol, Endpoint=endpoint)
    return topics
