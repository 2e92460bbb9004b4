"""What an environment needs of the account's quotas."""

from __future__ import annotations

from orderops.config.environment import Environment
from orderops.infra.quotas import needed


def test_each_read_replica_counts_as_an_instance() -> None:
    database = {"master": "own", "replicas": 3}
    environment = Environment.model_validate({"name": "dev", "database": database, "services": {"shop": {}}})

    assert {quota.code: number for quota, number in needed(environment).items()}["L-7B6409FD"] == 4
