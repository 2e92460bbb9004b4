"""A sample of the proof that nothing breaks a workflow; benchmarks/prove.py tries every place."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from support.faulty_proxy import Proxy
from support.proof import (
    Proof,
    Workflow,
    crash_points,
    disturbed_by,
    every_answer_lost,
    killed_at,
    two_at_once,
    workflows,
)

KILLS = 1
"""How many of the crash points of some workflows are tried here."""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def proof(account: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Proof:
    return Proof(account, tmp_path_factory.mktemp("logs"))


@pytest.fixture(scope="session")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Workflow]:
    return workflows(tmp_path_factory.mktemp("environments"))


def check(proof: Proof, workflow: Workflow, said: str, disturb: Callable[[Proof, Workflow], bool]) -> None:
    verdict = proof.tried(workflow, said, disturb)

    assert verdict.reached, verdict
    assert verdict.right, verdict


@pytest.mark.parametrize("place", range(KILLS))
@pytest.mark.parametrize("name", ["promote"])
def test_killed_at_a_call_it_is_finished_by_the_same_command(
    proof: Proof, known: dict[str, Workflow], name: str, place: int
) -> None:
    # what is called once at least is called by every run; how often it is called again, time decides
    points = [point for point in crash_points(proof.undisturbed(known[name]).calls) if point[1] == 1]
    action, nth, fate = random.Random(name).sample(points, KILLS)[place]

    check(proof, known[name], f"{action} {nth} {fate}", killed_at(action, nth, fate))


@pytest.mark.parametrize("name", ["up"])
def test_two_operators_at_once_end_as_one_would(proof: Proof, known: dict[str, Workflow], name: str) -> None:
    check(proof, known[name], "two operators", two_at_once)


def test_every_answer_lost_and_reads_that_lag_end_as_if_nothing_were(proof: Proof, known: dict[str, Workflow]) -> None:
    check(proof, known["apply"], "every answer lost, reads lag 2 s", disturbed_by(every_answer_lost(), lag=2.0))


def test_a_workflow_that_would_double_something_is_caught(proof: Proof, known: dict[str, Workflow]) -> None:
    def made_by_hand(proof: Proof, workflow: Workflow) -> bool:
        vpc = proof.client("ec2").create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        proof.client("ec2").create_tags(Resources=[vpc], Tags=[{"Key": "Name", "Value": "orderops-dev-vpc"}])
        proof.client("sqs").create_queue(QueueName="nobodys")
        return True

    verdict = proof.tried(known["deploy"], "by hand", made_by_hand)

    assert not verdict.right
    assert "queue: nobodys" in verdict.orphaned
