"""Clients of the service at a steady rate, who count what was not answered."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class PageTraffic:
    """The answers to requests for one page."""

    url: str
    answered: int = 0
    failed: list[tuple[float, str]] = field(default_factory=list)
    """When a request failed, and how."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self) -> None:
        """Send a request, and note its answer."""
        try:
            with urllib.request.urlopen(self.url, timeout=10) as response:
                response.read()
        except urllib.error.HTTPError as error:
            self._note(f"{error.code} {error.read()[:200].decode(errors='replace')}")
        except OSError as error:
            self._note(str(error))
        else:
            with self._lock:
                self.answered += 1

    def _note(self, problem: str) -> None:
        with self._lock:
            self.failed.append((time.time(), problem))


@contextmanager
def page_traffic(url: str, *, each_second: int = 20, clients: int = 4) -> Iterator[PageTraffic]:
    """Ask for a page so many times a second while the body runs."""
    traffic, ended = PageTraffic(url), threading.Event()
    pause = clients / each_second

    def run(delay: float) -> None:
        due = time.monotonic() + delay
        while not ended.wait(max(0.0, due - time.monotonic())):
            traffic.ask()
            due = max(due + pause, time.monotonic())

    threads = [threading.Thread(target=run, args=(number * pause / clients,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield traffic
    finally:
        ended.set()
        for thread in threads:
            thread.join()
