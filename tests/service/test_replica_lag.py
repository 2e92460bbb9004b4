from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import inf
from threading import Thread

import psycopg
import pytest

from orderops.local.rds.postgres import PostgresServer
from orderops.service.replica_lag import PrimaryPositions, Standby, lag_of, primary_position
from orderops.service.replica_lag import standby as read
from support.service_process import until
from support.standby import StandbyServer

STREAMING = Standby(in_recovery=True, receiving=True, replayed_all=True, position=100, since_commit=900.0)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def positions(clock: Clock) -> PrimaryPositions:
    """The primary was at 100 ten seconds ago, at 200 five seconds ago and at 300 one second ago."""
    known = PrimaryPositions(keep_seconds=20, clock=clock)
    for position, seconds in ((100, 10), (200, 5), (300, 1)):
        known.add("primary", position, clock.now - seconds)
    return known


@pytest.mark.parametrize(
    ("position", "seconds"),
    [(99, inf), (100, 10), (150, 10), (199, 10), (200, 5), (299, 5), (300, 1), (9999, 1)],
)
def test_a_replica_has_what_was_there_when_the_primary_was_asked(
    positions: PrimaryPositions, position: int, seconds: float
) -> None:
    assert lag_of(replace(STREAMING, position=position), positions).seconds == seconds


def test_a_primary_on_which_nothing_happens_makes_no_replica_late(clock: Clock, positions: PrimaryPositions) -> None:
    clock.now += 60
    positions.add("primary", 300, clock.now)

    assert lag_of(replace(STREAMING, position=300), positions).seconds == 0
    assert lag_of(replace(STREAMING, position=299), positions).seconds == inf


def test_positions_that_are_older_than_needed_are_forgotten(clock: Clock, positions: PrimaryPositions) -> None:
    clock.now += 14.5
    positions.add("primary", 400, clock.now)

    assert positions.behind(100) == inf
    assert positions.behind(200) == 19.5


@pytest.mark.parametrize(("server", "position"), [("another", 400), ("primary", 250)])
def test_positions_of_another_server_replace_those_of_the_last(
    clock: Clock, positions: PrimaryPositions, server: str, position: int
) -> None:
    positions.add(server, position, clock.now)

    assert positions.behind(240) == inf
    assert positions.behind(position) == 0


def test_a_replica_that_lost_the_primary_is_late_at_once(positions: PrimaryPositions) -> None:
    lag = lag_of(replace(STREAMING, position=300, receiving=False, since_commit=0.1), positions)

    assert (lag.seconds, lag.words) == (inf, "it receives nothing from the primary")


def test_a_server_that_is_no_standby_is_never_fresh(clock: Clock, positions: PrimaryPositions) -> None:
    for state in (replace(STREAMING, in_recovery=False, position=300), replace(STREAMING, position=None)):
        assert (lag_of(state, positions).seconds, lag_of(state, positions).words) == (inf, "it is no standby")


@pytest.mark.parametrize(
    ("changed", "seconds"),
    [
        ({}, 0.0),
        ({"replayed_all": False}, 900.0),
        ({"receiving": False}, 900.0),
        ({"receiving": False, "since_commit": None}, inf),
        ({"replayed_all": False, "since_commit": None}, inf),
        # The clocks of two servers are never quite the same.
        ({"replayed_all": False, "since_commit": -0.1}, 0.0),
    ],
)
def test_while_the_primary_does_not_answer_the_replica_s_own_view_counts(
    clock: Clock, positions: PrimaryPositions, changed: dict[str, object], seconds: float
) -> None:
    clock.now += 0.6

    assert lag_of(replace(STREAMING, **changed), positions).seconds == seconds  # type: ignore[arg-type]
    assert lag_of(replace(STREAMING, **changed), PrimaryPositions(5)).seconds == seconds  # type: ignore[arg-type]


def test_the_last_position_counts_for_a_second_and_a_half(clock: Clock, positions: PrimaryPositions) -> None:
    clock.now += 0.5
    assert positions.fresh
    clock.now += 0.1
    assert not positions.fresh


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(4.26, "it is 4.3 s behind"), (inf, "how far it is behind is not known")],
)
def test_a_lag_is_said_in_words(seconds: float, words: str) -> None:
    known = PrimaryPositions(keep_seconds=100, clock=lambda: 0.0)
    if seconds < inf:
        known.add("primary", 50, -seconds)
    known.add("primary", 200, 0.0)

    assert lag_of(STREAMING, known).words == words


def test_a_new_position_wakes_those_that_wait_for_it(positions: PrimaryPositions, clock: Clock) -> None:
    waiting = Thread(target=positions.wait, args=(3600,), daemon=True)
    waiting.start()

    def woken() -> bool:
        # Again, since it may not have begun to wait.
        positions.add("primary", 400, clock.now)
        return not waiting.is_alive()

    until(woken, "the thread to be woken")


@contextmanager
def logged_in(server: PostgresServer, name: str) -> Iterator[psycopg.Connection]:
    """Session of a login without any privilege, as that of the service."""
    with psycopg.connect(server.dsn(user=name, password="secret"), autocommit=True) as session:
        yield session


@pytest.fixture
def login(server: PostgresServer, standby: StandbyServer) -> Iterator[str]:
    with server.connect() as session:
        session.execute("CREATE ROLE plain_login LOGIN PASSWORD 'secret'")
        standby.catch_up()
        yield "plain_login"
        session.execute("DROP ROLE plain_login")


def test_a_login_without_privileges_sees_how_far_a_standby_is(
    server: PostgresServer, standby: StandbyServer, login: str
) -> None:
    with logged_in(server, login) as primary_session, logged_in(standby, login) as session:
        standby.pause_replay()
        before = primary_position(primary_session)[1]
        with server.connect() as administrator:
            administrator.execute("SELECT pg_logical_emit_message(true, 'test', 'written')")
        after = primary_position(primary_session)[1]
        until(lambda: not read(session).replayed_all, "what was written to arrive")
        paused = read(session)
        assert paused.position
        assert before <= paused.position < after
        assert (paused.in_recovery, paused.receiving) == (True, True)

        standby.resume_replay()
        standby.catch_up()
        going_on = read(session)

    assert going_on.position
    assert going_on.position >= after
    assert (going_on.in_recovery, going_on.receiving, going_on.replayed_all) == (True, True, True)
    assert going_on.since_commit is not None


def test_a_position_comes_with_the_server_that_it_is_of(server: PostgresServer) -> None:
    with server.connect() as session:
        assert primary_position(session)[0] == ("127.0.0.1", server.port)


def test_a_server_that_is_a_primary_says_so(server: PostgresServer) -> None:
    with server.connect() as session:
        assert not read(session).in_recovery
        assert not read(session).receiving


def test_a_standby_without_a_receiver_says_so(server: PostgresServer, standby: StandbyServer) -> None:
    with standby.cut_off(), standby.connect() as session:
        until(lambda: not read(session).receiving, "the receiver to end")
        assert read(session).in_recovery
