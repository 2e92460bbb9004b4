"""The class of an instance decides how many connections its server takes; another class restarts the server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from orderops.local.rds.classes import connections_of
from support.laptop import Laptop
from support.laptop_restores import remove

# What `SHOW max_connections` answered on RDS, by the memory of the class in GiB: public reports.
SEEN = {"db.t3.small": 198, "db.t4g.medium": 413, "db.m6g.large": 856}


@pytest.fixture(scope="module")
def name(laptop: Laptop) -> Iterator[str]:
    database: str = laptop.create_database()["DBInstanceIdentifier"]
    yield database
    remove(laptop, database)


def limit(laptop: Laptop, name: str) -> int:
    with laptop.connect(laptop.database(name)) as session:
        row = session.execute("SHOW max_connections").fetchone()
    return int(row[0]) if row else 0


def scale(laptop: Laptop, name: str, instance_class: str, **settings: Any) -> None:
    laptop.client("rds").modify_db_instance(DBInstanceIdentifier=name, DBInstanceClass=instance_class, **settings)
    laptop.wait_for_database(name, "available")


@pytest.mark.parametrize("instance_class", SEEN)
def test_a_class_has_about_the_connections_that_servers_of_it_have_shown(instance_class: str) -> None:
    assert 0.95 * SEEN[instance_class] < connections_of(instance_class) <= SEEN[instance_class]


def test_a_large_class_stays_within_this_machine_and_an_unknown_one_has_the_default() -> None:
    assert connections_of("db.r6g.16xlarge") == connections_of("db.m6g.2xlarge") == 1000
    assert connections_of("db.m6g.large") < connections_of("db.r6g.large") == connections_of("db.m6g.xlarge")
    assert {connections_of(name) for name in ("db.z1d.large", "db.m6g.micro", "db.t3.huge", "other")} == {100}


def test_another_class_ends_sessions_and_the_server_takes_as_many_as_its_memory_allows(
    laptop: Laptop, name: str
) -> None:
    before, session = limit(laptop, name), laptop.connect(laptop.database(name))

    scale(laptop, name, "db.t3.small", ApplyImmediately=True)

    assert (before, limit(laptop, name)) == (85, 192)
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    assert laptop.database(name)["DBInstanceClass"] == "db.t3.small"


def test_a_class_for_the_maintenance_window_interrupts_nothing(laptop: Laptop, name: str) -> None:
    session = laptop.connect(laptop.database(name))

    scale(laptop, name, "db.t3.medium", ApplyImmediately=False)

    session.execute("SELECT 1")
    session.close()
    assert laptop.database(name)["PendingModifiedValues"] == {"DBInstanceClass": "db.t3.medium"}
    assert limit(laptop, name) == 192
