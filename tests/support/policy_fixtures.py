"""An account that evaluates policies on every call, for a whole module of tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from support.policy_account import Account, served_account


@contextmanager
def account_with_iam() -> Iterator[Account]:
    """Serve an empty account."""
    with served_account() as account:
        yield account
