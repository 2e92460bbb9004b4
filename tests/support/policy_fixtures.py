"""An account that evaluates policies on every call, for a whole module of tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.emulated_account import MODELS
from support.policy_account import Account, served_account


@contextmanager
def account_with_iam() -> Iterator[Account]:
    """Serve an empty account. AWS's models are loaded once for all commands."""
    with pytest.MonkeyPatch.context() as patch, served_account() as account:
        patch.setattr("botocore.session.create_loader", lambda *_: MODELS)
        yield account
