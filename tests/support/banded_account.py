"""Alarms for what is unusual in an account that has the environment dev without them."""

from __future__ import annotations

from functools import cache

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.config.environment import Environment, load_environment
from orderops.engine.resource import Observed, Outputs
from orderops.infra.stack import Stack, stack
from orderops.resources.cloudwatch_alarm import CloudwatchAlarm
from orderops.resources.elbv2_load_balancer import Elbv2LoadBalancer
from support.paging_account import ACCOUNT, REGION
from support.repository import ENVIRONMENTS


@cache
def banded() -> Environment:
    """The environment dev, with anomaly detection."""
    environment = load_environment("dev", ENVIRONMENTS)
    alerts = environment.alerts.model_copy(update={"anomaly_detection": True})
    return environment.model_copy(update={"alerts": alerts})


def add_bands(aws: Aws) -> Stack:
    """Make the alarms with bands and their detectors; answer the stack that declares them."""
    found, outputs, owner = stack(banded(), ACCOUNT), Outputs(REGION, ACCOUNT), Ownership("dev")
    topic = aws.sns.list_topics()["Topics"][0]["TopicArn"]
    outputs[found.topic] = Observed(topic, arn=topic)
    (outputs[found.balancer],) = Elbv2LoadBalancer.listing(aws, owner)
    for alarm in found.infra:
        if isinstance(alarm, CloudwatchAlarm) and alarm.band:
            alarm.band.create(aws, alarm.band.desired(outputs), owner)
            alarm.create(aws, alarm.desired(outputs), owner)
    return found
