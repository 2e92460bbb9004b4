"""Counts of the service, written as log lines in CloudWatch's embedded metric format."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from threading import Event, Lock, Thread
from typing import Any

log = logging.getLogger(__name__)

NAMESPACE = "orderops"
_UNITS = {
    "Accepted": "Count",
    "Processed": "Count",
    "Failed": "Count",
    "Duplicates": "Count",
    "GivenBack": "Count",
    "OldestMessageAge": "Seconds",
    "BreakerOpen": "Count",
    "PoolWaits": "Count",
    "ReplicaReads": "Count",
    "ReplicaFallbacks": "Count",
    "ReplicaLag": "Seconds",
}


class Metrics:
    """Counts since the last line. A metric that counted nothing is written as 0, so that an alarm sees data."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._values: dict[str, float] = {}

    def add(self, name: str, number: int = 1) -> None:
        """Add to a count."""
        with self._lock:
            self._values[name] = self._values.get(name, 0) + number

    def highest(self, name: str, value: float) -> None:
        """Keep the highest value."""
        with self._lock:
            self._values[name] = max(self._values.get(name, 0), value)

    def take(self) -> dict[str, float]:
        """Return all metrics, and start again from 0."""
        with self._lock:
            values, self._values = self._values, {}
        return {name: values.get(name, 0) for name in _UNITS}


class MetricsReporter:
    """Thread that writes a line each minute, and a last one at the end."""

    def __init__(
        self,
        metrics: Metrics,
        dimensions: Mapping[str, str],
        *,
        gauges: Mapping[str, Callable[[], float]],
        interval: float = 60.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._metrics = metrics
        self._dimensions = dict(dimensions)
        self._gauges = gauges
        self._interval = interval
        self._clock = clock
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="metrics", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Write the last line and end the thread."""
        self._stopped.set()
        self._thread.join()

    def line(self) -> dict[str, Any]:
        """Return the members of the next line: the directive of the format, dimensions and values."""
        values = {**self._metrics.take(), **{name: gauge() for name, gauge in self._gauges.items()}}
        directive = {
            "Namespace": NAMESPACE,
            # One set: each is a metric of its own, with a price of its own.
            "Dimensions": [list(self._dimensions)],
            "Metrics": [{"Name": name, "Unit": unit} for name, unit in _UNITS.items()],
        }
        timestamp = int(self._clock() * 1000)
        return {
            "_aws": {"Timestamp": timestamp, "CloudWatchMetrics": [directive]},
            **self._dimensions,
            **{name: round(value, 3) for name, value in values.items()},
        }

    def _run(self) -> None:
        while not self._stopped.wait(self._interval):
            self._write()
        self._write()

    def _write(self) -> None:
        log.info("metrics", extra={"members": self.line()})
