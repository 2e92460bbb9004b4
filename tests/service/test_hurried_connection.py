from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from orderops.local.rds.postgres import PostgresServer
from orderops.service.hurried_connection import HurriedConnection, NotInTime


@pytest.fixture
def connection(server: PostgresServer) -> Iterator[HurriedConnection]:
    with closing(HurriedConnection.connect(server.dsn(), autocommit=True)) as opened:
        yield opened


def test_without_a_deadline_it_is_a_connection_like_others(connection: HurriedConnection) -> None:
    assert connection.execute("SELECT pg_sleep(0.2), %s", ("text",)).fetchone() == ("", "text")
    with pytest.raises(psycopg.errors.DivisionByZero):
        connection.execute("SELECT 1 / 0")


def test_long_questions_and_long_answers_pass(connection: HurriedConnection) -> None:
    connection.deadline = time.monotonic() + 60
    long_text = "x" * 20_000_000

    assert connection.execute("SELECT %s::text", (long_text,)).fetchone() == (long_text,)


@pytest.mark.parametrize("left", [0.1, 0.0, -1.0])
def test_an_answer_after_the_deadline_is_not_waited_for(connection: HurriedConnection, left: float) -> None:
    connection.deadline = time.monotonic() + left

    with pytest.raises(NotInTime):
        connection.execute("SELECT pg_sleep(60)")


def test_a_server_that_takes_no_more_of_a_question_is_given_up(
    connection: HurriedConnection, server: PostgresServer
) -> None:
    postmaster = server.process()
    assert postmaster
    (session,) = [child for child in postmaster.children() if child.pid == connection.info.backend_pid]
    connection.deadline = time.monotonic() + 0.2
    session.suspend()
    try:
        with pytest.raises(NotInTime):
            connection.execute("SELECT length(%s::text)", ("x" * 50_000_000,))
    finally:
        session.resume()


def test_a_connection_that_the_server_ended_says_why(connection: HurriedConnection, server: PostgresServer) -> None:
    with server.connect() as administrator:
        administrator.execute("SELECT pg_terminate_backend(%s, 10000)", (connection.info.backend_pid,))
    connection.deadline = time.monotonic() + 60

    # Older versions of psycopg give no reason.
    with pytest.raises(psycopg.OperationalError, match=r"administrator command|consuming input failed"):
        connection.execute("SELECT 1")


def test_a_closed_connection_says_so(connection: HurriedConnection) -> None:
    connection.close()

    with pytest.raises(psycopg.OperationalError, match="closed"):
        connection.execute("SELECT 1")
