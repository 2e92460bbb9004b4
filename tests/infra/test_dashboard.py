"""The dashboard of an environment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from orderops.config.environment import Environment
from orderops.engine.resource import Observed, Outputs
from orderops.infra.stack import Stack, stack
from support.paging_account import ACCOUNT, REGION, aws_at, paging_server

WORKER = {"works_for": "shop", "role": "worker", "max_tasks": 1}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with paging_server() as url:
        yield url


def declared(dashboard: bool | None = None, *, protected: bool = False) -> Stack:
    table: dict[str, Any] = {
        "name": "live",
        "database": {"deletion_protection": True},
        "balancer": {"deletion_protection": True},
        "services": {"shop": {"image": "shop:1", "strategy": "blue-green", "max_tasks": 1}, "mail": WORKER},
        "alerts": {"anomaly_detection": True}
        if dashboard is None
        else {"anomaly_detection": True, "dashboard": dashboard},
        "protected": protected,
    }
    return stack(Environment.model_validate(table), ACCOUNT)


@pytest.mark.parametrize(
    ("dashboard", "protected", "number"),
    [(None, False, 0), (None, True, 1), (True, False, 1), (False, True, 0)],
)
def test_a_protected_environment_has_a_dashboard_unless_the_file_says_otherwise(
    dashboard: bool | None, protected: bool, number: int
) -> None:
    assert len(declared(dashboard, protected=protected).dashboards) == number


def test_the_dashboard_shows_every_part_and_is_taken_without_a_warning(url: str) -> None:
    found, outputs = declared(True), Outputs(REGION, ACCOUNT)
    (board,) = found.dashboards
    for need in board.needs():
        outputs[need] = Observed("x", {"ArnSuffix": f"app/{need.name}/1"}, arn=f"arn:{need.name}")
    body = board.desired(outputs)["Body"]

    answer = aws_at(url).cloudwatch.put_dashboard(DashboardName=board.name, DashboardBody=json.dumps(body))

    assert answer["DashboardValidationMessages"] == []
    assert board.name == "orderops-live-ap-southeast-2"
    text = json.dumps(body)
    for word in ("p0-outage", "p95", "HTTPCode_ELB_5XX_Count", "shop-queue", "shop-dlq", "live-database", "live-mail"):
        assert word in text, word
    assert "(known after apply)" not in text
    graphs = [widget["properties"] for widget in body["widgets"] if "annotations" in widget["properties"]]
    assert [graph["title"] for graph in graphs] == ["balancer-latency-unusual", "shop-queue-age-unusual"]
    assert graphs[0]["annotations"] == {"alarms": ["arn:orderops-live-balancer-latency-unusual"]}
