"""PostgreSQL server and emulated AWS for the session; a world and a service in it for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from orderops.local.rds.postgres import UNDURABLE, PostgresServer
from orderops.local.users import scratch
from support.order_database import CLEANED, OrderDatabase, opened, order_database
from support.service_process import Running, Start, World, run_service, stop
from support.standby import PRIMARY_SETTINGS, StandbyServer


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    with scratch("orderops-service-") as directory:
        server = PostgresServer(
            directory / "server", settings={**UNDURABLE, **PRIMARY_SETTINGS, "max_connections": "50"}
        )
        server.start()
        yield server
        server.kill()


@pytest.fixture(scope="module")
def standby_server(server: PostgresServer) -> Iterator[StandbyServer]:
    with scratch("orderops-standby-") as directory:
        standby = StandbyServer(directory / "server", server)
        standby.start()
        yield standby
        standby.kill()


@pytest.fixture
def standby(standby_server: StandbyServer) -> Iterator[StandbyServer]:
    """Standby of the server for one test, which may do anything to it."""
    standby_server.catch_up()
    yield standby_server
    standby_server.start()
    standby_server.reset()


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    """URL of an emulated AWS."""
    emulated = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    emulated.start()
    host, port = emulated.get_host_and_port()
    yield f"http://{host}:{port}"
    emulated.stop()


@pytest.fixture(scope="module")
def database_name(server: PostgresServer) -> Iterator[str]:
    """Name of a database for the tests of a module."""
    with order_database(server) as database:
        yield database.name


@pytest.fixture
def orders(server: PostgresServer, database_name: str) -> Iterator[OrderDatabase]:
    """Database for tests of the service's parts in this process, without orders."""
    with opened(server, database_name) as database:
        yield database
    server.start()
    with server.connect(database_name) as session:
        session.execute(CLEANED)


@pytest.fixture
def fragile(server: PostgresServer) -> Iterator[OrderDatabase]:
    """Database of one test, which may damage it."""
    with order_database(server) as database:
        yield database


@pytest.fixture
def world(server: PostgresServer, emulator: str) -> Iterator[World]:
    new_world = World(server, emulator)
    yield new_world
    new_world.remove()


@pytest.fixture
def start(world: World, tmp_path: Path) -> Iterator[Start]:
    """`start(**changed)` runs the service in the world; a variable given as None is left out."""
    started: list[Running] = []

    def run(**changed: str | None) -> Running:
        running = run_service({**world.environment(), **changed}, tmp_path / f"{len(started)}.log")
        started.append(running)
        return running

    yield run
    for running in started:
        stop(running)


@pytest.fixture(scope="module")
def standing(
    server: PostgresServer, emulator: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[World, Running]]:
    """World and service for tests that only read."""
    new_world = World(server, emulator)
    running = run_service(new_world.environment(), tmp_path_factory.mktemp("service") / "log")
    yield new_world, running
    stop(running)
    new_world.remove()
