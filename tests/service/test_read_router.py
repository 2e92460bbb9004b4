"""Where questions go, with a primary and a standby that streams from it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest

from orderops.local.rds.postgres import PostgresServer
from orderops.local.users import scratch
from orderops.service.circuit import Unusable
from orderops.service.pool import Connection
from support.order_database import CLEANED
from support.routed_reads import RoutedApp, routed
from support.service_process import WAIT_SECONDS, until
from support.standby import StandbyServer

POOL_SIZE = 4
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'order-processor'"


@pytest.fixture
def service(server: PostgresServer, database_name: str, standby: StandbyServer) -> Iterator[RoutedApp]:
    """Service whose replica is in use."""
    with routed(server, database_name, standby) as running:
        running.until_used()
        yield running
    with server.connect(database_name) as session:
        session.execute(CLEANED)


def place(service: RoutedApp) -> str:
    return str(service.app.place().json()["id"])


def in_recovery(connection: Connection) -> bool:
    row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
    assert row
    return bool(row[0])


def port(connection: Connection) -> int:
    row = connection.execute("SELECT inet_server_port()").fetchone()
    assert row
    return int(row[0])


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage() for record in caplog.records if record.getMessage().startswith("the replica 127.0.0.1:")
    ]


def test_lists_of_orders_and_of_users_are_read_from_a_replica(service: RoutedApp) -> None:
    assert service.of_replicas(lambda: service.app.get("/orders")) == 1
    assert service.of_replicas(lambda: service.app.get("/users")) == 1
    assert len(service.app.get("/users").json()["users"]) == 3
    assert service.reads.answer(in_recovery).value


def test_a_list_may_lack_what_was_placed_within_the_limit(service: RoutedApp, standby: StandbyServer) -> None:
    standby.pause_replay()

    assert place(service) not in service.shown()


def test_read_at_says_from_when_on_orders_may_be_missing(service: RoutedApp, standby: StandbyServer) -> None:
    standby.pause_replay()
    place(service)
    # The positions of the primary before and after the order are known then.
    until(lambda: service.metrics.take()["ReplicaLag"] > 1.0, "the lag to be measured")

    begun = datetime.now(UTC)
    answer = service.app.get("/orders").json()
    users = service.app.get("/users").json()

    assert answer["orders"] == []
    for content in (answer, users):
        assert datetime.fromisoformat(content["read_at"]) <= begun - timedelta(seconds=1)


def test_an_order_is_read_from_the_primary_right_after_it_was_placed(
    service: RoutedApp, standby: StandbyServer
) -> None:
    standby.pause_replay()

    orders = [place(service) for _ in range(5)]

    assert [service.app.get(f"/orders/{order}").json()["status"] for order in orders] == ["queued"] * 5


def test_an_answer_of_the_primary_is_as_old_as_its_question(service: RoutedApp) -> None:
    def slow(connection: Connection) -> None:
        connection.execute("SELECT pg_sleep(0.1)")

    begun = time.monotonic()
    answer = service.reads.answer(slow, fresh=True)

    assert 0.1 <= answer.age <= time.monotonic() - begun


def test_a_repeated_order_is_found_by_its_key_while_the_replica_is_behind(
    service: RoutedApp, standby: StandbyServer
) -> None:
    standby.pause_replay()
    first = service.app.place(key="cart-1").json()
    service.app.deliver()

    assert service.app.place(key="cart-1").json() == {**first, "status": "processed"}


@pytest.mark.parametrize("header", ["no-cache", "No-Store , NO-CACHE", "max-age=0, no-cache"])
def test_a_client_that_asks_for_a_fresh_list_gets_that_of_the_primary(
    service: RoutedApp, standby: StandbyServer, header: str
) -> None:
    standby.pause_replay()

    order = place(service)

    assert order in service.shown(cache_control=header)
    assert service.of_replicas(lambda: service.get("/users", header)) == 0


@pytest.mark.parametrize("header", ["max-age=0", "no-store", "not-no-cache"])
def test_other_wishes_about_caches_ask_for_no_fresh_list(service: RoutedApp, header: str) -> None:
    assert service.of_replicas(lambda: service.get("/orders", header)) == 1


def test_a_read_that_no_replica_can_answer_is_counted(service: RoutedApp, standby: StandbyServer) -> None:
    service.name_replicas()
    service.until_unused()
    service.metrics.take()
    service.shown()
    assert service.metrics.take()["ReplicaFallbacks"] == 0

    service.name_replicas(standby)
    service.until_used()
    standby.stop_immediately()
    service.until_unused()
    service.metrics.take()
    service.shown()
    service.shown(cache_control="no-cache")

    assert service.metrics.take()["ReplicaFallbacks"] == 1


def sleeping(connection: Connection) -> None:
    connection.execute("SELECT pg_sleep(10) FROM users")


def idle_in_a_transaction(connection: Connection) -> None:
    with connection.transaction():
        connection.execute("SELECT FROM users")
        time.sleep(0.3)
        connection.execute("SELECT 1")


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (sleeping, "canceling statement due to conflict with recovery"),
        (idle_in_a_transaction, "terminating connection due to conflict with recovery"),
    ],
)
def test_a_query_in_the_way_of_recovery_is_answered_by_the_primary(
    service: RoutedApp,
    standby: StandbyServer,
    caplog: pytest.LogCaptureFixture,
    query: Callable[[Connection], None],
    reason: str,
) -> None:
    standby.set("max_standby_streaming_delay", "0")

    def read(connection: Connection) -> bool:
        if of_replica := in_recovery(connection):
            query(connection)
        return of_replica

    def lock_users() -> None:
        reading = "SELECT count(*) FROM pg_locks WHERE relation = 'users'::regclass AND pid <> pg_backend_pid()"
        with standby.connect(service.database.name) as session:
            until(lambda: session.execute(reading).fetchone() == (1,), "the replica to read users")
        with service.database.session() as session, session.transaction():
            session.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")

    with caplog.at_level(logging.INFO), ThreadPoolExecutor(1) as threads:
        locked = threads.submit(lock_users)
        assert service.reads.answer(read).value is False
        locked.result()

    assert messages(caplog)[0].endswith(f"is not used: {reason}")
    assert service.of_replicas(service.shown) == 0


def test_a_replica_stops_a_statement_that_no_request_waits_for(service: RoutedApp) -> None:
    def limit(connection: Connection) -> object:
        return connection.execute("SHOW statement_timeout").fetchone()

    assert service.reads.answer(limit).value == ("500ms",)
    assert service.reads.answer(limit, fresh=True).value == ("5s",)


def test_a_replica_that_refuses_a_statement_is_left_out_and_the_primary_answers(
    service: RoutedApp, caplog: pytest.LogCaptureFixture
) -> None:
    def writes(connection: Connection) -> int:
        return connection.execute("UPDATE users SET name = name WHERE id = 1").rowcount

    with caplog.at_level(logging.INFO):
        assert service.reads.answer(writes).value == 1

    assert messages(caplog)[0].endswith("is not used: cannot execute UPDATE in a read-only transaction")


def test_a_session_ended_on_the_replica_costs_no_request(
    service: RoutedApp, standby: StandbyServer, caplog: pytest.LogCaptureFixture
) -> None:
    with standby.connect() as session, caplog.at_level(logging.INFO):
        session.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'order-processor'"
        )
        service.shown()
        service.until_used()

    left, back = messages(caplog)
    assert "is not used: the connection was lost: terminating connection due to administrator command" in left
    assert "is used again after" in back


def test_values_that_the_server_refuses_do_not_leave_a_replica_out(service: RoutedApp) -> None:
    def divides(connection: Connection) -> None:
        connection.execute("SELECT 1 / 0")

    with pytest.raises(Exception, match="division by zero"):
        service.reads.answer(divides)

    assert service.of_replicas(service.shown) == 1


def test_a_mistake_in_the_code_is_not_taken_for_an_outage(service: RoutedApp) -> None:
    def mistaken(connection: Connection) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        service.reads.answer(mistaken)

    assert service.of_replicas(service.shown) == 1


def test_a_frozen_replica_is_left_out_until_it_goes_on(
    service: RoutedApp, standby: StandbyServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        with standby.frozen():
            service.shown()
            service.until_unused()
        service.until_used()

    left, back = messages(caplog)
    assert left.endswith("is not used: no answer within 0.5 s")
    assert "is used again after" in back


def test_a_replica_that_was_stopped_is_used_again_after_its_return(service: RoutedApp, standby: StandbyServer) -> None:
    standby.stop_immediately()
    service.shown()
    service.until_unused()

    standby.start()

    service.until_used()


def test_a_replica_without_the_primary_s_log_is_not_used_although_it_answers(
    service: RoutedApp, standby: StandbyServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), standby.cut_off():
        service.until_unused()

    assert messages(caplog)[0].endswith("is not used: it receives nothing from the primary")
    service.until_used()


def test_all_connections_are_closed_at_the_end(
    server: PostgresServer, database_name: str, standby: StandbyServer
) -> None:
    with routed(server, database_name, standby) as service:
        service.until_used()

    with standby.connect() as session:
        until(lambda: session.execute(SESSIONS).fetchone() == (0,), "the connections to be closed")


@pytest.mark.slow
def test_a_promoted_replica_is_not_used(
    server: PostgresServer, database_name: str, standby: StandbyServer, caplog: pytest.LogCaptureFixture
) -> None:
    with scratch("orderops-promoted-") as directory:
        promoted = StandbyServer(directory / "server", server)
        promoted.start()
        try:
            with promoted.connect() as session:
                session.execute("SELECT pg_promote()")
            with caplog.at_level(logging.INFO), routed(server, database_name, promoted) as service:
                until(lambda: messages(caplog), "the replica to be judged")
                assert messages(caplog)[0].endswith("is not used: it is no standby")
                assert service.of_replicas(service.shown) == 0
        finally:
            promoted.kill()


def test_reads_are_spread_over_all_replicas(server: PostgresServer, database_name: str, standby: StandbyServer) -> None:
    with scratch("orderops-second-") as directory:
        second = StandbyServer(directory / "server", server)
        second.start()
        try:
            with routed(server, database_name, standby, second) as service:

                def asked(number: int) -> list[int]:
                    return [service.reads.answer(port).value for _ in range(number)]

                until(lambda: set(asked(4)) == {standby.port, second.port}, "both to be used")
                ports = asked(10)
                assert ports.count(standby.port) == ports.count(second.port) == 5

                second.stop_immediately()
                assert second.port not in asked(10)
                until(lambda: set(asked(4)) == {standby.port}, "the other one to take all")
        finally:
            second.kill()


def test_a_replica_is_followed_into_the_pointer_and_out_of_it(
    server: PostgresServer, database_name: str, standby: StandbyServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), routed(server, database_name) as service:
        assert service.of_replicas(service.shown) == 0

        service.name_replicas(standby)
        service.until_used()
        service.name_replicas()
        service.until_unused()

        with standby.connect() as session:
            until(lambda: session.execute(SESSIONS).fetchone() == (0,), "its connections to be closed")
    assert [message.partition(" is ")[2] for message in messages(caplog)] == ["used", "no longer named by the pointer"]


def test_a_read_of_a_replica_needs_no_connection_to_the_primary(
    server: PostgresServer, database_name: str, standby: StandbyServer
) -> None:
    with routed(server, database_name, standby) as service, ThreadPoolExecutor(POOL_SIZE) as threads:
        service.until_used()
        released = Event()
        for _ in range(POOL_SIZE):
            threads.submit(service.database.store.run, lambda _: released.wait(WAIT_SECONDS))
        try:
            with pytest.raises(Unusable, match="all 4 connections of this task were in use"):
                service.database.store.run(port)

            # Long enough for the position of the primary to be forgotten.
            for _ in range(4):
                time.sleep(0.5)
                assert service.reads.answer(port).value == standby.port
        finally:
            released.set()


def test_a_replica_gets_no_more_connections_than_its_pool_has(service: RoutedApp, standby: StandbyServer) -> None:
    def sessions() -> int:
        with standby.connect() as session:
            row = session.execute(SESSIONS).fetchone()
        assert row
        return int(row[0])

    until(lambda: sessions() == 2, "both connections")
    service.app.crowd("/orders", clients=12)

    assert sessions() == 2


def test_the_service_is_ready_without_its_replicas(service: RoutedApp, standby: StandbyServer) -> None:
    standby.stop_immediately()

    assert service.app.get("/ready").json()["checks"]["database"]["ok"]
