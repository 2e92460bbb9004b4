"""A sample of the proof that a killed rotation locks nobody out; benchmarks/prove.py tries every call."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orderops.local.rds.postgres import PostgresServer
from orderops.local.strict.delays import Delays
from support.faulty_proxy import Fate, served
from support.proof import Workflow, killed_at
from support.rotation_proof import RotationProof, databases_here, gateway, rotation

pytestmark = pytest.mark.slow

pytest_plugins = ["support.postgres_fixtures"]
SWIFT = Delays(database=0.05, backup_lag=0.1, task=0.02, secret=0.05)


@pytest.fixture(scope="module")
def proof(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RotationProof]:
    with databases_here(), served(SWIFT) as account:
        yield RotationProof(account, tmp_path_factory.mktemp("logs"), postgres)


@pytest.fixture(scope="module")
def workflow(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workflow]:
    with gateway(postgres, tmp_path_factory.mktemp("certificate")) as port:
        yield rotation(tmp_path_factory.mktemp("environments") / "rotate", port)


@pytest.mark.parametrize("fate", [Fate.UNDONE, Fate.UNANSWERED])
@pytest.mark.parametrize(
    ("action", "nth"), [("PutSecretValue", 2), ("UpdateSecretVersionStage", 1), ("UpdateSecretVersionStage", 3)]
)
def test_a_rotation_that_is_killed_comes_to_the_same_end_and_no_login_fails(
    proof: RotationProof, workflow: Workflow, action: str, nth: int, fate: Fate
) -> None:
    verdict = proof.tried(workflow, f"{action} {nth} {fate}", killed_at(f"secretsmanager.{action}", nth, fate))

    assert verdict.reached, verdict
    assert verdict.right, verdict
