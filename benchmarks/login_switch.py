"""Requests while the services change to tokens of IAM, while another instance is promoted, and while they change back.

    python benchmarks/login_switch.py [--rate 20]

A laptop environment of its own answers reads and orders at a steady rate. Meanwhile `login = "iam"` is applied, an
instance is restored, promoted and given back, and `login = "password"` is applied. After each change the tasks get the
time in which every connection of their pools is replaced. Takes seven minutes. Exit code 1 if a request fails, or if
sessions of the login before are used after that time.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import quantiles

import httpx

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from orderops import local
from orderops.local.rds.directory import ADMINISTRATOR
from orderops.local.rds.postgres import PostgresServer
from support.order_client import LaptopEnvironment, laptop_environment

ORDER = {"customer": 1, "currency": "AUD", "items": [{"sku": "tea", "quantity": 2, "unit_price": 1250}]}
# Seconds: a task reads the pointer again after 30, and a connection is replaced after 60.
REPLACED = 95.0
CHANGES = {'sslmode = "disable"': 'sslmode = "require"\nlogin = "password"'}
ACTIVE = (
    "select usename, count(*) from pg_stat_activity where datname = 'orders' and application_name = 'order-processor' "
    "and state_change > now() - interval '5 s' group by 1"
)


class Load(threading.Thread):
    """Clients that ask at a steady rate, whether or not the answers come."""

    def __init__(self, url: str, rate: float) -> None:
        super().__init__(daemon=True)
        self._http = httpx.Client(base_url=url, timeout=10)
        self._pause = 1 / rate
        self._ended = threading.Event()
        self.took: list[float] = []
        self.failed: Counter[str] = Counter()

    def run(self) -> None:
        due = time.monotonic()
        with ThreadPoolExecutor(64) as clients:
            while not self._ended.wait(max(0.0, due - time.monotonic())):
                clients.submit(self._ask, len(self.took))
                due += self._pause

    def end(self) -> None:
        self._ended.set()
        self.join()

    def _ask(self, number: int) -> None:
        began = time.monotonic()
        try:
            if number % 4:
                answer = self._http.get("/users", headers={"Accept": "application/json"})
            else:
                answer = self._http.post("/orders", json=ORDER)
            if not answer.is_success:
                self.failed[f"{answer.status_code} {answer.text[:120]}"] += 1
        except httpx.HTTPError as error:
            self.failed[type(error).__name__] += 1
        self.took.append(time.monotonic() - began)


class Switches:
    """The changes, one after the other, in one laptop environment."""

    def __init__(self, laptop: LaptopEnvironment, rate: float) -> None:
        self._laptop = laptop
        self._file = laptop.folder / "environments" / "local.toml"
        self._load = Load(laptop("infra", "outputs", "--json").json["load_balancer_url"], rate)

    def run(self) -> int:
        """Make the changes under load, and return how much went wrong."""
        self._load.start()
        wrong = self._login("password", "iam", "orderops_service_iam")
        self._laptop("restore", "--at", "latest", "--yes")
        for words in (("restore", "promote"), ("restore", "back")):
            self._timed(" ".join(words), lambda words=words: self._laptop(*words, "--yes"))
            wrong += self._others("orderops_service_iam")
        wrong += self._login("iam", "password", "orderops_service")
        self._load.end()
        took = self._load.took
        centiles = quantiles(took, n=100)
        print(f"{len(took)} requests, {sum(self._load.failed.values())} failed: {dict(self._load.failed)}")
        print(f"p50 {centiles[49] * 1000:.0f} ms, p99 {centiles[98] * 1000:.0f} ms, max {max(took) * 1000:.0f} ms")
        return wrong + sum(self._load.failed.values())

    def _login(self, before: str, now: str, user: str) -> int:
        text = self._file.read_text()
        self._file.write_text(text.replace(f'login = "{before}"', f'login = "{now}"'))
        self._timed(f'up with login = "{now}"', lambda: self._laptop("up"))
        time.sleep(REPLACED)
        return self._others(user)

    def _timed(self, what: str, change: object) -> None:
        assert callable(change)
        began, failed = time.monotonic(), sum(self._load.failed.values())
        change()
        failed = sum(self._load.failed.values()) - failed
        print(f"{what}: {time.monotonic() - began:.0f} s, {failed} requests failed", flush=True)

    def _others(self, user: str) -> int:
        """The sessions of any other user that answered requests just now."""
        used = {name: count for found in self._servers() for name, count in self._sessions(found)}
        print(f"sessions in use: {used}", flush=True)
        return int(set(used) != {user})

    def _sessions(self, server: PostgresServer) -> list[tuple[str, int]]:
        with server.connect() as session:
            return [(str(name), int(count)) for name, count in session.execute(ACTIVE)]

    def _servers(self) -> list[PostgresServer]:
        folders = (self._laptop.folder / "data" / "databases").glob("db-*/server")
        servers = [PostgresServer(folder, administrator=ADMINISTRATOR) for folder in folders]
        return [server for server in servers if server.ready]


def main() -> None:
    """Measure, and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second")
    arguments = parser.parse_args()
    with laptop_environment(**CHANGES) as laptop:
        local.start("ap-southeast-2", laptop.folder / "data")
        wrong = Switches(laptop, arguments.rate).run()
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
