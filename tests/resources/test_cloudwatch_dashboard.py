from __future__ import annotations

import json
from collections.abc import Iterator

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.step import Action
from orderops.local.strict.delays import Delays
from orderops.resources.cloudwatch_alarm import CloudwatchAlarm, Metric
from orderops.resources.cloudwatch_dashboard import CloudwatchDashboard, DashboardWidget
from support.contract import Up, keeps_its_promises
from support.strict_account import strict_account, strict_aws
from support.strict_clients import Client

REGION = "ap-southeast-2"
BUSY = CloudwatchAlarm(
    "orderops-dev-busy", "x", namespace="AWS/SQS", metric="x", statistic="Sum", threshold=1, topic=None
)
REQUESTS = Metric("AWS/ApplicationELB", "RequestCount", "Sum", {"LoadBalancer": "app/x/1"})
SHOWN = (DashboardWidget("Alarms", alarms=(BUSY,), width=24), *[DashboardWidget("Requests", (REQUESTS,))] * 4)
BOARD = CloudwatchDashboard("orderops-dev-ap-southeast-2", REGION, SHOWN)


@pytest.fixture(scope="module")
def account() -> Iterator[Client]:
    with strict_account(Delays(alarm=0)) as client:
        yield client


@pytest.fixture
def aws(account: Client, session: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """Dashboards of the strict emulator have tags, and are checked."""
    return strict_aws(account, monkeypatch)


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(BOARD, aws, up, widgets=SHOWN[:2])


def test_a_body_of_other_spelling_is_no_difference_and_a_moved_widget_is(aws: Aws, up: Up) -> None:
    up(BOARD)
    body = json.loads(aws.cloudwatch.get_dashboard(DashboardName=BOARD.name)["DashboardBody"])
    aws.cloudwatch.put_dashboard(DashboardName=BOARD.name, DashboardBody=json.dumps(body, indent=4, sort_keys=True))
    assert up(BOARD)[BOARD.address].action is Action.NO_OP

    body["widgets"][1]["x"] = 16
    aws.cloudwatch.put_dashboard(DashboardName=BOARD.name, DashboardBody=json.dumps(body))

    assert up(BOARD)[BOARD.address].action is Action.UPDATE
    assert up(BOARD)[BOARD.address].action is Action.NO_OP


def test_widgets_stand_in_rows_of_24_columns(aws: Aws, up: Up) -> None:
    up(BOARD)

    answer = aws.cloudwatch.get_dashboard(DashboardName=BOARD.name)
    places = [(widget["x"], widget["y"]) for widget in json.loads(answer["DashboardBody"])["widgets"]]
    assert places == [(0, 0), (0, 6), (8, 6), (16, 6), (0, 12)]


def test_the_dashboard_of_another_region_is_left_alone(aws: Aws, up: Up) -> None:
    body = json.dumps({"widgets": []})
    aws.cloudwatch.put_dashboard(DashboardName="orderops-dev-us-east-1", DashboardBody=body)

    assert [board.name for board in CloudwatchDashboard.listing(aws, Ownership("dev"))] == []
    up(BOARD)
    assert [board.name for board in CloudwatchDashboard.listing(aws, Ownership("dev"))] == [BOARD.name]
