"""The service under load, with a replica to which one thing after another happens.

    python benchmarks/replicas.py [--limit 2] [--seconds 5]

Clients read about 20 times a second while 20 orders are written. For each thing that happens: how long until the
replica is left out and until it is used again, how many requests failed, how long the slowest took, and how many lists
lacked an order that was older than the limit. Then 1,000 orders are placed and read back at once, from a service whose
replica is behind. Exit code 1 if a request failed, a list was too old, or an order was not found.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles

from moto.server import ThreadedMotoServer

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from orderops.local.rds.postgres import UNDURABLE, PostgresServer
from orderops.local.users import scratch
from support.reading_clients import counted, lines_about_replicas, reading
from support.service_process import Running, World, run_service, stop, until
from support.standby import HAPPENINGS, PRIMARY_SETTINGS, StandbyServer

ORDERS = 1000


def main() -> None:
    """Let everything happen, and print what became of the requests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=2, help="max_lag_seconds")
    parser.add_argument("--seconds", type=float, default=5.0, help="before, during and after what happens")
    arguments = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    wrong = 0
    with scratch("orderops-replicas-") as folder, surroundings(folder) as (world, standby):
        for number, happening in enumerate(HAPPENINGS):
            with served(world, standby, folder / f"{number}.log", arguments.limit) as service:
                wrong += under_load(world, service, standby, happening, arguments.limit, arguments.seconds)
        with served(world, standby, folder / "orders.log", 3600, ORDEROPS_ROLE="both") as service:
            standby.pause_replay()
            wrong += placed_and_read(service)
    raise SystemExit(bool(wrong))


@contextmanager
def surroundings(folder: Path) -> Iterator[tuple[World, StandbyServer]]:
    """A database with a standby, and an emulated AWS."""
    server = PostgresServer(folder / "primary", settings={**UNDURABLE, **PRIMARY_SETTINGS})
    emulated = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    emulated.start()
    standby = StandbyServer(folder / "standby", server)
    try:
        server.start()
        standby.start()
        host, port = emulated.get_host_and_port()
        world = World(server, f"http://{host}:{port}")
        world.set_database_secret(replicas=[standby.place])
        yield world, standby
    finally:
        standby.kill()
        server.kill()
        emulated.stop()


@contextmanager
def served(world: World, standby: StandbyServer, log: Path, limit: int, **variables: str) -> Iterator[Running]:
    """A process of the service that uses the replica."""
    standby.catch_up()
    environment = {
        **world.environment(),
        "DATABASE_MAX_LAG_SECONDS": str(limit),
        "METRICS_SECONDS": "1",
        **variables,
    }
    service = run_service(environment, log)
    try:
        until(lambda: len(lines_about_replicas(service)) == 1, "the replica to be used")
        yield service
    finally:
        stop(service)


def under_load(
    world: World, service: Running, standby: StandbyServer, happening: str, limit: int, seconds: float
) -> int:
    """Print what became of the requests, and return how many went wrong."""
    with world.session() as session, reading(service, session) as clients:
        time.sleep(seconds)
        began = datetime.now(UTC)
        with HAPPENINGS[happening](standby):
            until(lambda: len(lines_about_replicas(service)) == 2, "the replica to be left out")
            time.sleep(seconds)
            healed = datetime.now(UTC)
        until(lambda: len(lines_about_replicas(service)) == 3, "the replica to be used again")
        time.sleep(seconds)
    (_, _), (left, reason), (back, _) = lines_about_replicas(service)
    failed, too_old = len(clients.failed()), len(clients.too_old(limit))
    print(f"{happening}: left out after {(left - began).total_seconds():.2f} s ({reason}),")
    print(f"  used again {(back - healed).total_seconds():.2f} s after its end;")
    times = quantiles([reply.seconds for reply in clients.replies], n=100)
    late = sum(reply.seconds > 0.25 for reply in clients.replies)
    print(
        f"  {len(clients.replies)} requests, {failed} failed; half within {times[49] * 1000:.0f} ms, 99 % within "
        f"{times[98] * 1000:.0f} ms, {late} over 250 ms, the slowest {clients.slowest():.2f} s;"
    )
    print(
        f"  {counted(service, 'ReplicaReads')} reads of the replica, {counted(service, 'ReplicaFallbacks')} of the "
        f"primary instead; {len(clients.lists())} lists, {too_old} older than {limit} s",
        flush=True,
    )
    return failed + too_old


def placed_and_read(service: Running) -> int:
    """Place orders and read each back at once; return how many were not found."""
    found = listed = 0
    for _ in range(ORDERS):
        order = service.place().json()
        found += service.get(order["href"]).status_code == 200
        listed += order["id"] in service.get("/orders?limit=1").text
    print(f"{found} of {ORDERS} orders found at once by their id; {listed} in a list of the replica, which is behind")
    return ORDERS - found + listed


if __name__ == "__main__":
    main()
