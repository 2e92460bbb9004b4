"""The world of one service: a database, a queue, the secrets that tell of them, and the process itself."""

from __future__ import annotations

import json
import subprocess
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
from support.repository import SQL

REGION = "ap-southeast-2"
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_EC2_METADATA_DISABLED": "true"}
WAIT_SECONDS = 60.0
"""How long a test waits for what must come, in seconds."""


@dataclass
class World:
    """One database, one login, one queue with dead letters, and the secrets that tell of them."""

    server: PostgresServer
    endpoint: str
    name: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:12]}")
    password: str = field(default_factory=lambda: f"pw-{uuid.uuid4().hex}")

    def __post_init__(self) -> None:
        self.sqs = self._client("sqs")
        self.secrets = self._client("secretsmanager")
        self.server.create_database(self.name)
        with self.server.connect() as session:
            session.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(self.name)))
        self.set_password_in_database(self.password)
        self.migrate("V001__create_users.sql")
        self.queue_url = self.sqs.create_queue(QueueName=self.name)["QueueUrl"]
        self.dead_letter_url = self.sqs.create_queue(QueueName=f"{self.name}-dlq")["QueueUrl"]
        login = json.dumps({"username": self.name, "password": self.password})
        self.credentials = self.secrets.create_secret(Name=f"{self.name}-login", SecretString=login)["ARN"]
        self.secrets.create_secret(Name=self.name, SecretString=json.dumps(self.database_secret()))

    def database_secret(self) -> dict[str, Any]:
        """What the service's secret says of the database."""
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
        """Let nobody into the database any more, and put out who is in."""
        with self.server.connect() as session:
            session.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(self.name)))
        self.end_sessions()

    def copy_database(self, name: str) -> None:
        """Make a second database like this one."""
        self.end_sessions()
        with self.server.connect() as session:
            session.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(self.name))
            )

    def sessions(self, database: str, user: str | None = None) -> int:
        """How many sessions there are in a database."""
        return self._count("datname = %s AND usename = %s", database, user or self.name)

    def waiting_for_a_lock(self) -> int:
        """How many of the service's sessions wait for a lock."""
        return self._count("usename = %s AND wait_event_type = 'Lock'", self.name)

    def session(self) -> psycopg.Connection:
        """An administrator's session in the database."""
        return self.server.connect(self.name)

    def environment(self) -> dict[str, str]:
        """What the task definition would say."""
        return {
            **KEYS,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint,
            "HOST": "127.0.0.1",
            "PORT": str(free_port()),
            "ORDEROPS_ENVIRONMENT": "test",
            "ORDEROPS_VERSION": "7-abc1234",
            "QUEUE_URL": self.queue_url,
            "DEAD_LETTER_QUEUE_URL": self.dead_letter_url,
            "DATABASE_SECRET": self.name,
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
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )


@dataclass
class Running:
    """A process of the service."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def get(self, path: str, *, accept: str = "application/json", **headers: str) -> httpx.Response:
        variables = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.get(self.url + path, headers={"Accept": accept, **variables}, timeout=WAIT_SECONDS)

    def page(self, path: str) -> httpx.Response:
        """What a browser gets."""
        return self.get(path, accept="text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")

    def lines(self) -> list[dict[str, Any]]:
        """The log so far; every line of it is JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def end(self) -> int:
        """Stop it as ECS does, and tell its exit code."""
        self.process.terminate()
        return self.process.wait(WAIT_SECONDS)


def run_service(environment: Mapping[str, str | None], log: Path) -> Running:
    variables = {name: value for name, value in environment.items() if value is not None}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "orderops.service"], env=variables, stdout=output, stderr=output
        )
    running = Running(process, f"http://127.0.0.1:{variables['PORT']}", log)

    def listening() -> bool:
        assert process.poll() is None, log.read_text()
        with suppress(httpx.TransportError):
            return running.get("/health").status_code == 200
        return False

    until(listening, "the service to listen")
    return running


def stop(running: Running) -> None:
    if running.process.poll() is None:
        running.process.kill()
        running.process.wait(WAIT_SECONDS)


def until(condition: Callable[[], Any], what: str) -> None:
    """Return when it is true."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.02)


Start = Callable[..., Running]
