from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from orderops.local.rds.postgres import PostgresServer
from orderops.service.circuit import Unavailable
from orderops.service.pool import Connection, Pool


@pytest.fixture
def opened() -> Iterator[list[Connection]]:
    connections: list[Connection] = []
    yield connections
    for connection in connections:
        connection.close()


def pool_of(server: PostgresServer, opened: list[Connection], size: int = 2, **limits: float) -> Pool:
    def connect() -> Connection:
        opened.append(psycopg.connect(server.dsn(), autocommit=True))
        return opened[-1]

    return Pool(connect, size, **limits)


def test_a_returned_connection_is_reused(server: PostgresServer, opened: list[Connection]) -> None:
    pool = pool_of(server, opened)

    for _ in range(3):
        with pool.connection() as connection:
            connection.execute("SELECT 1")

    assert len(opened) == 1


def test_a_pool_lends_no_more_connections_than_its_size(server: PostgresServer, opened: list[Connection]) -> None:
    pool = pool_of(server, opened, size=1, wait_seconds=0.01)

    with (
        pool.connection(),
        pytest.raises(Unavailable, match="all 1 connections of this task were in use"),
        pool.connection(),
    ):
        pass
    with pool.connection() as connection:
        connection.execute("SELECT 1")

    assert len(opened) == 1


def test_a_broken_idle_connection_is_replaced(server: PostgresServer, opened: list[Connection]) -> None:
    pool = pool_of(server, opened)
    with pool.connection(), pool.connection():
        pass
    with server.connect() as session:
        for connection in opened:
            session.execute("SELECT pg_terminate_backend(%s, 10000)", (connection.info.backend_pid,))

    with pool.connection() as connection:
        connection.execute("SELECT 1")

    assert len(opened) == 3
    assert [connection.closed for connection in opened] == [True, True, False]


def test_a_connection_left_in_a_transaction_is_not_reused(server: PostgresServer, opened: list[Connection]) -> None:
    pool = pool_of(server, opened)
    with pool.connection() as connection:
        connection.execute("BEGIN")

    with pool.connection() as connection:
        assert connection is not opened[0]

    assert opened[0].closed


def test_an_old_connection_is_replaced(server: PostgresServer, opened: list[Connection]) -> None:
    pool = pool_of(server, opened, lifetime_seconds=0)

    for _ in range(2):
        with pool.connection() as connection:
            connection.execute("SELECT 1")

    assert [connection.closed for connection in opened] == [True, False]


def test_a_closed_pool_keeps_no_connection_open(server: PostgresServer, opened: list[Connection]) -> None:
    pool = pool_of(server, opened)
    with pool.connection():
        pass

    with pool.connection():
        pool.close()

    assert all(connection.closed for connection in opened)


def test_a_failed_login_frees_its_slot(opened: list[Connection]) -> None:
    def connect() -> Connection:
        raise psycopg.OperationalError("no")

    pool = Pool(connect, 1, wait_seconds=0.01)

    for _ in range(3):
        with pytest.raises(psycopg.OperationalError, match="no"), pool.connection():
            pass
