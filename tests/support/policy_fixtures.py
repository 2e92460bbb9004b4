"""An account that weighs every call, for a whole module of tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.emulated_account import MODELS
from support.policy_account import Account, watched


@contextmanager
def weighing() -> Iterator[Account]:
    """An empty account; AWS's models are read once for all commands."""
    with pytest.MonkeyPatch.context() as patch, watched() as account:
        patch.setattr("botocore.session.create_loader", lambda *_: MODELS)
        yield account
