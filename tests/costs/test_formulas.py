"""Every kind of resource has a price, or a reason to have none."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

import orderops.resources
from orderops.config.environment import load_environment
from orderops.costs.database import class_change
from orderops.costs.estimate import cost_of
from orderops.costs.formulas import FORMULAS
from orderops.costs.line import MonthlyTraffic, Sort
from orderops.costs.money import added, money
from orderops.costs.prices import Quality, prices_of
from orderops.engine.resource import UNKNOWN, Resource
from orderops.ui.costs import show_cost
from support.repository import ENVIRONMENTS

PRICES = prices_of("ap-southeast-2")
DEV = load_environment("dev", ENVIRONMENTS)


def kinds() -> Iterator[str]:
    for module in pkgutil.iter_modules(orderops.resources.__path__):
        for value in vars(importlib.import_module(f"orderops.resources.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, Resource) and "kind" in vars(value):
                yield value.kind


def test_every_kind_of_resource_has_a_formula() -> None:
    assert set(kinds()) - FORMULAS.keys() == set()


def test_no_formula_is_of_a_kind_that_does_not_exist() -> None:
    assert FORMULAS.keys() - set(kinds()) == set()


DATABASE = {
    "DBInstanceClass": "db.t3.micro",
    "MultiAZ": False,
    "StorageType": "gp3",
    "AllocatedStorage": 20,
    "MaxAllocatedStorage": None,
}
TASK = {"Cpu": "256", "Memory": "512", "Environment": {"ORDEROPS_ROLE": "both", "POLL_SECONDS": "20"}}
SERVICE = {"LaunchType": "FARGATE", "desiredCount": 2}
METRIC = {"MetricName": "CPUUtilization"}


@pytest.mark.parametrize(
    ("world", "sort", "usd", "what"),
    [
        ({"rds-instance/d": {**DATABASE, "StorageType": "io1"}}, "unknown", 20.44, "storage of type io1"),
        ({"rds-instance/d": {**DATABASE, "Running": False}}, "free", 2.76, "its storage is not"),
        ({"rds-instance/d": {**DATABASE, "DatabaseInsightsMode": "advanced"}}, "unknown", 23.20, "advanced mode"),
        ({"rds-instance/d": {**DATABASE, "AllocatedStorage": UNKNOWN}}, "unknown", 20.44, "AllocatedStorage is not"),
        ({"rds-instance/d": {**DATABASE, "DBInstanceClass": None}}, "unknown", 0, "DBInstanceClass is not known"),
        ({"rds-read-replica/d": {**DATABASE, "MultiAZ": True}}, "priced", 46.40, "2 x 730 h x 0.028"),
        ({"cloudwatch-alarm/a": {**METRIC, "Period": 10}}, "priced", 0.30, "1 metric x 0.30"),
        ({"cloudwatch-alarm/a": {"Metrics": {"m": {**METRIC, "Period": 30}}}}, "priced", 0.30, "1 metric x 0.30"),
        ({"cloudwatch-alarm/a": {**METRIC, "Period": 60}}, "priced", 0.10, "1 metric x 0.10"),
        ({"ecs-cluster/c": {"containerInsights": "disabled"}}, "free", 0, "a cluster itself"),
        ({"ecs-cluster/c": {"containerInsights": "enhanced"}}, "unknown", 0, "0.30 USD a metric"),
        (
            {"ecs-service/s": {**SERVICE, "LaunchType": None, "Spot": True}, "ecs-task-definition/s": TASK},
            "unknown",
            0,
            "only Fargate on demand",
        ),
        # 2 x (0.25 x 0.04856 + 0.5 x 0.00532) x 730, and fewer calls of SQS than are free.
        ({"ecs-service/s": SERVICE, "ecs-task-definition/s": TASK}, "priced", 21.608, "2 to 2 tasks"),
        (
            {"ecs-service/s": SERVICE, "ecs-task-definition/s": {**TASK, "Environment": {"POLL_SECONDS": "0"}}},
            "unknown",
            21.608,
            "asks for messages without waiting",
        ),
        ({"ecs-service/s": SERVICE}, "unknown", 0, "its Cpu is not known"),
        ({"scheduler-schedule/s": {}}, "usage", 0, "its task while it runs: 0.04856"),
        ({"logs-group//orderops/dev/flow-log": {"retentionInDays": 7}}, "usage", 0, "0.67 USD a GB written"),
    ],
)
def test_a_resource_is_priced_or_said_to_be_unknown(
    world: dict[str, dict[str, Any]], sort: str, usd: float, what: str
) -> None:
    cost = cost_of(DEV, world, PRICES)

    assert float(cost.least) == pytest.approx(usd)
    assert [line.what for line in cost.lines if line.sort == Sort(sort) and what in line.what] != []


def test_a_worker_scaled_on_its_queue_has_alarms_on_two_metrics() -> None:
    metrics = [{"MetricStat": {}}, {"MetricStat": {}}, {"Expression": "messages / tasks"}]
    goal = {"CustomizedMetricSpecification": {"Metrics": metrics}}
    world: dict[str, dict[str, Any]] = {"autoscaling-target/w": {"BacklogPerTask": goal}}

    cost = cost_of(DEV, world, PRICES)

    assert cost.least == Decimal("0.40")


def test_a_web_service_asks_the_queue_for_nothing() -> None:
    world: dict[str, dict[str, Any]] = {
        "ecs-service/s": SERVICE,
        "ecs-task-definition/s": {**TASK, "Environment": {"ORDEROPS_ROLE": "web"}},
    }

    [calls] = [line for line in cost_of(DEV, world, PRICES).lines if line.kind == "sqs-requests"]

    assert calls.what.startswith("0.00 million requests")


def test_rules_beyond_ten_weigh_in_the_load() -> None:
    rules: dict[str, dict[str, Any]] = {f"elbv2-rule/{number}": {} for number in range(60)}
    balancer: dict[str, dict[str, Any]] = {
        "elbv2-load-balancer/b": {"Scheme": "internet-facing", "Subnets": ["a", "b"]}
    }
    traffic = MonthlyTraffic(2_628_000_000, PRICES.assumptions)  # 1,000 a second: 40 LCU of connections, 50 of rules

    [load] = [line for line in cost_of(DEV, {**balancer, **rules}, PRICES, traffic).lines if " LCU x" in line.what]

    assert load.least == 50 * 730 * Decimal("0.008")


def test_prices_are_outdated_after_a_year() -> None:
    assert not PRICES.outdated(date(2027, 11, 28))
    assert PRICES.outdated(date(2027, 11, 29))


def test_outdated_prices_are_pointed_out(capsys: pytest.CaptureFixture[str]) -> None:
    for day in (date(2027, 11, 28), date(2027, 11, 29)):
        show_cost("dev", cost_of(DEV, {}, PRICES), None, day)

    assert capsys.readouterr().err.count("the prices are older than a year") == 1


@pytest.mark.parametrize(
    ("now", "wanted", "servers", "words"),
    [
        ("db.t3.micro", "db.t3.small", 1, "+20.44 USD a month (20.44 -> 40.88), prices of 2026-11-28"),
        ("db.t3.medium", "db.t3.micro", 2, "-122.64 USD a month (163.52 -> 40.88), prices of 2026-11-28"),
        ("db.t3.micro", "db.m6g.large", 1, "about +126 USD a month (about 20 -> about 146), prices of 2026-11-28"),
        (
            "db.t3.micro",
            "db.x2g.large",
            1,
            "unknown: no price of db.x2g.large in ap-southeast-2 in the table of 2026-11-28",
        ),
    ],
)
def test_another_class_costs_more_or_less(now: str, wanted: str, servers: int, words: str) -> None:
    assert class_change(PRICES, now, wanted, servers) == words


def test_cents_are_left_out_where_a_price_is_derived() -> None:
    assert money(Decimal("1234.5"), Quality.DERIVED) == "about 1,234"
    assert money(Decimal("1234.5"), Quality.RECALLED) == "1,234.50"
    assert added(Decimal("-3.2"), Quality.PUBLIC) == "-3.20"
    assert added(Decimal("3.2"), Quality.DERIVED) == "about +3"
