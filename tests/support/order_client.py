"""A laptop of its own for a scenario, and a client that writes orders and knows which were committed when."""

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

import psycopg

from orderops.local.ports import free_port
from support.repository import ROOT

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
    """How a command ended."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class LaptopEnvironment:
    """A laptop environment in a folder of its own."""

    folder: Path
    more: Mapping[str, str] = field(default_factory=dict)

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

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A command that goes on by itself."""
        return subprocess.Popen(
            [sys.executable, "-m", "orderops", *words],
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def __call__(self, *words: str, timeout: float = 180, fails: bool = False) -> CommandResult:
        """A command to its end; one that fails and was not to is shown."""
        began = time.monotonic()
        process = self.start(*words)
        out, err = process.communicate(timeout=timeout)
        assert fails or process.returncode in (0, 3), f"{' '.join(words)} ended with {process.returncode}:\n{err}"
        return CommandResult(process.returncode, out, err, time.monotonic() - began)

    def instances(self) -> list[dict[str, Any]]:
        """Every instance, as `restore list` tells."""
        found: list[dict[str, Any]] = self("restore", "list", "--json").json
        return found

    def dsn(self, name: str | None = None) -> str:
        """Where an instance is and what opens it; the primary unless one is named."""
        with self._as_environ():
            from orderops.database.connection import login_at_endpoint
            from orderops.operations.workspace import open_workspace
            from orderops.restore.endpoints import connection_info
            from orderops.restore.instances import load_instances

            workspace = open_workspace("local", None)
            copies = load_instances(workspace.aws, workspace.stack)
            copy = copies.named(name, action="open") if name else copies.require_primary()
            told = login_at_endpoint(workspace.aws, connection_info(workspace.stack, copy)).parameters
            return psycopg.conninfo.make_conninfo(
                "", **{key: str(value) for key, value in told.items() if value is not None}
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

    def migration(self, version: int, name: str, forwards: str, back: str = "select 1;\n") -> Callable[[], None]:
        """Write a pair of files; what is answered takes them away."""
        files = [self.folder / "sql" / f"{letter}{version:03}__{name}.sql" for letter in "VU"]
        for file, text in zip(files, (forwards, back), strict=True):
            file.write_text(text)

        def forget() -> None:
            for file in files:
                file.unlink()

        return forget


@contextmanager
def laptop_environment(**changes: str) -> Iterator[LaptopEnvironment]:
    """A laptop that is up; `changes` are replaced in its environment file."""
    folder = Path(tempfile.mkdtemp(prefix="orderops-past-"))
    folder.chmod(0o755)  # where this runs as root, PostgreSQL runs as nobody
    text = (ROOT / "environments" / "local.toml").read_text()
    for old, new in {"8080": str(free_port()), "15432": str(free_port()), **changes}.items():
        text = text.replace(f"port = {old}" if old.isdigit() else old, f"port = {new}" if old.isdigit() else new)
    (folder / "environments").mkdir()
    (folder / "environments" / "local.toml").write_text(text)
    shutil.copytree(ROOT / "sql", folder / "sql")
    place = LaptopEnvironment(folder)
    try:
        place("up")
        yield place
    finally:
        place("local", "reset", "--yes", fails=True)
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Order:
    """One order, and between which moments its transaction was committed."""

    id: str
    number: int
    before: datetime
    after: datetime | None = None


class OrderWriter(threading.Thread):
    """Writes an order in a transaction of its own every few milliseconds, by the way that the pointer says."""

    def __init__(self, dsn: str, every: float = 0.01) -> None:
        super().__init__(daemon=True)
        self._dsn = dsn
        self._every = every
        self._over = threading.Event()
        self.orders: list[Order] = []

    def run(self) -> None:
        with psycopg.connect(self._dsn) as connection:
            while not self._over.is_set():
                order = Order(str(uuid.uuid4()), len(self.orders), datetime.now(UTC))
                self.orders.append(order)
                connection.execute(INSERT, {"id": order.id, "number": order.number})
                connection.commit()
                order.after = datetime.now(UTC)
                self._over.wait(self._every)

    def stop(self) -> None:
        self._over.set()
        self.join(20)


def order_numbers(dsn: str) -> dict[str, int]:
    """Every order that is there, with its number."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("select id::text, total_cents from orders").fetchall()
        items = connection.execute("select order_id::text, count(*) from order_items group by 1").fetchall()
    found: dict[str, int] = dict(rows)
    lines: dict[str, int] = dict(items)
    whole = {each: number for each, number in found.items() if lines.get(each, 0) == 1 + number % 3}
    assert whole.keys() == found.keys() == lines.keys(), "an order without its items, or items without their order"
    return found


def mismatch(orders: list[Order], moment: datetime, there: dict[str, int]) -> str:
    """What is wrong with the rows as of a moment; nothing where they are those that were committed by then."""
    must = {each.id for each in orders if each.after and each.after <= moment}
    may = {each.id for each in orders if each.before <= moment}
    missing, more = must - there.keys(), there.keys() - may
    if missing or more:
        return f"{len(missing)} of {len(must)} committed by {moment} are missing, {len(more)} came after it"
    if len(may - must) > 1:
        return f"{len(may - must)} orders were under way at {moment}, and one can be"
    return ""
