"""An account that weighs every call, for a whole module of tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from support.policy_account import Account, watched


@contextmanager
def weighing() -> Iterator[Account]:
    """An empty account."""
    with watched() as account:
        yield account
