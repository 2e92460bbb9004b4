"""Ports changed in the file of a laptop environment that runs, under a client that never pauses."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orderops.local.ports import free_port
from orderops.local.users import scratch
from support.repository import ENVIRONMENTS

pytestmark = pytest.mark.slow
EVERY = 0.05
"""Seconds between two requests."""


class Laptop:
    """The packaged local environment on ports of its own, run by the command line."""

    def __init__(self, folder: Path) -> None:
        self.port, self.file = free_port(), folder / "local.toml"
        text = (ENVIRONMENTS / "local.toml").read_text()
        self.file.write_text(text.replace("15432", str(free_port())).replace("port = 8080", f"port = {self.port}"))
        self._environment = {**os.environ, "ORDEROPS_LOCAL_DIRECTORY": str(folder / "data")}

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "orderops", *words, "--environments", str(self.file.parent)],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def edit(self, line: str, edited: str) -> None:
        text = self.file.read_text()
        assert line in text
        self.file.write_text(text.replace(line, edited, 1))

    def reset(self) -> None:
        words = [sys.executable, "-m", "orderops", "local", "reset", "--yes"]
        subprocess.run(words, env=self._environment, capture_output=True, check=False)


@pytest.fixture
def laptop() -> Iterator[Laptop]:
    with scratch("orderops-ports-") as folder:
        made = Laptop(folder)
        try:
            made.run("up")
            yield made
        finally:
            made.reset()


@contextmanager
def under_load(port: int) -> Iterator[Counter[str]]:
    """Send requests all the time, each by a thread of its own; the counter has their outcomes at the end."""
    outcomes: Counter[str] = Counter()
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(f"http://localhost:{port}/health", timeout=10) as response:
                outcomes[str(response.status)] += 1
        except (OSError, urllib.error.HTTPError) as error:
            outcomes[str(error)] += 1

    def send() -> None:
        while not stop.is_set():
            threads.append(threading.Thread(target=ask))
            threads[-1].start()
            time.sleep(EVERY)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield outcomes
    finally:
        stop.set()
        sender.join()
        for thread in threads:
            thread.join()


def test_no_request_fails_while_the_ports_of_service_and_balancer_change(laptop: Laptop) -> None:
    old, new = laptop.port, free_port()

    with under_load(old) as during_the_release:
        laptop.edit("min_tasks = 2\n", "min_tasks = 2\nport = 9191\n")
        laptop.run("up")

    assert set(during_the_release) == {"200"}
    assert "services are left out, and run as declared" in laptop.run("infra", "plan")

    with under_load(old) as by_the_old_port:
        laptop.edit(f"port = {old}", f"port = {new}")
        laptop.run("up")
        with under_load(new) as by_the_new_port:
            assert f"http://localhost:{new}" in laptop.run("infra", "outputs")

    assert set(by_the_old_port) == set(by_the_new_port) == {"200"}
    laptop.run("up", "--prune")
    with under_load(old) as afterwards:
        pass
    assert "200" not in afterwards
