"""Passwords that rotate and change hands under a running service, on the laptop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orderops.local.ports import free_port
from support.order_client import LaptopEnvironment, laptop_environment
from support.page_traffic import page_traffic

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def laptop() -> Iterator[LaptopEnvironment]:
    with laptop_environment(**{"min_tasks = 2": "min_tasks = 1"}) as environment:
        yield environment


def own_master(laptop: LaptopEnvironment) -> None:
    """Take the master password over, unless another test of this process has."""
    file = laptop.folder / "environments" / "local.toml"
    if 'master = "own"' not in file.read_text():
        file.write_text(file.read_text().replace("[database]", '[database]\nmaster = "own"', 1))
        laptop("infra", "apply", "--yes")


def users_url(laptop: LaptopEnvironment) -> str:
    url: str = laptop("infra", "outputs", "--json").json["load_balancer_url"]
    return f"{url}/users"


def test_no_request_fails_while_passwords_rotate_and_change_hands(laptop: LaptopEnvironment) -> None:
    with page_traffic(users_url(laptop)) as traffic:
        users = [laptop("database", "rotate", "--grace", "5s", "--json").json["logins"][0]["user"] for _ in range(3)]
        own_master(laptop)
        rotated = laptop("database", "rotate", "--grace", "5s", "--json").json["logins"]

    assert users == ["orderops_service_b", "orderops_service", "orderops_service_b"]
    assert [(login["login"], login["user"], login["state"]) for login in rotated] == [
        ("master", "orderops", "rotated"),
        ("services", "orderops_service", "rotated"),
    ]
    assert traffic.failed == []
    assert traffic.answered > 200


def test_the_new_master_password_outlives_a_restart_of_the_environment(laptop: LaptopEnvironment) -> None:
    laptop("database", "rotate", "--grace", "0")
    laptop("local", "stop")

    assert laptop("migrate", "info").code == 0
    assert laptop("infra", "plan").code == 0


def test_a_long_grace_is_not_waited_for_and_the_next_run_closes_the_login(laptop: LaptopEnvironment) -> None:
    first = laptop("database", "rotate", "--grace", "24h", "--json").json["logins"][-1]
    again = laptop("database", "rotate", "--dry-run")
    closed = laptop("database", "rotate", "--grace", "0", "--json").json["logins"][-1]

    assert (first["state"], closed["state"]) == ("the login before is open", "rotated")
    assert "the services: the login before the present one is open until" in again.err
    assert closed["user"] == first["user"]


def test_a_database_that_only_tasks_reach_is_rotated_by_one(laptop: LaptopEnvironment) -> None:
    file = laptop.folder / "environments" / "local.toml"
    own_master(laptop)
    file.write_text(file.read_text().replace("[database]", '[database]\naccess = "task"', 1))

    rotated = laptop("database", "rotate", "--grace", "0", "--json").json["logins"]

    assert [(login["login"], login["state"]) for login in rotated] == [("master", "rotated"), ("services", "rotated")]
    run = laptop("history", "--json", "--last", "1").json[0]
    assert run["command"] == "database rotate --grace 0s --env local"
    assert [step["login"] for step in run["steps"] if step.get("action") == "rotated"] == ["master", "services"]


def test_an_instance_with_the_same_master_password_gets_one_that_stays_known(laptop: LaptopEnvironment) -> None:
    """As after the promotion of a replica: both have the password in the secret, and one would keep the old one."""
    own_master(laptop)
    rds = laptop.client("rds")
    [primary] = rds.describe_db_instances(DBInstanceIdentifier="orderops-local-database")["DBInstances"]
    tags = [tag for tag in primary["TagList"] if tag["Key"] == "orderops:master-secret"]
    rds.create_db_instance(
        DBInstanceIdentifier="former",
        DBInstanceClass="db.t3.micro",
        Engine="postgres",
        AllocatedStorage=20,
        MasterUsername="orderops",
        MasterUserPassword="as-in-the-secret",
        Port=free_port(),
        Tags=tags,
    )
    rds.get_waiter("db_instance_available").wait(
        DBInstanceIdentifier="former", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )

    laptop("database", "rotate", "--grace", "0")

    managed = {
        raw["DBInstanceIdentifier"]: bool(raw.get("MasterUserSecret"))
        for raw in rds.describe_db_instances()["DBInstances"]
    }
    assert managed == {"orderops-local-database": False, "former": True}
