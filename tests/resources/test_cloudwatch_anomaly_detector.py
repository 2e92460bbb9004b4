"""CloudWatch anomaly detectors, and alarms on their bands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.config.environment import Environment
from orderops.engine.destroy import destroy
from orderops.engine.inventory import Inventory
from orderops.engine.step import Action
from orderops.frozen import replace
from orderops.infra.alert_rules import RULES
from orderops.infra.stack import stack
from orderops.local.strict.delays import Delays
from orderops.resources.cloudwatch_alarm import CloudwatchAlarm
from orderops.resources.cloudwatch_anomaly_detector import MADE, CloudwatchAnomalyDetector
from orderops.resources.elbv2_load_balancer import Elbv2LoadBalancer
from orderops.resources.sqs_queue import SqsQueue
from support.contract import Up, keeps_its_promises, remove
from support.emulated_account import QUICK
from support.faults import Fault, Faults, PowerCut
from support.strict_account import REGION, strict_account, strict_aws
from support.strict_clients import Client

AGE = ("AWS/SQS", "ApproximateAgeOfOldestMessage", "Minimum")
QUEUE = SqsQueue("orderops-dev-shop-queue")
DETECTOR = CloudwatchAnomalyDetector.on(QUEUE, *AGE, time_zone="Australia/Sydney")
UNUSUAL = CloudwatchAlarm(
    "orderops-dev-shop-queue-age-unusual",
    "messages wait longer than usual",
    threshold=3,
    comparison="GreaterThanUpperThreshold",
    period=300,
    periods=3,
    missing="notBreaching",
    band=DETECTOR,
    topic=None,
)


@pytest.fixture(scope="module")
def account() -> Iterator[Client]:
    with strict_account(Delays(alarm=0, network=0.05, balancer=0.05)) as client:
        yield client


@pytest.fixture
def aws(account: Client, session: boto3.Session, monkeypatch: pytest.MonkeyPatch, the_faults: Faults) -> Aws:
    """Only the strict emulator has detectors."""
    strict_aws(account, monkeypatch)
    observed = boto3.Session("testing", "testing", region_name=REGION)
    the_faults.install(observed)
    return Aws(REGION, session=observed)


def by_hand(aws: Aws, queue: str, metric: str = AGE[1], stat: str = AGE[2], **configuration: Any) -> None:
    single = {
        "Namespace": "AWS/SQS",
        "MetricName": metric,
        "Stat": stat,
        "Dimensions": [{"Name": "QueueName", "Value": queue}],
    }
    aws.cloudwatch.put_anomaly_detector(SingleMetricAnomalyDetector=single, Configuration=configuration)


def listed(aws: Aws, environment: str = "dev") -> list[str]:
    return [found.name for found in CloudwatchAnomalyDetector.listing(aws, Ownership(environment))]


def in_account(aws: Aws) -> list[dict[str, Any]]:
    return list(aws.cloudwatch.describe_anomaly_detectors()["AnomalyDetectors"])


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(DETECTOR, aws, up, time_zone=None)


def test_a_detector_of_a_load_balancer_fulfils_the_contract(aws: Aws, up: Up) -> None:
    table = {"name": "dev", "database": {}, "services": {"shop": {}}}
    balancer = stack(Environment.model_validate(table), aws.account).balancer
    found = CloudwatchAnomalyDetector.on(balancer, "AWS/ApplicationELB", "TargetResponseTime", "p95", None)

    assert up(found, dry_run=True)[found.address].changes["Dimensions"] == (
        None,
        {"LoadBalancer": "(known after apply)"},
    )
    keeps_its_promises(found, aws, up, time_zone="Australia/Sydney")

    (suffix,) = [observed.properties["ArnSuffix"] for observed in Elbv2LoadBalancer.listing(aws, Ownership("dev"))]
    assert in_account(aws)[0]["Dimensions"] == [{"Name": "LoadBalancer", "Value": suffix}]


def test_an_alarm_on_a_band_fulfils_the_contract(aws: Aws, up: Up) -> None:
    keeps_its_promises(UNUSUAL, aws, up, threshold=4, periods=2)

    (alarm,) = aws.cloudwatch.describe_alarms()["MetricAlarms"]
    assert [query["ReturnData"] for query in alarm["Metrics"]] == [True, True]
    assert alarm["ThresholdMetricId"] == "band"
    assert "Threshold" not in alarm


def test_the_detector_of_an_alarm_is_made_first_so_that_it_has_its_time_zone(aws: Aws, up: Up) -> None:
    assert list(up(UNUSUAL))[-2:] == [DETECTOR.address, UNUSUAL.address]

    assert [found["Configuration"] for found in in_account(aws)] == [{"MetricTimezone": "Australia/Sydney"}]


def test_times_excluded_by_an_operator_stay_excluded(aws: Aws, up: Up) -> None:
    excluded = {"StartTime": datetime(2026, 1, 1, tzinfo=UTC), "EndTime": datetime(2026, 1, 2, tzinfo=UTC)}
    up(DETECTOR)
    by_hand(aws, QUEUE.name, ExcludedTimeRanges=[excluded])

    assert up(DETECTOR)[DETECTOR.address].changes == {"MetricTimezone": (None, "Australia/Sydney")}

    (found,) = in_account(aws)
    assert found["Configuration"] == {"ExcludedTimeRanges": [excluded], "MetricTimezone": "Australia/Sydney"}
    assert up(DETECTOR)[DETECTOR.address].action is Action.NO_OP


def test_a_detector_removed_by_hand_is_made_again(aws: Aws, up: Up) -> None:
    up(UNUSUAL)
    remove(DETECTOR, aws)

    assert {address: step.action for address, step in up(UNUSUAL).items()}[DETECTOR.address] is Action.CREATE
    assert {step.action for step in up(UNUSUAL).values()} == {Action.NO_OP}


@pytest.mark.parametrize(
    ("queue", "metric", "stat"),
    [
        ("their-queue", AGE[1], AGE[2]),
        ("orderops-dev-shop-queue-of-theirs", AGE[1], AGE[2]),
        (QUEUE.name, "NumberOfMessagesSent", "Sum"),
        (QUEUE.name, AGE[1], "Maximum"),
    ],
)
def test_a_detector_of_another_team_is_not_ours(aws: Aws, up: Up, queue: str, metric: str, stat: str) -> None:
    aws.sqs.create_queue(QueueName="orderops-dev-shop-queue-of-theirs")
    up(QUEUE)

    by_hand(aws, queue, metric, stat)

    assert listed(aws) == []


def test_the_queue_says_to_which_environment_a_detector_belongs(aws: Aws, up: Up) -> None:
    other = SqsQueue("orderops-dev-two-shop-queue")
    up(DETECTOR)
    up(replace(DETECTOR, name=f"{other.name}/{AGE[1]}", source=other), environment="dev-two")

    assert listed(aws) == [DETECTOR.name]
    assert listed(aws, "dev-two") == ["orderops-dev-two-shop-queue/ApproximateAgeOfOldestMessage"]


def test_a_detector_of_a_metric_of_another_account_is_not_ours(aws: Aws, up: Up) -> None:
    up(DETECTOR)
    single = {**in_account(aws)[0]["SingleMetricAnomalyDetector"], "AccountId": "9" * 12}
    aws.cloudwatch.put_anomaly_detector(SingleMetricAnomalyDetector=single)

    remove(DETECTOR, aws)

    assert [found["SingleMetricAnomalyDetector"] for found in in_account(aws)] == [single]


@pytest.mark.parametrize("call", range(5))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("cloudwatch", after=call), pytest.raises(PowerCut):
        up(UNUSUAL)

    up(UNUSUAL)

    assert {step.action for step in up(UNUSUAL).values()} == {Action.NO_OP}
    assert [found["Configuration"] for found in in_account(aws)] == [{"MetricTimezone": "Australia/Sydney"}]


@pytest.mark.parametrize("call", range(6))
def test_a_removal_interrupted_at_any_call_is_completed_by_the_next(
    aws: Aws, up: Up, power_cut: Fault, call: int
) -> None:
    up(UNUSUAL)
    with power_cut("cloudwatch", after=call), suppress(PowerCut):
        remove_both(aws)

    remove_both(aws)

    assert in_account(aws) == []
    assert aws.cloudwatch.describe_alarms()["MetricAlarms"] == []


def remove_both(aws: Aws) -> None:
    """Remove the alarm and its detector, as `down` and `--prune` do."""
    inventory = Inventory(aws, "dev", [CloudwatchAlarm, CloudwatchAnomalyDetector])
    list(destroy(inventory.existing([UNUSUAL, DETECTOR]), inventory, limits=QUICK))


def test_every_band_of_a_rule_is_one_that_is_found_again() -> None:
    banded = [rule for rule in RULES if rule.band]

    for rule in banded:
        (measure,) = rule.measures.values()
        assert (measure.namespace, measure.metric, measure.statistic) in {metric[:3] for metric in MADE}
    assert len(banded) == len(MADE)
