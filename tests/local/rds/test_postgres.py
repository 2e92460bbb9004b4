from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from orderops.errors import OrderopsError
from orderops.local import users
from orderops.local.rds.binaries import find_bindir
from orderops.local.rds.postgres import UNDURABLE, PostgresServer

pytest_plugins = ["support.postgres_fixtures"]


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with users.scratch() as directory:
        server = PostgresServer(directory / "one", settings=UNDURABLE)
        server.start()
        yield server
        server.kill()


def test_each_test_has_its_own_database(database: str) -> None:
    with psycopg.connect(database) as session:
        session.execute("CREATE TABLE orders (id int)")
        assert session.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (1,)


def test_a_killed_server_restarts_with_its_data_on_its_port(server: PostgresServer) -> None:
    port = server.port
    with server.connect() as session:
        session.execute("CREATE TABLE orders AS SELECT 7 AS id")

    server.kill()
    assert not server.running
    assert not server.ended_cleanly

    again = PostgresServer(server.directory, settings=UNDURABLE)
    again.start()

    assert again.port == port
    with again.connect() as session:
        assert session.execute("SELECT id FROM orders").fetchone() == (7,)


def test_a_server_that_was_shut_down_reports_a_clean_end(server: PostgresServer) -> None:
    server.stop()

    assert not server.running
    assert server.ended_cleanly


def test_another_program_finds_a_running_server_and_leaves_it_alone(server: PostgresServer) -> None:
    found = PostgresServer(server.directory)
    before = found.process()

    found.start()

    assert found.ready
    assert found.process() == before


def test_a_taken_port_is_refused_with_its_number() -> None:
    with users.scratch() as directory, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OrderopsError, match=f"port {port} is taken by another program"):
            PostgresServer(directory / "one", port).start()


def test_a_reused_pid_is_neither_taken_for_the_server_nor_blocks_its_start(
    server: PostgresServer,
) -> None:
    server.kill()
    pid_file = server.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")

    assert not server.running
    server.kill()
    server.start()

    assert server.ready


def test_an_incomplete_data_directory_is_created_again(server: PostgresServer) -> None:
    server.kill()
    (server.directory / "whole").unlink()
    (server.data / "global" / "pg_control").unlink()

    server.start()

    assert server.ready


def test_a_directory_that_servers_cannot_enter_has_a_substitute(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    account = users.server_account()

    stand_in = users.enterable(tmp_path / "data")

    if account is None:
        assert stand_in == tmp_path / "data"
    else:
        assert users.SYSTEM_DIRECTORY in stand_in.parents
        assert stand_in == users.enterable(tmp_path / "data")


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another user")
def test_programs_that_the_servers_user_cannot_read_are_copied_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = find_bindir()
    hidden = tmp_path / "hidden"
    shutil.copytree(source.parents[1], hidden / source.parents[1].name, symlinks=True)
    libraries = source.parents[2] / f"{source.parents[1].name}.libs"
    if libraries.exists():
        shutil.copytree(libraries, hidden / libraries.name, symlinks=True)
    monkeypatch.setenv("ORDEROPS_PG_BIN", str(hidden / source.relative_to(source.parents[2])))

    copy = find_bindir()
    try:
        assert users.SYSTEM_DIRECTORY in copy.parents
        assert find_bindir() == copy
        with users.scratch() as directory:
            server = PostgresServer(directory / "one", settings=UNDURABLE, bindir=copy)
            server.start()
            server.kill()
    finally:
        shutil.rmtree(copy.parents[2])
