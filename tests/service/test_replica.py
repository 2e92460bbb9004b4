"""One replica: what is asked of it, and when it is left out. Any server does for that."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from math import inf
from threading import Event

import pytest

from orderops.local.rds.postgres import PostgresServer
from orderops.service.circuit import Away
from orderops.service.hurried_connection import HurriedConnection
from orderops.service.pool import Connection
from orderops.service.replica import NotAnswered, Replica
from orderops.service.replica_connections import NoneFree, ReplicaConnections
from orderops.service.replica_lag import Lag


class Site:
    """A replica on a clock of its own, and the connections that were opened to it."""

    def __init__(self, server: PostgresServer) -> None:
        self.now = 1000.0
        self.away = ""
        self.opened: list[HurriedConnection] = []
        self._server = server
        self.replica = Replica("db:5432", self.connect, size=2, max_lag=5, clock=lambda: self.now)

    def connect(self) -> HurriedConnection:
        if self.away:
            raise Away(self.away)
        self.opened.append(HurriedConnection.connect(self._server.dsn(), autocommit=True))
        return self.opened[-1]

    def check(self, lag: float = 0.0) -> None:
        def measure(connection: Connection) -> Lag:
            connection.execute("SELECT 1")
            return Lag(lag, f"it is {lag:.1f} s behind")

        self.replica.check(measure)

    def open_connections(self) -> int:
        return sum(not connection.closed for connection in self.opened)


@pytest.fixture
def site(server: PostgresServer) -> Iterator[Site]:
    new_site = Site(server)
    yield new_site
    new_site.replica.close()


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[tuple[str, str]]]]:
    """Return the level and the text of each line so far."""
    with caplog.at_level(logging.DEBUG, "orderops.service.replica"):
        yield lambda: [(record.levelname, record.getMessage()) for record in caplog.records]


def one(connection: Connection) -> int:
    row = connection.execute("SELECT 1").fetchone()
    assert row
    return int(row[0])


def broken(connection: Connection) -> None:
    connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def test_a_replica_is_not_used_before_it_was_checked(site: Site) -> None:
    assert not site.replica.usable
    with pytest.raises(NotAnswered):
        site.replica.ask(one)


def test_an_answer_says_how_old_it_may_be(site: Site) -> None:
    site.check(lag=1.5)
    site.now += 0.5

    answer = site.replica.ask(one)

    assert (answer.value, answer.age) == (1, 2.0)


@pytest.mark.parametrize(("lag", "usable"), [(0.0, True), (5.0, True), (5.1, False), (inf, False)])
def test_a_replica_is_used_up_to_its_limit(site: Site, lag: float, usable: bool) -> None:
    site.check(lag)

    assert site.replica.usable is usable


def test_what_was_measured_counts_for_a_second(site: Site) -> None:
    site.check()

    site.now += 1.0
    assert site.replica.usable
    site.now += 0.1
    assert not site.replica.usable


def test_the_time_since_the_measurement_counts_towards_the_lag(site: Site) -> None:
    site.check(lag=4.5)

    site.now += 0.5
    assert site.replica.usable
    site.now += 0.1
    assert not site.replica.usable


def test_a_failure_leaves_it_out_at_once_and_for_two_seconds(site: Site) -> None:
    site.check()
    with pytest.raises(NotAnswered):
        site.replica.ask(broken)
    assert not site.replica.usable

    site.now += 1.9
    site.check()
    assert not site.replica.usable

    site.now += 0.1
    site.check()
    assert site.replica.usable
    assert site.replica.ask(one).value == 1


def test_nothing_is_tried_in_the_pause(site: Site) -> None:
    site.away = "no server listens at db:5432"
    site.check()
    site.away = ""
    site.now += 1.9

    site.check()
    assert site.opened == []

    site.now += 0.1
    site.check()
    assert len(site.opened) == 2


def test_a_failed_probe_starts_the_pause_again(site: Site) -> None:
    site.away = "no server listens at db:5432"
    for _ in range(2):
        site.check()
        site.now += 2.0
    site.away = ""
    site.now -= 0.1

    site.check()

    assert site.opened == []


def test_a_failure_during_a_check_is_not_forgotten(site: Site) -> None:
    site.check()

    def measure(_connection: Connection) -> Lag:
        with pytest.raises(NotAnswered):
            site.replica.ask(broken)
        return Lag(0.0, "it is 0.0 s behind")

    site.replica.check(measure)

    assert not site.replica.usable


def test_after_a_failure_no_old_connection_is_used(site: Site) -> None:
    site.check()
    with pytest.raises(NotAnswered):
        site.replica.ask(broken)

    assert [connection.closed for connection in site.opened] == [True, True]


def test_one_line_says_that_it_is_left_out_and_one_that_it_is_back(
    site: Site, logged: Callable[[], list[tuple[str, str]]]
) -> None:
    site.check()
    site.check()
    site.now += 10
    site.check(lag=7.0)
    site.check(lag=8.0)
    with pytest.raises(NotAnswered):
        site.replica.ask(broken)
    site.now += 2.5
    site.check()
    site.check()

    assert logged() == [
        ("INFO", "the replica db:5432 is used"),
        ("WARNING", "the replica db:5432 is not used: it is 7.0 s behind"),
        ("INFO", "the replica db:5432 is used again after 2.5 s"),
    ]


def test_a_replica_that_is_away_from_the_start_is_named_once(
    site: Site, logged: Callable[[], list[tuple[str, str]]]
) -> None:
    site.away = "no server listens at db:5432"
    for _ in range(3):
        site.check()
        site.now += 2

    assert logged() == [("WARNING", "the replica db:5432 is not used: no server listens at db:5432")]


def test_an_answer_is_waited_for_half_a_second(site: Site, logged: Callable[[], list[tuple[str, str]]]) -> None:
    site.check()

    with pytest.raises(NotAnswered):
        site.replica.ask(lambda connection: connection.execute("SELECT pg_sleep(60)"))

    assert logged()[-1] == ("WARNING", "the replica db:5432 is not used: no answer within 0.5 s")
    assert not site.replica.usable


def test_a_request_that_finds_no_free_connection_leaves_nothing_out(site: Site) -> None:
    site.check()
    with ThreadPoolExecutor(2) as threads:
        lent, released = [Event(), Event()], Event()

        def hold(number: int) -> None:
            def work(_connection: Connection) -> None:
                lent[number].set()
                released.wait(30)

            site.replica.ask(work)

        held = [threads.submit(hold, number) for number in range(2)]
        assert all(event.wait(30) for event in lent)

        with pytest.raises(NotAnswered):
            site.replica.ask(one)
        site.check()
        assert site.replica.usable
        released.set()
        for each in held:
            each.result()

    assert site.replica.ask(one).value == 1
    assert len(site.opened) == 2


def test_a_closed_replica_keeps_no_connection(site: Site) -> None:
    site.check()

    site.replica.ask(lambda _: site.replica.close())

    assert not site.replica.usable
    assert site.open_connections() == 0
    site.check()
    assert site.open_connections() == 0


def test_a_connection_that_is_opened_while_all_are_closed_is_closed(site: Site) -> None:
    def connect() -> HurriedConnection:
        connections.close()
        return site.connect()

    connections = ReplicaConnections(connect)
    connections.open(2)

    assert [connection.closed for connection in site.opened] == [True]


def test_connections_are_lent_in_turn(site: Site) -> None:
    connections = ReplicaConnections(site.connect)
    connections.open(3)

    for _ in range(2):
        for opened in site.opened:
            with connections.lent(wait_seconds=0, answer_seconds=1) as connection:
                assert connection is opened
    connections.close()


def test_an_old_connection_is_replaced(site: Site) -> None:
    connections = ReplicaConnections(site.connect, lifetime_seconds=0)
    connections.open(1)
    with connections.lent(wait_seconds=0, answer_seconds=1) as first:
        pass
    connections.open(1)

    assert first.closed
    with connections.lent(wait_seconds=0, answer_seconds=1) as second:
        assert second is not first


def test_a_connection_left_in_a_transaction_is_not_lent_again(site: Site) -> None:
    connections = ReplicaConnections(site.connect)
    connections.open(1)
    with connections.lent(wait_seconds=0, answer_seconds=1) as connection:
        connection.execute("BEGIN")

    assert connection.closed
    with pytest.raises(NoneFree), connections.lent(wait_seconds=0, answer_seconds=1):
        pass
