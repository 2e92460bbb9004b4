"""The guard of an environment: no request changes anything outside of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class ChangeGuard:
    """Called before every request that changes something; allows it only inside a run."""

    def __init__(self) -> None:
        self._check: Callable[[], None] | None = None

    def __call__(self) -> None:
        """Raise if the run's lease is lost. A change outside of a run is a bug, and raises RuntimeError."""
        if self._check is None:
            raise RuntimeError("a change outside of a run")
        self._check()

    @contextmanager
    def allowing(self, check: Callable[[], None]) -> Iterator[None]:
        """Allow changes while `check` does not raise."""
        self._check = check
        try:
            yield
        finally:
            self._check = None
