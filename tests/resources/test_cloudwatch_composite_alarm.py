from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.destroy import destroy
from orderops.engine.inventory import Inventory
from orderops.engine.resource import Resource
from orderops.engine.step import Action
from orderops.local.strict.delays import Delays
from orderops.resources.cloudwatch_alarm import CloudwatchAlarm
from orderops.resources.cloudwatch_composite_alarm import CloudwatchCompositeAlarm, let_go
from orderops.resources.sns_topic import SnsTopic
from support.contract import Up, keeps_its_promises
from support.emulated_account import QUICK
from support.strict_account import strict_account, strict_aws
from support.strict_clients import Client

ALERTS = SnsTopic("orderops-dev-alerts")
FIRST, SECOND = (
    CloudwatchAlarm(
        f"orderops-dev-{word} (1)", "x", namespace="AWS/SQS", metric="x", statistic="Sum", threshold=1, topic=None
    )
    for word in ("one", "two")
)
OUTAGE = CloudwatchCompositeAlarm("orderops-dev-outage", "an outage", (FIRST, SECOND), ALERTS)
ERRORS = CloudwatchCompositeAlarm("orderops-dev-errors", "errors", (SECOND,), ALERTS, OUTAGE, wait=60, extension=300)


@pytest.fixture(scope="module")
def account() -> Iterator[Client]:
    with strict_account(Delays(alarm=0)) as client:
        yield client


@pytest.fixture
def aws(account: Client, session: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """Composite alarms are the strict emulator's: moto has none."""
    return strict_aws(account, monkeypatch)


@pytest.mark.parametrize("alarm", [OUTAGE, ERRORS], ids=["plain", "with a suppressor"])
def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up, alarm: CloudwatchCompositeAlarm) -> None:
    keeps_its_promises(alarm, aws, up, children=(FIRST,), description="other words")


def test_alarms_that_leave_are_taken_out_of_the_rules_that_name_them(aws: Aws, up: Up) -> None:
    up(OUTAGE, ERRORS)

    assert sorted(let_go(aws, Ownership("dev"), {SECOND.name})) == [ERRORS.address, OUTAGE.address]
    assert list(let_go(aws, Ownership("dev"), {SECOND.name})) == []

    found = {alarm.name: alarm.properties for alarm in CloudwatchCompositeAlarm.listing(aws, Ownership("dev"))}
    assert found[OUTAGE.name]["AlarmRule"] == 'ALARM("orderops-dev-one (1)")'
    assert found[ERRORS.name]["AlarmRule"] == "FALSE"
    assert found[ERRORS.name]["ActionsSuppressorWaitPeriod"] == 60
    aws.cloudwatch.delete_alarms(AlarmNames=[SECOND.name])
    assert {step.action for step in up(OUTAGE, ERRORS).values()} == {Action.NO_OP, Action.CREATE, Action.UPDATE}
    assert {step.action for step in up(OUTAGE, ERRORS).values()} == {Action.NO_OP}


def test_a_suppressor_can_be_taken_away(aws: Aws, up: Up) -> None:
    keeps_its_promises(ERRORS, aws, up, suppressor=None)


def test_a_child_of_a_composite_alarm_has_no_actions(aws: Aws, up: Up) -> None:
    up(OUTAGE)

    raw = aws.cloudwatch.describe_alarms(AlarmNames=[FIRST.name])["MetricAlarms"][0]
    assert (raw["AlarmActions"], raw["OKActions"]) == ([], [])


def test_drift_is_repaired(aws: Aws, up: Up) -> None:
    up(OUTAGE)
    aws.cloudwatch.put_composite_alarm(AlarmName=OUTAGE.name, AlarmRule="FALSE", ActionsEnabled=False)

    up(OUTAGE, adopt=[OUTAGE.address])

    raw = aws.cloudwatch.describe_alarms(AlarmNames=[OUTAGE.name], AlarmTypes=["CompositeAlarm"])["CompositeAlarms"][0]
    assert raw["AlarmRule"] == 'ALARM("orderops-dev-one (1)") OR ALARM("orderops-dev-two (1)")'
    assert (raw["ActionsEnabled"], len(raw["AlarmActions"]), len(raw["OKActions"])) == (True, 1, 1)


def test_alarms_that_depend_on_each_other_are_deleted_together(aws: Aws, up: Up) -> None:
    up(ERRORS)
    kinds: tuple[type[Resource], ...] = (CloudwatchAlarm, CloudwatchCompositeAlarm)
    inventory = Inventory(aws, "dev", kinds)

    steps = list(destroy(inventory.existing([FIRST, SECOND, OUTAGE, ERRORS]), inventory, limits=QUICK))

    assert {step.address for step in steps if step.action is Action.DELETE} == {
        resource.address for resource in (FIRST, SECOND, OUTAGE, ERRORS)
    }
    assert aws.cloudwatch.describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"])["CompositeAlarms"] == []
