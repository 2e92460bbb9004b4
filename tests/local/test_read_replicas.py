"""A read replica on a laptop from the environment file to its removal, with the real PostgreSQL and service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import psycopg
import pytest

from support.laptop import until
from support.order_client import LaptopEnvironment, laptop_environment

pytestmark = pytest.mark.slow

NAME = "orderops-local-database-replica-1"
FILE = 'sslmode = "disable"'


@pytest.fixture(scope="module")
def laptop() -> Iterator[LaptopEnvironment]:
    with laptop_environment(**{FILE: f'{FILE}\nmaster = "own"\nreplicas = 0'}) as environment:
        yield environment


def declare(laptop: LaptopEnvironment, count: int) -> None:
    file = laptop.folder / "environments" / "local.toml"
    before = file.read_text()
    number = before.partition("replicas = ")[2][0]
    file.write_text(before.replace(f"replicas = {number}", f"replicas = {count}"))


def changes(laptop: LaptopEnvironment) -> list[str]:
    plan: dict[str, Any] = laptop("infra", "plan", "--json").json
    return [step["address"] for step in plan["steps"] if step["action"] != "no-op"]


def replica_dsn(laptop: LaptopEnvironment) -> str:
    where = laptop("local", "status", "--json").json["databases"][NAME]
    return psycopg.conninfo.make_conninfo(laptop.dsn(), host=where["host"], port=where["port"])


def component(laptop: LaptopEnvironment) -> dict[str, Any]:
    found = laptop("status", "--json", fails=True).json["components"]
    return next(part for part in found if part["name"] == "replica 1")


def ids(dsn: str) -> list[int]:
    with psycopg.connect(dsn) as session:
        return [row[0] for row in session.execute("select id from replicated order by id")]


def test_a_replica_is_added_falls_behind_is_promoted_and_removed(laptop: LaptopEnvironment) -> None:
    write(laptop, "create table replicated as select 1 as id")
    declare(laptop, 1)
    assert f"rds-read-replica/{NAME}" in changes(laptop)

    laptop("up")

    assert changes(laptop) == []
    dsn = replica_dsn(laptop)
    write(laptop, "insert into replicated values (2)")
    within(lambda: ids(dsn) == [1, 2], "the replica has the rows")
    with psycopg.connect(dsn) as session, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        session.execute("insert into replicated values (3)")
    within(lambda: component(laptop)["state"] == "ok", "its lag is measured")

    laptop("local", "replay", NAME, "--pause")
    write(laptop, "insert into replicated values (3)")
    assert ids(dsn) == [1, 2]
    laptop("local", "replay", NAME, "--resume")
    within(lambda: ids(dsn) == [1, 2, 3], "it catches up")

    promoted = laptop("restore", "promote", NAME, "--yes")
    assert f"lost would be what {NAME} has not received: 0 ms, 0 bytes of log" in promoted.err
    assert f"the service answers from {NAME}" in promoted.err
    assert ids(laptop.dsn()) == [1, 2, 3]
    write(laptop, "insert into replicated values (4)")
    laptop("up")
    assert changes(laptop) == []
    assert component(laptop)["state"] == "ok"

    declare(laptop, 0)
    laptop("up", "--prune")
    assert changes(laptop) == []
    former = "orderops-local-database"
    assert set(laptop("local", "status", "--json").json["databases"]) == {NAME, former}
    laptop("down", "--confirm", NAME, "--confirm", former)
    assert laptop("local", "status", "--json").json["databases"] == {}


def test_a_replica_of_a_database_that_was_deleted_takes_its_place(laptop: LaptopEnvironment) -> None:
    declare(laptop, 1)
    laptop("up")
    write(laptop, "create table kept as select 1 as id")
    dsn = replica_dsn(laptop)
    rds(laptop).delete_db_instance(DBInstanceIdentifier="orderops-local-database", SkipFinalSnapshot=True)
    within(lambda: set(laptop("local", "status", "--json").json["databases"]) == {NAME}, "the database is gone")

    promoted = laptop("restore", "promote", NAME, "--yes")

    assert f"the service answers from {NAME}" in promoted.err
    with psycopg.connect(laptop.dsn()) as session:
        assert session.execute("select id from kept").fetchall() == [(1,)]
    assert psycopg.conninfo.conninfo_to_dict(laptop.dsn())["port"] == psycopg.conninfo.conninfo_to_dict(dsn)["port"]
    laptop("up")
    assert changes(laptop) == []


def rds(laptop: LaptopEnvironment) -> Any:
    variables = laptop("local", "env", "--json").json
    session = boto3.Session(
        variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"], region_name=variables["AWS_REGION"]
    )
    return session.client("rds", endpoint_url=variables["AWS_ENDPOINT_URL"])


def write(laptop: LaptopEnvironment, statement: str) -> None:
    with psycopg.connect(laptop.dsn()) as session:
        session.execute(statement)


def within(condition: Callable[[], bool], what: str) -> None:
    until(condition, what=what)
