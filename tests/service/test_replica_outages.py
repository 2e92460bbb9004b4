"""The process of the service under load, with a replica to which everything happens that can happen to one.

Whatever it is, no request fails, and no list lacks what was written before the limit.
"""

from __future__ import annotations

import time

import pytest

from support.reading_clients import ReadingClients, counted, lines_about_replicas, reading
from support.service_process import Running, Start, World, until
from support.standby import HAPPENINGS, StandbyServer

LIMIT = 2
# Seconds under load before and after what happens.
STEADY_SECONDS = 2.0


def said_of_replicas(service: Running) -> list[str]:
    return [words for _, words in lines_about_replicas(service)]


def until_counted(service: Running, metric: str) -> None:
    before = counted(service, metric)
    until(lambda: counted(service, metric) > before, f"{metric} to be counted")


@pytest.fixture
def service(world: World, start: Start, standby: StandbyServer) -> Running:
    """Service that uses its replica."""
    world.set_database_secret(replicas=[standby.place])
    running = start(DATABASE_MAX_LAG_SECONDS=str(LIMIT), METRICS_SECONDS="1")
    until(lambda: said_of_replicas(running) == ["is used"], "the replica to be used")
    return running


def test_a_process_uses_its_replica_and_closes_its_connections_at_the_end(
    world: World, service: Running, standby: StandbyServer
) -> None:
    sessions = f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{world.name}'".encode()
    service.get("/orders")

    with standby.connect() as session:
        # As many as its pool has.
        until(lambda: session.execute(sessions).fetchone() == (4,), "all connections")
        assert service.end() == 0
        until(lambda: session.execute(sessions).fetchone() == (0,), "them to be closed")
    assert counted(service, "ReplicaReads") == 1


def test_a_process_with_a_limit_of_0_asks_no_replica(world: World, start: Start, standby: StandbyServer) -> None:
    world.set_database_secret(replicas=[standby.place])
    service = start(DATABASE_MAX_LAG_SECONDS="0")
    assert service.get("/users").status_code == 200

    service.end()

    assert said_of_replicas(service) == []


def check(clients: ReadingClients) -> None:
    assert clients.failed() == []
    assert clients.too_old(LIMIT) == []


@pytest.mark.slow
@pytest.mark.parametrize("happening", HAPPENINGS)
def test_no_request_fails_and_no_list_is_too_old_when_a_replica_goes_away(
    world: World, service: Running, standby: StandbyServer, happening: str
) -> None:
    with world.session() as session, reading(service, session) as clients:
        until_counted(service, "ReplicaReads")
        time.sleep(STEADY_SECONDS)
        with HAPPENINGS[happening](standby):
            until(lambda: len(said_of_replicas(service)) == 2, "the replica to be left out")
            until_counted(service, "ReplicaFallbacks")
            time.sleep(STEADY_SECONDS)
        until(lambda: len(said_of_replicas(service)) == 3, "the replica to be used again")
        until_counted(service, "ReplicaReads")
        time.sleep(STEADY_SECONDS)

    check(clients)
    _, left, back = said_of_replicas(service)
    assert left.startswith("is not used: ")
    assert back.startswith("is used again after ")
    for part in (standby.port, "127.0.0.1"):
        assert str(part) not in service.get("/ready").text + service.get("/orders").text


@pytest.mark.slow
def test_no_request_fails_when_a_replica_is_taken_out_of_the_pointer(
    world: World, service: Running, standby: StandbyServer
) -> None:
    with world.session() as session, reading(service, session) as clients:
        until_counted(service, "ReplicaReads")
        world.set_database_secret()
        until(lambda: "is no longer named by the pointer" in said_of_replicas(service), "the pointer to be read")
        standby.stop_immediately()
        time.sleep(STEADY_SECONDS)

    check(clients)
    assert counted(service, "ReplicaFallbacks") == 0


@pytest.mark.slow
def test_a_thousand_orders_are_known_as_soon_as_they_are_placed_although_the_replica_is_behind(
    world: World, start: Start, standby: StandbyServer
) -> None:
    world.set_database_secret(replicas=[standby.place])
    service = start(ORDEROPS_ROLE="both", DATABASE_MAX_LAG_SECONDS="3600", METRICS_SECONDS="1")
    until(lambda: said_of_replicas(service) == ["is used"], "the replica to be used")
    standby.pause_replay()

    found, listed = 0, 0
    for _ in range(1000):
        order = service.place().json()
        found += service.get(order["href"]).status_code == 200
        listed += order["id"] in service.get("/orders?limit=1").text

    assert found == 1000
    # The replica was used, and it was behind.
    assert listed == 0
    assert said_of_replicas(service) == ["is used"]
