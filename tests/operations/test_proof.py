"""A sample of the interruption proof; benchmarks/prove.py tries every call."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from support.faulty_proxy import Fate, Proxy
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
"""The number of crash points of each workflow that are tried here."""
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
def test_a_workflow_killed_at_a_call_is_completed_by_a_re_run(
    proof: Proof, known: dict[str, Workflow], name: str, place: int
) -> None:
    # what is called once at least is called by every run; how often it is called again, time decides
    points = [point for point in crash_points(proof.undisturbed(known[name]).calls) if point[1] == 1]
    action, nth, fate = random.Random(name).sample(points, KILLS)[place]

    check(proof, known[name], f"{action} {nth} {fate}", killed_at(action, nth, fate))


@pytest.mark.parametrize(
    ("name", "action", "fate"),
    [
        ("bands", "monitoring.PutAnomalyDetector", Fate.UNANSWERED),
        ("bands", "monitoring.PutMetricAlarm", Fate.UNDONE),
        ("bands off", "monitoring.DeleteAlarms", Fate.UNANSWERED),
        ("bands off", "monitoring.DeleteAnomalyDetector", Fate.UNDONE),
    ],
)
def test_anomaly_detection_switched_on_or_off_survives_a_kill(
    proof: Proof, known: dict[str, Workflow], name: str, action: str, fate: Fate
) -> None:
    check(proof, known[name], f"{action} 1 {fate}", killed_at(action, 1, fate))


@pytest.mark.parametrize(
    ("name", "action", "fate"),
    [
        ("rest", "apigateway.CreateRestApi", Fate.UNANSWERED),
        ("rest", "apigateway.PutRestApi", Fate.UNANSWERED),
        ("rest", "apigateway.CreateDeployment", Fate.UNDONE),
        ("rest", "apigateway.UpdateStage", Fate.UNDONE),
        ("rest", "apigateway.CreateUsagePlan", Fate.UNANSWERED),
        ("rest", "apigateway.UpdateAccount", Fate.UNDONE),
        ("rest off", "apigateway.UpdateUsagePlan", Fate.UNANSWERED),
        ("rest off", "apigateway.DeleteStage", Fate.UNDONE),
        ("rest off", "apigateway.DeleteRestApi", Fate.UNANSWERED),
    ],
)
def test_a_rest_api_added_or_taken_away_survives_a_kill(
    proof: Proof, known: dict[str, Workflow], name: str, action: str, fate: Fate
) -> None:
    check(proof, known[name], f"{action} 1 {fate}", killed_at(action, 1, fate))


@pytest.mark.parametrize(
    ("name", "action", "fate"),
    [
        ("waf", "wafv2.CreateWebACL", Fate.UNANSWERED),
        ("waf", "wafv2.AssociateWebACL", Fate.UNDONE),
        ("waf change", "wafv2.UpdateWebACL", Fate.UNANSWERED),
        ("waf off", "wafv2.DisassociateWebACL", Fate.UNANSWERED),
        ("waf off", "wafv2.DeleteWebACL", Fate.UNDONE),
    ],
)
def test_a_firewall_put_up_changed_or_taken_away_survives_a_kill(
    proof: Proof, known: dict[str, Workflow], name: str, action: str, fate: Fate
) -> None:
    check(proof, known[name], f"{action} 1 {fate}", killed_at(action, 1, fate))


@pytest.mark.parametrize(
    ("name", "action", "fate"),
    [
        ("rest waf moved", "wafv2.AssociateWebACL", Fate.UNANSWERED),
        ("rest waf off", "wafv2.DisassociateWebACL", Fate.UNDONE),
        ("api name moved", "apigateway.CreateDomainName", Fate.UNANSWERED),
        ("api name moved", "route53.ChangeResourceRecordSets", Fate.UNDONE),
        ("api name off", "apigateway.DeleteApiMapping", Fate.UNANSWERED),
        ("api name off", "apigateway.DeleteDomainName", Fate.UNDONE),
    ],
)
def test_a_firewall_or_a_name_given_to_an_api_or_taken_from_it_survives_a_kill(
    proof: Proof, known: dict[str, Workflow], name: str, action: str, fate: Fate
) -> None:
    check(proof, known[name], f"{action} 1 {fate}", killed_at(action, 1, fate))


@pytest.mark.parametrize(
    ("name", "action", "fate"),
    [
        ("replicas", "rds.CreateDBInstanceReadReplica", Fate.UNANSWERED),
        ("replicas", "secretsmanager.PutSecretValue", Fate.UNDONE),
        ("replicas off", "secretsmanager.PutSecretValue", Fate.UNANSWERED),
        ("replicas off", "rds.DeleteDBInstance", Fate.UNDONE),
        ("promote replica", "rds.PromoteReadReplica", Fate.UNANSWERED),
        ("promote replica", "rds.AddTagsToResource", Fate.UNDONE),
    ],
)
def test_a_read_replica_added_removed_or_promoted_survives_a_kill(
    proof: Proof, known: dict[str, Workflow], name: str, action: str, fate: Fate
) -> None:
    check(proof, known[name], f"{action} 1 {fate}", killed_at(action, 1, fate))


@pytest.mark.parametrize(
    ("action", "fate"),
    [
        ("rds.ModifyDBInstance", Fate.UNDONE),
        ("rds.ModifyDBInstance", Fate.UNANSWERED),
        ("monitoring.PutMetricAlarm", Fate.UNDONE),
    ],
)
def test_a_change_of_the_class_survives_a_kill(
    proof: Proof, known: dict[str, Workflow], action: str, fate: Fate
) -> None:
    check(proof, known["scale"], f"{action} 1 {fate}", killed_at(action, 1, fate))


@pytest.mark.parametrize("name", ["up"])
def test_two_concurrent_operators_reach_the_state_of_one(proof: Proof, known: dict[str, Workflow], name: str) -> None:
    check(proof, known[name], "two operators", two_at_once)


def test_lost_answers_and_lagging_reads_do_not_change_the_final_state(proof: Proof, known: dict[str, Workflow]) -> None:
    check(proof, known["apply"], "every answer lost, reads lag 2 s", disturbed_by(every_answer_lost(), lag=2.0))


def test_the_proof_detects_a_workflow_that_creates_duplicates(proof: Proof, known: dict[str, Workflow]) -> None:
    def made_by_hand(proof: Proof, workflow: Workflow) -> bool:
        vpc = proof.client("ec2").create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        proof.client("ec2").create_tags(Resources=[vpc], Tags=[{"Key": "Name", "Value": "orderops-dev-vpc"}])
        proof.client("sqs").create_queue(QueueName="nobodys")
        return True

    verdict = proof.tried(known["deploy"], "by hand", made_by_hand)

    assert not verdict.right
    assert "queue: nobodys" in verdict.orphaned
