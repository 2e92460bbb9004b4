"""The service's application with replicas that it follows, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from orderops.local.rds.postgres import PostgresServer
from orderops.service.background import BackgroundThreads
from orderops.service.metrics import Metrics, MetricsReporter
from orderops.service.read_router import ReadRouter
from orderops.service.replicas import Replicas
from support.order_app import OrderApp
from support.order_database import OrderDatabase, opened
from support.service_process import until
from support.standby import StandbyServer


@dataclass
class RoutedApp:
    """An application, and what it counts."""

    app: OrderApp
    database: OrderDatabase
    replicas: Replicas
    reads: ReadRouter
    metrics: Metrics

    def name_replicas(self, *standbys: StandbyServer) -> None:
        """Change the pointer."""
        self.database.secret.value["replicas"] = [standby.place for standby in standbys]

    def get(self, path: str, cache_control: str = "") -> httpx.Response:
        """Send a request, with a wish about caches."""
        return self.app.send("GET", path, headers={"Cache-Control": cache_control} if cache_control else {})

    def shown(self, cache_control: str = "") -> set[str]:
        """Return the ids of the orders in the list."""
        answer = self.get("/orders", cache_control)
        assert answer.status_code == 200, answer.text
        return {order["id"] for order in answer.json()["orders"]}

    def of_replicas(self, work: Callable[[], Any] = lambda: None) -> int:
        """Return how many reads went to replicas during this work."""
        self.metrics.take()
        work()
        return int(self.metrics.take()["ReplicaReads"])

    def until_used(self) -> None:
        """Wait until reads go to a replica."""
        until(lambda: self.replicas.pick(), "a replica to be used")
        assert self.of_replicas(self.shown) == 1

    def until_unused(self) -> None:
        """Wait until reads go to the primary."""
        until(lambda: not self.replicas.pick(), "no replica to be used")
        assert self.of_replicas(self.shown) == 0


@contextmanager
def routed(
    server: PostgresServer, name: str, *standbys: StandbyServer, max_lag: float = 5.0, **variables: str
) -> Iterator[RoutedApp]:
    """Open a database with an application that follows its replicas."""
    places = [standby.place for standby in standbys]
    with opened(server, name, keep_seconds=0, replicas=places) as database:
        metrics = Metrics()
        replicas = Replicas(database.store, metrics, max_lag=max_lag, size=2)
        reads = ReadRouter(database.store, replicas, metrics)
        app = OrderApp(database, {"DEMONSTRATION": "on", **variables}, metrics=metrics, reads=reads)
        background = BackgroundThreads(MetricsReporter(Metrics(), {}, gauges={}), replicas=replicas)
        background.start()
        try:
            yield RoutedApp(app, database, replicas, reads, metrics)
        finally:
            background.end()
