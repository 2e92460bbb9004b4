"""Run the service: `python -m orderops.service`."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import boto3
import uvicorn
from botocore.config import Config
from starlette.types import ASGIApp

from orderops.service import logs
from orderops.service.address import AddressBook
from orderops.service.app import create_app
from orderops.service.background import BackgroundThreads
from orderops.service.consumer import Consumer
from orderops.service.database import OrderStore
from orderops.service.database_tokens import DatabaseTokens
from orderops.service.delivery import Parts
from orderops.service.gate import Gate
from orderops.service.heartbeat import Heartbeat
from orderops.service.inbox import Inbox
from orderops.service.metrics import Metrics, MetricsReporter
from orderops.service.order_writer import OrderWriter
from orderops.service.queues import Queue
from orderops.service.read_router import ReadRouter
from orderops.service.replicas import Replicas
from orderops.service.settings import Settings, WrongSettings, read_settings
from orderops.service.tokens import Tokens
from orderops.service.tracing import Tracing
from orderops.service.tracing_setup import open_tracing

log = logging.getLogger("orderops.service")


def main() -> int:
    """Serve until SIGTERM or SIGINT, and return the exit code."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # Before the server listens, nothing has to be finished. uvicorn replaces these handlers and, when it
        # is done, re-raises the signal.
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        settings = read_settings(os.environ)
    except WrongSettings as error:
        problems = "\n".join(f"  {problem}" for problem in error.problems)
        sys.stderr.write(f"error: the environment variables of this process are not valid\n{problems}\n")
        sys.stderr.write(" hint: set these variables in the task definition and start the service again\n")
        return 2
    logs.configure(settings.log_level)
    try:
        serve(settings)
    except SystemExit as ending:
        # uvicorn exits with 3 when the port is taken.
        return 1 if ending.code else 0
    return 0


def serve(settings: Settings) -> None:
    """Listen, and return after SIGTERM once the last request is answered."""
    session = boto3.session.Session(region_name=settings.region)
    # Short, since a browser waits for the response; the next request tries again.
    config = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})
    secrets, sqs = session.client("secretsmanager", config=config), session.client("sqs", config=config)
    database = OrderStore(
        AddressBook(secrets, settings.database_secret),
        pool_size=settings.database_pool_size,
        application_name=settings.service,
        ca=settings.ca_file,
        tokens=DatabaseTokens(session.get_credentials()),
    )
    metrics, tracing = Metrics(), open_tracing(settings)
    replicas = None
    if settings.uses_replicas:
        replicas = Replicas(database, metrics, max_lag=settings.max_lag_seconds, size=settings.database_pool_size)
    background = BackgroundThreads(
        MetricsReporter(
            metrics,
            {"Environment": settings.environment, "Service": settings.service},
            gauges={"BreakerOpen": lambda: int(database.away), "PoolWaits": database.waits},
            interval=settings.metrics_seconds,
        ),
        _consumer(settings, session, sqs, OrderWriter(database), metrics, tracing) if settings.consumers else None,
        replicas,
        tracing,
    )
    app = create_app(
        settings,
        database,
        Queue(sqs, settings.queue_url, settings.dead_letter_queue_url),
        started_at=datetime.now(UTC),
        tokens=Tokens(secrets, settings.token_secret) if settings.token_secret else None,
        metrics=metrics,
        background=background,
        tracing=tracing,
        reads=ReadRouter(database, replicas, metrics),
    )
    Server(_listening(app, settings), settings.drain_seconds, background).run()


def _consumer(
    settings: Settings,
    session: boto3.session.Session,
    sqs: Any,
    writer: OrderWriter,
    metrics: Metrics,
    tracing: Tracing,
) -> Consumer:
    # One attempt: a receive that is repeated uses up an attempt of other messages.
    patient = Config(
        connect_timeout=1, read_timeout=settings.poll_seconds + 5, retries={"mode": "standard", "total_max_attempts": 1}
    )
    inbox = Inbox(
        sqs,
        settings.queue_url,
        settings.dead_letter_queue_url,
        polling=session.client("sqs", config=patient),
        poll_seconds=settings.poll_seconds,
    )
    parts = Parts(inbox, writer, Heartbeat(inbox), metrics, Gate(), tracing=tracing)
    return Consumer(parts, threads=settings.consumers)


def _listening(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=max(1, settings.drain_seconds - 2),
    )


class Server(uvicorn.Server):
    """uvicorn server that ends in time, whatever a thread is still waiting for."""

    def __init__(self, config: uvicorn.Config, drain_seconds: int, background: BackgroundThreads) -> None:
        super().__init__(config)
        self._drain_seconds = drain_seconds
        self._background = background

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Start to drain, and set the time after which open requests are abandoned."""
        # Before the requests in progress are finished, which may take long.
        self._background.stop()
        if not self.should_exit:
            limit = threading.Timer(self._drain_seconds, _cut)
            limit.daemon = True
            limit.start()
        super().handle_exit(sig, frame)


def _cut() -> None:
    log.error("shutdown timeout reached: abandoning open requests")
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
