"""A laptop environment for a scenario, and a client that inserts orders and records when each was committed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import psycopg

from orderops import local
from orderops.local.ports import free_port
from support.repository import ROOT

REGION = "ap-southeast-2"
INSERT = """
with placed as (
    insert into orders (id, user_id, status, currency, total_cents, placed_at)
    values (%(id)s, 1 + %(number)s %% 3, 'received', 'EUR', %(number)s, clock_timestamp()) returning id
)
insert into order_items (order_id, line, sku, quantity, unit_price_cents)
select id, line, 'sku ' || line, line, 100 from placed, generate_series(1, 1 + %(number)s %% 3) line
"""


@dataclass
class CommandResult:
    """The result of a command."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class LaptopEnvironment:
    """A laptop environment in its own folder."""

    folder: Path
    more: Mapping[str, str] = field(default_factory=dict)
    declared: str = ""
    """The text of its file at first."""

    def declare(self, tables: str) -> None:
        """Write its file: as at first, and these tables."""
        (self.folder / "environments" / "local.toml").write_text(self.declared + tables)

    @property
    def environ(self) -> dict[str, str]:
        return {
            **os.environ,
            "ORDEROPS_LOCAL_DIRECTORY": str(self.folder / "data"),
            "ORDEROPS_ENVIRONMENTS": str(self.folder / "environments"),
            "ORDEROPS_SQL": str(self.folder / "sql"),
            "ORDEROPS_LOG_DIRECTORY": str(self.folder / "logs"),
            "COLUMNS": "100",
            **self.more,
        }

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """Start a command."""
        return subprocess.Popen(
            [sys.executable, "-m", "orderops", *argv],
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def __call__(self, *argv: str, timeout: float = 180, fails: bool = False) -> CommandResult:
        """Run a command; raises AssertionError with its output if it fails, unless `fails`."""
        started = time.monotonic()
        process = self.start(*argv)
        out, err = process.communicate(timeout=timeout)
        assert fails or process.returncode in (0, 3), f"{' '.join(argv)} ended with {process.returncode}:\n{err}"
        return CommandResult(process.returncode, out, err, time.monotonic() - started)

    def instances(self) -> list[dict[str, Any]]:
        """Return all instances, as `restore list` prints them."""
        instances: list[dict[str, Any]] = self("restore", "list", "--json").json
        return instances

    def dsn(self, name: str | None = None) -> str:
        """Return the connection string of an instance; the primary by default."""
        with self._as_environ():
            from orderops.database.connection import login_at_endpoint
            from orderops.operations.workspace import open_workspace
            from orderops.restore.endpoints import connection_info
            from orderops.restore.instances import load_instances

            workspace = open_workspace("local", None)
            instances = load_instances(workspace.aws, workspace.stack)
            instance = instances.named(name, action="open") if name else instances.require_primary()
            parameters = login_at_endpoint(workspace.aws, connection_info(workspace.stack, instance)).parameters
            return psycopg.conninfo.make_conninfo(
                "", **{key: str(value) for key, value in parameters.items() if value is not None}
            )

    def client(self, service: str) -> Any:
        """A boto3 client of this environment."""
        with self._as_environ():
            endpoint = local.start(REGION)
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=endpoint.url,
            aws_access_key_id=endpoint.key.id,
            aws_secret_access_key=endpoint.key.secret,
        )

    @contextmanager
    def _as_environ(self) -> Iterator[None]:
        before = dict(os.environ)
        os.environ.update(self.environ)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def migration(self, version: int, name: str, apply: str, undo: str = "select 1;\n") -> Callable[[], None]:
        """Write the files of a migration; returns a function that deletes them."""
        files = [self.folder / "sql" / f"{letter}{version:03}__{name}.sql" for letter in "VU"]
        for file, text in zip(files, (apply, undo), strict=True):
            file.write_text(text)

        def delete() -> None:
            for file in files:
                file.unlink()

        return delete


@contextmanager
def laptop_environment(**changes: str) -> Iterator[LaptopEnvironment]:
    """Create a laptop environment; `changes` are replacements in its environment file."""
    folder = Path(tempfile.mkdtemp(prefix="orderops-restore-"))
    # As root, PostgreSQL runs as nobody and must be able to read its data directory.
    folder.chmod(0o755)
    text = (ROOT / "environments" / "local.toml").read_text()
    for old, new in {"8080": str(free_port()), "15432": str(free_port()), **changes}.items():
        text = text.replace(f"port = {old}" if old.isdigit() else old, f"port = {new}" if old.isdigit() else new)
    (folder / "environments").mkdir()
    (folder / "environments" / "local.toml").write_text(text)
    shutil.copytree(ROOT / "sql", folder / "sql")
    laptop = LaptopEnvironment(folder, declared=text)
    try:
        laptop("up")
        yield laptop
    finally:
        laptop("local", "reset", "--yes", fails=True)
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Order:
    """An order, and the times before and after its commit."""

    id: str
    number: int
    before: datetime
    after: datetime | None = None


class OrderWriter(threading.Thread):
    """Commits an order every few milliseconds."""

    def __init__(self, dsn: str, every: float = 0.01) -> None:
        super().__init__(daemon=True)
        self._dsn = dsn
        self._every = every
        self._stopped = threading.Event()
        self._committed = threading.Event()
        self.orders: list[Order] = []

    def run(self) -> None:
        with psycopg.connect(self._dsn) as connection:
            while not self._stopped.is_set():
                order = Order(str(uuid.uuid4()), len(self.orders), datetime.now(UTC))
                self.orders.append(order)
                connection.execute(INSERT, {"id": order.id, "number": order.number})
                connection.commit()
                order.after = datetime.now(UTC)
                self._committed.set()
                self._stopped.wait(self._every)

    def wait_for_commit(self, seconds: float) -> bool:
        """Wait for the first commit; returns False if there is none in time."""
        return self._committed.wait(seconds)

    def stop(self) -> None:
        self._stopped.set()
        self.join(20)


def order_numbers(dsn: str) -> dict[str, int]:
    """Return the number of each order, by its id."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("select id::text, total_cents from orders").fetchall()
        items = connection.execute("select order_id::text, count(*) from order_items group by 1").fetchall()
    found: dict[str, int] = dict(rows)
    lines: dict[str, int] = dict(items)
    complete = {order: number for order, number in found.items() if lines.get(order, 0) == 1 + number % 3}
    assert complete.keys() == found.keys() == lines.keys(), "an order without its items, or items without their order"
    return found


def mismatch(orders: list[Order], moment: datetime, restored: dict[str, int]) -> str:
    """Return how restored orders differ from those committed by a moment; "" if they are the same."""
    must = {order.id for order in orders if order.after and order.after <= moment}
    may = {order.id for order in orders if order.before <= moment}
    missing, more = must - restored.keys(), restored.keys() - may
    if missing or more:
        return f"{len(missing)} of {len(must)} committed by {moment} are missing, {len(more)} were committed after it"
    if len(may - must) > 1:
        return f"{len(may - must)} orders were being committed at {moment}; at most one can be"
    return ""
