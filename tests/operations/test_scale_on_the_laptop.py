"""Another class under a running service, on the laptop: the server restarts, and the time away is counted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import psycopg
import pytest

from support.order_client import LaptopEnvironment, laptop_environment
from support.page_traffic import page_traffic

pytestmark = pytest.mark.slow
LAST_ANSWER = 1.0
"""Seconds for which a request that began in the outage may wait for a connection before it is refused."""


@pytest.fixture(scope="module")
def laptop() -> Iterator[LaptopEnvironment]:
    with laptop_environment() as environment:
        yield environment


def limit(laptop: LaptopEnvironment) -> int:
    with psycopg.connect(laptop.dsn()) as session:
        row = session.execute("SHOW max_connections").fetchone()
    return int(row[0]) if row else 0


def test_no_request_fails_outside_of_the_time_that_is_reported(laptop: LaptopEnvironment) -> None:
    url = laptop("infra", "outputs", "--json").json["load_balancer_url"]
    with page_traffic(f"{url}/users") as traffic:
        done = laptop("database", "scale", "--class", "db.t3.small", "--json").json

    away = done["away"]
    outages = [
        [datetime.fromisoformat(outage[end]).timestamp() for end in ("since", "until")] for outage in away["outages"]
    ]
    outside = [
        (at, problem)
        for at, problem in traffic.failed
        if not any(since <= at <= until + LAST_ANSWER for since, until in outages)
    ]
    assert outside == []
    assert traffic.answered > 20
    assert traffic.failed != []
    assert away["seen_by"] == "/ready of the service"
    assert 0 < away["seconds"] < done["duration_seconds"]
    assert round(sum(until - since for since, until in outages), 1) == round(away["seconds"], 1)


def test_the_server_takes_the_connections_of_its_class(laptop: LaptopEnvironment) -> None:
    # What servers of 1 GiB are planned with, and what one of 2 GiB has shown.
    laptop("database", "scale", "--class", "db.t3.micro")
    assert 65 < limit(laptop) <= 112

    laptop("database", "scale", "--class", "db.t3.small")

    assert 180 < limit(laptop) <= 198


def test_a_repeated_scale_interrupts_nothing(laptop: LaptopEnvironment) -> None:
    laptop("database", "scale", "--class", "db.t3.small")
    with psycopg.connect(laptop.dsn()) as session:
        again = laptop("database", "scale", "--class", "db.t3.small", "--json").json
        session.execute("SELECT 1")

    assert (again["when"], again["applied"], again["away"]) == ("in force", False, None)
    assert 'instance_class = "db.t3.small"' in (laptop.folder / "environments" / "local.toml").read_text()


@pytest.mark.parametrize("access", ["direct", "task"])
def test_the_database_is_read_by_the_way_that_leads_to_it(laptop: LaptopEnvironment, access: str) -> None:
    file = laptop.folder / "environments" / "local.toml"
    text = file.read_text()
    file.write_text(text.replace("[database]", f'[database]\naccess = "{access}"', 1))
    with psycopg.connect(laptop.dsn(), autocommit=True) as session:
        session.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        session.execute("CREATE TABLE IF NOT EXISTS counted AS SELECT generate_series(1, 10) AS number")

    found = laptop("database", "extensions", "--json").json
    analyzed = laptop("database", "analyze", "--json").json
    file.write_text(text)

    assert [item["name"] for item in found["extensions"]] == ["pg_stat_statements"]
    assert (found["prepared"], found["logical_slots"]) == (0, 0)
    assert analyzed["tables"] > 0
    assert analyzed["version"].partition(".")[0] == "18"
