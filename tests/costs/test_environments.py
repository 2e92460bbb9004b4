"""`orderops env cost` of the shipped environments, against sums worked out here from prices and resources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.command_line import Orderops
from support.repository import ENVIRONMENTS

HOURS = 730
NAT = HOURS * 0.059 + HOURS * 0.005  # 43.07 for the gateway and 3.65 for its public address
BALANCER, ADDRESS = HOURS * 0.0252, HOURS * 0.005  # 18.396, and 3.65 for the address in each zone
LOGIN_SECRETS = 2 * 0.40  # the services' login, and the pointer to the database
MASTER_SECRET = 0.40  # that RDS keeps
SCALING = 2 * 0.10  # the alarms of target tracking


def task(vcpu: float, gb: float) -> float:
    return HOURS * (vcpu * 0.04856 + gb * 0.00532)


def polls(tasks: int, seconds: int = 5) -> float:
    """USD for the calls of SQS that find nothing, after the first million."""
    return max(0.0, tasks * HOURS * 3600 / seconds / 1e6 - 1) * 0.40


# 9 alarms on one metric, 1 on an expression of one, 5 on expressions of two, and 2 composites.
ALARMS = 0.10 * (9 + 1 + 5 * 2) + 2 * 0.50
BANDS = 2 * 0.30
DEV = (
    1 * NAT
    + BALANCER + 2 * ADDRESS
    + HOURS * 0.028 + 20 * 0.138  # db.t3.micro and its storage
    + LOGIN_SECRETS + MASTER_SECRET
    + ALARMS + SCALING
)  # fmt: skip
STAGING = (
    2 * NAT
    + BALANCER + 2 * ADDRESS
    + 2 * HOURS * 0.112 + 2 * 50 * 0.138  # db.t3.medium with a standby
    + LOGIN_SECRETS + MASTER_SECRET
    + ALARMS + BANDS + SCALING
)  # fmt: skip
PROD = (
    3 * NAT
    + BALANCER + 3 * ADDRESS
    + 2 * HOURS * 0.20 + 2 * 100 * 0.138  # db.m6g.large with a standby
    + LOGIN_SECRETS + MASTER_SECRET + 0.40  # and the token of the orders
    + ALARMS + BANDS + SCALING
    + 5.00 + 6 * 1.00  # the web ACL: four groups of AWS, the rate and the size of bodies
    + 0.10 * 2  # its alarm, on an expression of two metrics
)  # fmt: skip
# Tasks at the lowest and at the highest scaling, and storage that has grown to its limit, twice with a standby.
SUMS = {
    "dev": (DEV + task(0.25, 0.5) + polls(1), DEV + 5 * task(0.25, 0.5) + polls(5)),
    "staging": (
        STAGING + 2 * task(0.5, 1) + polls(2),
        STAGING + 6 * task(0.5, 1) + polls(6) + 2 * (200 - 50) * 0.138,
    ),
    "prod": (
        PROD + 3 * task(1, 2) + polls(3),
        PROD + 12 * task(1, 2) + polls(12) + 2 * (500 - 100) * 0.138,
    ),
}


@pytest.fixture
def orderops(capsys: pytest.CaptureFixture[str]) -> Orderops:
    return Orderops(capsys, "--environments", str(ENVIRONMENTS))


@pytest.fixture
def bare(capsys: pytest.CaptureFixture[str]) -> Orderops:
    return Orderops(capsys)


@pytest.mark.parametrize("name", SUMS)
def test_an_environment_costs_the_sum_of_its_resources(orderops: Orderops, name: str) -> None:
    cost = orderops("env", "cost", "--env", name, "--json").json

    assert (cost["usd"], cost["usd_most"]) == pytest.approx(SUMS[name], abs=0.001)
    assert cost["prices_of"] == "2026-11-28"
    assert cost["usd"] == pytest.approx(sum(line["usd"] for line in cost["lines"]), abs=0.01)


def test_dev_costs_about_a_hundred_and_ten_dollars_before_traffic(orderops: Orderops) -> None:
    said = orderops("env", "cost", "--env", "dev")

    assert "110.82 to 154.69  USD a month for dev without traffic" in said.out
    assert "prices of 2026-11-28, ap-southeast-2" in said.err


def test_traffic_adds_what_depends_on_it(orderops: Orderops) -> None:
    requests = 3_000_000
    a_second = requests / (HOURS * 3600)
    # The connections that stay open for 60 s weigh less than the new ones: 25 a second and 3,000 open make an LCU.
    units = max(a_second / 25, a_second * 60 / 3000, requests * 8 / 1e6 / HOURS)
    added = (
        units * 0.008 * HOURS
        + requests * 8 / 1e6 * 0.059  # GB through the NAT gateway
        + requests / 1e6 * 0.67 + requests / 1e6 * 7 / 30 * 0.033  # GB of log, kept for 7 days
        + (1 * HOURS * 3600 / 5 + 3 * requests - 1e6) / 1e6 * 0.40  # calls of SQS: three a message, and the polls
    )  # fmt: skip

    quiet, busy = (
        orderops("env", "cost", "--env", "dev", *words, "--json").json for words in ((), ("--traffic", "3M"))
    )

    assert busy["usd"] - quiet["usd"] == pytest.approx(added, abs=0.001)
    assert busy["requests"] == requests


def test_a_firewall_and_an_api_cost_by_request_too(bare: Orderops, tmp_path: Path) -> None:
    text = (ENVIRONMENTS / "dev.toml").read_text()
    groups = 'managed_groups = ["common", "bots"]'
    (tmp_path / "dev.toml").write_text(f'{text}\n[waf]\nenabled = true\n{groups}\n[api]\ntype = "http"\n')

    where = ("--environments", str(tmp_path), "--traffic", "3M", "--json")
    lines = bare("env", "cost", "--env", "dev", *where).json["lines"]

    def of(kind: str) -> list[tuple[str, Any]]:
        return [(line["sort"], line["usd"]) for line in lines if line["address"].startswith(f"{kind}/")]

    # Two groups, the rate and the size of bodies.
    assert of("wafv2-web-acl") == [("priced", 9.0), ("usage", pytest.approx(3 * 0.60)), ("unknown", 0.0)]
    assert of("apigatewayv2-api") == [("usage", pytest.approx(3 * 1.29))]
    # The load balancer is internal, and so has no public address.
    assert ("priced", pytest.approx(HOURS * 0.0252)) in of("elbv2-load-balancer")
    assert ("priced", pytest.approx(2 * HOURS * 0.005)) not in of("elbv2-load-balancer")


def test_data_out_is_charged_after_the_first_hundred_gigabytes(orderops: Orderops) -> None:
    lines = orderops("env", "cost", "--env", "dev", "--traffic", "50M", "--json").json["lines"]

    [out] = [line for line in lines if line["what"].startswith("data out")]
    assert out["usd"] == pytest.approx((50e6 * 4 / 1e6 - 100) * 0.114)


def test_what_is_unknown_or_depends_on_use_is_named(orderops: Orderops) -> None:
    lines = orderops("env", "cost", "--env", "prod", "--json").json["lines"]

    sorts = {line["address"].partition("/")[0]: line["sort"] for line in lines}
    assert sorts["ecs-cluster"] == "unknown"
    assert sorts["ecr-repository"] == sorts["s3-bucket"] == sorts["sns-topic"] == sorts["logs-group"] == "usage"
    assert sorts["ec2-vpc"] == sorts["iam-role"] == sorts["cloudwatch-dashboard"] == "free"


def test_an_amount_with_a_derived_price_has_no_cents(orderops: Orderops) -> None:
    said = orderops("env", "cost", "--env", "prod")

    assert "about 320 to 430  rds-instance/orderops-prod-database" in said.out
    assert "about 636 to 1,137  USD a month for prod" in said.out
    assert "within about 20 %" in said.err


def test_the_laptop_costs_nothing(orderops: Orderops) -> None:
    assert orderops("env", "cost", "--env", "local", "--json").json["usd_most"] == 0


def test_a_comparison_names_what_differs_resource_by_resource(orderops: Orderops) -> None:
    found = orderops("env", "cost", "--env", "dev", "--compare", "staging", "--json").json

    by_address = {item["address"]: item["usd"] for item in found["differences"]}
    assert by_address["rds-instance/orderops-ENV-database"] == pytest.approx(
        2 * HOURS * 0.112 + 2 * 50 * 0.138 - HOURS * 0.028 - 20 * 0.138
    )
    assert by_address["ec2-nat-gateway/orderops-ENV-nat-b"] == pytest.approx(HOURS * 0.059)
    assert "elbv2-load-balancer/orderops-ENV-balancer" not in by_address
    assert sum(by_address.values()) == pytest.approx(SUMS["staging"][0] - SUMS["dev"][0], abs=0.001)


@pytest.mark.parametrize("traffic", ["many", "-3", "3T", "3 000", ""])
def test_a_number_of_requests_that_is_none_is_refused(orderops: Orderops, traffic: str) -> None:
    said = orderops("env", "cost", "--env", "dev", "--traffic", traffic)

    assert said.code == 2
    assert "is not a number of requests; write 250k, 3M or 1.5M" in " ".join(said.err.replace("│", " ").split())


@pytest.mark.parametrize(
    ("before", "after", "key", "more"),
    [
        ('instance_class = "db.t3.micro"', 'instance_class = "db.r7g.large"', "no price of db.r7g.large", None),
        ("multi_az = false", "multi_az = true", "usd", 23.20),
        ("multi_az = false", 'multi_az = false\nmaster = "own"\nreplicas = 2', "usd", 46.40),
    ],
    ids=["class-without-price", "standby", "replicas"],
)
def test_a_database_costs_what_its_servers_cost(
    bare: Orderops, tmp_path: Path, before: str, after: str, key: str, more: float | None
) -> None:
    text = (ENVIRONMENTS / "dev.toml").read_text()
    assert before in text
    (tmp_path / "dev.toml").write_text(text.replace(before, after))

    cost = bare("env", "cost", "--env", "dev", "--environments", str(tmp_path), "--json").json

    if more is None:
        [unknown] = [line["what"] for line in cost["lines"] if line["what"].startswith(key)]
        assert unknown == f"{key} in ap-southeast-2 in the table of 2026-11-28"
        return
    # The secret of a password that orderops keeps takes the place of the one of RDS; each replica has two alarms.
    alarms = sum(line["usd"] for line in cost["lines"] if line["address"].startswith("cloudwatch-alarm/")) - 2.00
    assert cost["usd"] - alarms == pytest.approx(SUMS["dev"][0] + more, abs=0.001)


def test_nothing_is_estimated_for_a_region_without_prices(bare: Orderops, tmp_path: Path) -> None:
    text = (ENVIRONMENTS / "dev.toml").read_text()
    (tmp_path / "dev.toml").write_text(f'region = "eu-west-1"\n{text}')

    said = bare("env", "cost", "--env", "dev", "--environments", str(tmp_path), "--traffic", "3M")

    assert "0.00  USD a month for dev" in said.out
    assert "no price of nat in eu-west-1" in said.out
    assert "the table has no prices of eu-west-1" in said.err
