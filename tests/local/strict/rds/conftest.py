"""Strict RDS without the passage of time: tests decide when an instance reaches its next state."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orderops.local.strict.delays import Delays
from support.service_roles import give_rds_its_role
from support.strict_account import strict_account
from support.strict_clients import Client


@pytest.fixture(scope="package")
def strict_server() -> Iterator[Client]:
    with strict_account(Delays(database=3600, backup_lag=0.2)) as client:
        yield client


@pytest.fixture(autouse=True)
def _used_account(_empty_account: None) -> None:
    give_rds_its_role()
