"""World of one service: database, queue, secrets and the process itself."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import boto3
import httpx
import psycopg
from psycopg import sql

from orderops.local.rds.postgres import PostgresServer, free_port
from support.fork_server import forked
from support.repository import SQL

REGION = "ap-southeast-2"
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_EC2_METADATA_DISABLED": "true"}
WAIT_SECONDS = 60.0
"""Maximum time that a test waits for an event."""
# One for all requests: a client of its own would load the certificates of all CAs for each of them. A connection is not
# kept, so that each request finds out whether the service listens.
CLIENT = httpx.Client(verify=False, timeout=WAIT_SECONDS, limits=httpx.Limits(max_keepalive_connections=0))


@dataclass
class World:
    """Database, login, queue with a dead-letter queue, and the secrets that describe them."""

    server: PostgresServer
    endpoint: str
    name: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:12]}")
    password: str = field(default_factory=lambda: f"pw-{uuid.uuid4().hex}")
    keys: Mapping[str, str] = field(default_factory=lambda: KEYS)
    """What signs requests to the endpoint."""

    def __post_init__(self) -> None:
        self.sqs = self._client("sqs")
        self.secrets = self._client("secretsmanager")
        self.server.create_database(self.name)
        with self.server.connect() as session:
            session.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(self.name)))
        self.set_password_in_database(self.password)
        for file in sorted(SQL.glob("V*.sql")):
            self.migrate(file.name)
        self.queue_url = self.sqs.create_queue(QueueName=self.name)["QueueUrl"]
        self.dead_letter_url = self.sqs.create_queue(QueueName=f"{self.name}-dlq")["QueueUrl"]
        login = json.dumps({"username": self.name, "password": self.password})
        self.credentials = self.secrets.create_secret(Name=f"{self.name}-login", SecretString=login)["ARN"]
        self.secrets.create_secret(Name=self.name, SecretString=json.dumps(self.database_secret()))

    def database_secret(self) -> dict[str, Any]:
        """Return the content of the secret with the database's address."""
        where = {"host": "127.0.0.1", "port": self.server.port, "dbname": self.name, "sslmode": "disable"}
        return {**where, "credentials": self.credentials}

    def migrate(self, file: str) -> None:
        with self.server.connect(self.name) as session:
            session.execute((SQL / file).read_bytes())
            session.execute(sql.SQL("GRANT ALL ON ALL TABLES IN SCHEMA public TO {}").format(sql.Identifier(self.name)))

    def set_password_in_database(self, password: str) -> None:
        with self.server.connect() as session:
            session.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(self.name), sql.Literal(password))
            )

    def set_password_in_secret(self, password: str) -> None:
        login = json.dumps({"username": self.name, "password": password})
        self.secrets.put_secret_value(SecretId=self.credentials, SecretString=login)

    def set_database_secret(self, **changed: Any) -> None:
        self.secrets.put_secret_value(
            SecretId=self.name, SecretString=json.dumps({**self.database_secret(), **changed})
        )

    def end_sessions(self) -> None:
        with self.server.connect() as session:
            session.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (self.name,))

    def refuse_logins(self) -> None:
        """Forbid logins to the database and end all its sessions."""
        with self.server.connect() as session:
            session.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(self.name)))
        self.end_sessions()

    def copy_database(self, name: str) -> None:
        """Create a copy of the database."""
        self.end_sessions()
        with self.server.connect() as session:
            session.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(self.name))
            )

    def sessions(self, database: str, user: str | None = None) -> int:
        """Return the number of sessions in a database."""
        return self._count("datname = %s AND usename = %s", database, user or self.name)

    def waiting_for_a_lock(self) -> int:
        """Return the number of the service's sessions that wait for a lock."""
        return self._count("usename = %s AND wait_event_type = 'Lock'", self.name)

    def session(self) -> psycopg.Connection:
        """Return an administrator's session in the database."""
        return self.server.connect(self.name)

    def environment(self) -> dict[str, str]:
        """Return the environment variables that a task definition would set."""
        return {
            **self.keys,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint,
            "HOST": "127.0.0.1",
            "PORT": str(free_port()),
            "ORDEROPS_ENVIRONMENT": "test",
            "ORDEROPS_VERSION": "7-abc1234",
            "QUEUE_URL": self.queue_url,
            "DEAD_LETTER_QUEUE_URL": self.dead_letter_url,
            "DATABASE_SECRET": self.name,
            "DEMONSTRATION": "on",
            # A consumer would take the messages of tests that count them.
            "ORDEROPS_ROLE": "web",
            # An open call is waited for at the end of the process.
            "POLL_SECONDS": "1",
        }

    def remove(self) -> None:
        self.server.start()
        self.server.drop_database(self.name)
        with self.server.connect() as session:
            session.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(self.name)))

    def _count(self, condition: LiteralString, *values: str) -> int:
        with self.server.connect() as session:
            row = session.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {condition}", values).fetchone()
        assert row
        return int(row[0])

    def _client(self, name: str) -> Any:
        return boto3.client(
            name,
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id=self.keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.keys["AWS_SECRET_ACCESS_KEY"],
        )


class ServiceProcess:
    """A process of the service."""

    def __init__(self, environ: Mapping[str, str], log: Path) -> None:
        self._process = forked(_serve, (), environ, log)

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while the process runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self._process.pid and self.exit_code is None:
            os.kill(self._process.pid, number)

    def wait(self) -> int:
        """Wait for the end and return the exit code. Fails after WAIT_SECONDS."""
        self._process.join(WAIT_SECONDS)
        assert self.exit_code is not None, f"the service did not end within {WAIT_SECONDS:.0f} s"
        return self.exit_code


def _serve() -> None:
    # What `python -m orderops.service` does. Imported here, since only the fork server has loaded it.
    from orderops.service.__main__ import main

    sys.exit(main())


@dataclass
class Running:
    """Running process of the service."""

    process: ServiceProcess
    url: str
    log: Path

    def get(self, path: str, *, accept: str = "application/json", **headers: str) -> httpx.Response:
        variables = {name.replace("_", "-"): value for name, value in headers.items()}
        return CLIENT.get(self.url + path, headers={"Accept": accept, **variables})

    def refuses(self) -> bool:
        """Return whether the process accepts no connection any more."""
        try:
            self.get("/health")
        except httpx.TransportError:
            return True
        return False

    def page(self, path: str) -> httpx.Response:
        """Return the response that a browser gets."""
        return self.get(path, accept="text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")

    def place(self, *, customer: int = 1, key: str | None = None) -> httpx.Response:
        """Place an order, with an idempotency key if there is one."""
        order = {"customer": customer, "currency": "AUD", "items": [{"sku": "tea", "quantity": 2, "unit_price": 1250}]}
        return CLIENT.post(f"{self.url}/orders", json=order, headers={"Idempotency-Key": key} if key else {})

    def lines(self) -> list[dict[str, Any]]:
        """Return the log so far; every line is JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def end(self) -> int:
        """Stop the process as ECS does, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait()


def run_service(environment: Mapping[str, str | None], log: Path) -> Running:
    variables = {name: value for name, value in environment.items() if value is not None}
    log.touch()
    process = ServiceProcess(variables, log)
    running = Running(process, f"http://127.0.0.1:{variables['PORT']}", log)

    def listening() -> bool:
        assert process.exit_code is None, log.read_text()
        with suppress(httpx.TransportError):
            return running.get("/health").status_code == 200
        return False

    until(listening, "the service to listen")
    return running


def stop(running: Running) -> None:
    if running.process.exit_code is None:
        running.process.send_signal(signal.SIGKILL)
        running.process.wait()


def until(condition: Callable[[], Any], what: str) -> None:
    """Return once the condition is true. Fails after WAIT_SECONDS."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {WAIT_SECONDS:.0f} s: {what}")
        time.sleep(0.02)


Start = Callable[..., Running]
