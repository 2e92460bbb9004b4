"""The replicas that the pointer names: which they are, which of them is fresh, and whose turn it is."""

from __future__ import annotations

import logging
import time
from itertools import count
from math import inf
from threading import Event, Thread

from orderops.service.circuit import Unavailable
from orderops.service.database import OrderStore
from orderops.service.metrics import Metrics
from orderops.service.pool import Connection
from orderops.service.replica import ANSWER_SECONDS, Replica
from orderops.service.replica_lag import Lag, PrimaryPositions, lag_of, primary_position, standby

log = logging.getLogger(__name__)

# Seconds between two checks of a replica.
CHECK_SECONDS = 0.5
# Seconds that a replica gets to replay what the primary was asked for: one that needs longer is judged by the position
# before, and looks half a second older.
REPLAY_SECONDS = 0.05
# Seconds at the end in which a thread that waits for a server may still finish.
END_SECONDS = 1.0

Place = tuple[str, int]


class Replicas:
    """Follows the pointer and asks the primary for its position; each replica is checked by a thread of its own.

    So a replica that hangs, or a primary that does, keeps no other from being checked.
    """

    def __init__(self, store: OrderStore, metrics: Metrics, *, max_lag: float, size: int) -> None:
        """Use replicas that are at most `max_lag` seconds behind, with `size` connections to each."""
        self._store = store
        self._metrics = metrics
        self._max_lag = max_lag
        self._size = size
        # Some more than needed, since a position is known a moment after it is asked for.
        self._positions = PrimaryPositions(max_lag + 5)
        self._stopped = Event()
        self._by_place: dict[Place, Replica] = {}
        self._turn = count()
        self._threads = [Thread(target=self._run, name="replicas", daemon=True)]

    @property
    def named(self) -> bool:
        """Whether there are any, fresh or not."""
        return bool(self._by_place)

    def pick(self) -> Replica | None:
        """Return a fresh one, each in turn; None if there is none."""
        fresh = [replica for replica in self._by_place.values() if replica.usable]
        return fresh[next(self._turn) % len(fresh)] if fresh else None

    def start(self) -> None:
        """Start to follow."""
        self._threads[0].start()

    def stop(self) -> None:
        """Close all connections and end the threads."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(END_SECONDS)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._follow()
            if self._by_place:
                self._ask_primary()
            self._stopped.wait(CHECK_SECONDS)

    def _follow(self) -> None:
        try:
            places = {(address.host, address.port) for address in self._store.replicas()}
        except Unavailable:
            return
        before = self._by_place
        if places == before.keys():
            return
        new = {place: self._replica(place) for place in places - before.keys()}
        # A new dictionary, since requests read this one.
        self._by_place = {place: replica for place, replica in {**before, **new}.items() if place in places}
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        for place, replica in new.items():
            thread = Thread(target=self._check, args=(place, replica), name=f"replica-{place[0]}", daemon=True)
            thread.start()
            self._threads.append(thread)
        for host, port in before.keys() - places:
            log.info("the replica %s:%d is no longer named by the pointer", host, port)

    def _replica(self, place: Place) -> Replica:
        host, port = place
        return Replica(
            f"{host}:{port}",
            lambda: self._store.connect_to_replica(host, port, statement_seconds=ANSWER_SECONDS),
            size=self._size,
            max_lag=self._max_lag,
        )

    def _ask_primary(self) -> None:
        asked_at = time.monotonic()
        try:
            server, position = self._store.run(primary_position)
        except Unavailable:
            return
        self._positions.add(server, position, asked_at)

    def _check(self, place: Place, replica: Replica) -> None:
        while not self._stopped.is_set() and self._by_place.get(place) is replica:
            replica.check(self._measure)
            self._positions.wait(CHECK_SECONDS)
            self._stopped.wait(REPLAY_SECONDS)
        replica.close()

    def _measure(self, connection: Connection) -> Lag:
        lag = lag_of(standby(connection), self._positions)
        if lag.seconds < inf:
            self._metrics.highest("ReplicaLag", lag.seconds)
        return lag
