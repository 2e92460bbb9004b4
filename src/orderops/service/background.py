"""What runs beside the requests: the consumer, the checks of replicas and the metrics."""

from __future__ import annotations

from dataclasses import dataclass, field

from orderops.service.consumer import Consumer
from orderops.service.metrics import MetricsReporter
from orderops.service.replicas import Replicas
from orderops.service.tracing import Tracing


@dataclass(frozen=True)
class BackgroundThreads:
    """Threads of a process; a process that answers requests only has no consumer."""

    reporter: MetricsReporter
    consumer: Consumer | None = None
    replicas: Replicas | None = None
    tracing: Tracing = field(default_factory=Tracing)

    def start(self) -> None:
        """Start all."""
        self.reporter.start()
        if self.replicas:
            self.replicas.start()
        if self.consumer:
            self.consumer.start()

    def stop(self) -> None:
        """Receive nothing more. Returns at once, also in a handler of a signal."""
        if self.consumer:
            self.consumer.stop()

    def end(self) -> None:
        """Finish what was started, and write the last metrics and spans."""
        self.stop()
        if self.consumer:
            self.consumer.join()
        if self.replicas:
            self.replicas.stop()
        self.reporter.stop()
        self.tracing.stop()
