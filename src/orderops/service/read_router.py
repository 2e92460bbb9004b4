"""Questions whose answer may be some seconds old: asked of a replica that is fresh, otherwise of the primary."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from orderops.service.database import OrderStore
from orderops.service.metrics import Metrics
from orderops.service.pool import Connection
from orderops.service.replica import NotAnswered, ReadResult
from orderops.service.replicas import Replicas
from orderops.service.tracing import current

Result = TypeVar("Result")


class ReadRouter:
    """Without replicas, everything is asked of the primary."""

    def __init__(self, store: OrderStore, replicas: Replicas | None = None, metrics: Metrics | None = None) -> None:
        self._store = store
        self._replicas = replicas
        self._metrics = metrics or Metrics()

    def answer(self, work: Callable[[Connection], Result], *, fresh: bool = False) -> ReadResult[Result]:
        """Return the answer, of the primary if it has to be `fresh`. Raises what OrderStore.run raises."""
        if not fresh and self._replicas:
            if answer := self._of_replica(self._replicas, work):
                return answer
            if self._replicas.named:
                self._metrics.add("ReplicaFallbacks")
        asked_at = time.monotonic()
        value = self._store.run(work)
        return ReadResult(value, time.monotonic() - asked_at)

    def _of_replica(self, replicas: Replicas, work: Callable[[Connection], Result]) -> ReadResult[Result] | None:
        replica = replicas.pick()
        if replica is None:
            return None
        try:
            with current.get().asking("replica"):
                answer = replica.ask(work)
        except NotAnswered:
            return None
        self._metrics.add("ReplicaReads")
        return answer
