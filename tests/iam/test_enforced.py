"""Policies put to the proof: IAM enforced by the emulator and by ourselves, for each persona; permissions taken away.

`ORDEROPS_EVERY_PERMISSION=1 pytest tests/iam/test_enforced.py -k in_turn` takes every permission away in turn.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from moto.core.authorization import enable_iam_authentication

from orderops.config.environment import load_environment
from orderops.iam.actions import Persona, actions_for, actions_of, calls
from orderops.iam.policies import policies
from support.command_line import Said
from support.policy_account import Account
from support.policy_evaluation import Document, allowing
from support.policy_fixtures import weighing
from support.policy_requests import ACCOUNT, Asked
from support.policy_workflows import IMAGE, Operator, shipped
from support.repository import ENVIRONMENTS

UP = ("up", "--yes", "--image", IMAGE)
DATABASE = "orderops-dev-database"
EVERY = "ORDEROPS_EVERY_PERMISSION" in os.environ


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("environments")
    (folder / "dev.toml").write_text(shipped("dev"))
    return folder


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    with weighing() as account:
        yield account


@pytest.fixture(scope="module")
def made(account: Account, folder: Path) -> bytes:
    """The account in which the operator made dev, under the emulator's own IAM; with a user for each persona."""
    for persona in Persona:
        add_user(Operator(account, folder), persona)
    with signed_as(account, folder, Persona.OPERATOR) as operator:
        operator(*UP)
        operator("status")
        operator("history")
        operator("infra", "plan")
    return account.proxy.keep()


@pytest.fixture
def system(account: Account, made: bytes) -> Account:
    account.proxy.bring_back(made)
    account.denied.clear()
    return account


def add_user(hand: Operator, persona: Persona) -> None:
    """A user of the emulator with the policies of a persona, as far as the emulator can read them."""
    iam = hand.client("iam")
    iam.create_user(UserName=persona)
    environment = load_environment("dev", ENVIRONMENTS)
    for policy in policies(environment, ACCOUNT, persona):
        document = json.dumps(actions_only(policy.document))
        made = iam.create_policy(PolicyName=policy.name, PolicyDocument=document)["Policy"]["Arn"]
        iam.attach_user_policy(UserName=persona, PolicyArn=made)


def actions_only(document: Document) -> dict[str, Any]:
    """moto reads neither resources nor conditions, calls two services by other names, and S3's reads by their call."""
    actions = {action for statement in document["Statement"] for action in statement["Action"]}
    actions |= {re.sub("^cloudwatch:", "monitoring:", each) for each in actions}
    actions |= {re.sub("^tag:", "tagging:", each) for each in actions}
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": sorted(actions), "Resource": "*"}]}


@contextmanager
def signed_as(account: Account, folder: Path, persona: Persona) -> Iterator[Operator]:
    """Commands with keys of that user, while the emulator enforces IAM."""
    key = Operator(account, folder).client("iam").create_access_key(UserName=persona)["AccessKey"]
    with enable_iam_authentication():
        yield Operator(account, folder, None, key=(key["AccessKeyId"], key["SecretAccessKey"]))


def test_the_operator_makes_looks_and_removes_under_the_emulators_iam(system: Account, folder: Path) -> None:
    with signed_as(system, folder, Persona.OPERATOR) as operator:
        operator("down", "--yes", "--confirm", DATABASE)

    assert not Operator(system, folder).client("rds").describe_db_instances()["DBInstances"]


def test_the_viewer_looks_and_changes_nothing_under_the_emulators_iam(system: Account, folder: Path) -> None:
    (folder / "more").mkdir()
    (folder / "more" / "dev.toml").write_text(
        shipped("dev").replace("visibility_timeout = 30", "visibility_timeout = 31")
    )

    with signed_as(system, folder, Persona.VIEWER) as viewer:
        system.proxy.forget()
        viewer("status")
        viewer("infra", "plan")
        viewer("infra", "outputs")
        viewer("history")
        viewer.folder = folder / "more"
        refused = viewer(*UP, expect=1)

    assert "Traceback" not in refused.err
    assert "user/viewer may not ecs:" in refused.err
    assert "hint: add to its policies: " in refused.err
    assert system.proxy.changing == []


def test_the_pipeline_releases_and_cannot_remove_the_database_under_the_emulators_iam(
    system: Account, folder: Path
) -> None:
    with signed_as(system, folder, Persona.PIPELINE) as pipeline:
        pipeline(*UP[:-1], IMAGE.replace("1" * 64, "2" * 64))
        refused = pipeline("down", "--yes", "--only", f"rds-instance/{DATABASE}", "--confirm", DATABASE, expect=1)

    assert "may not rds:DeleteDBInstance" in refused.err
    assert '"Action":"rds:DeleteDBInstance"' in refused.err
    assert Operator(system, folder).client("rds").describe_db_instances()["DBInstances"]


@pytest.mark.parametrize("persona", [Persona.VIEWER, Persona.PIPELINE])
def test_what_looks_looks_with_no_more_than_its_policies(system: Account, folder: Path, persona: Persona) -> None:
    looking = Operator(system, folder, persona)
    for words in (("status",), ("history",), ("infra", "plan"), ("infra", "outputs"), ("doctor",)):
        looking(*words)

    assert system.denied == []


def test_the_pipeline_makes_everything_from_nothing_with_no_more_than_its_policies(
    account: Account, folder: Path
) -> None:
    account.proxy.reset()
    account.denied.clear()

    Operator(account, folder, Persona.PIPELINE)(*UP)

    assert account.denied == []


def test_another_environment_is_out_of_reach(system: Account, folder: Path) -> None:
    """The same stack under another name, with dev's policies."""
    (folder / "test.toml").write_text(shipped("dev"))

    class OfDev(Operator):
        def documents(self, env: str) -> list[Document]:
            return super().documents("dev")

    refused = OfDev(system, folder)(*UP, env="test", expect=1)

    assert "may not s3:GetObject" in refused.err
    assert '"Resource":"arn:aws:s3:::orderops-123456789012-ap-southeast-2/test/lease.json"' in refused.err


STATUS = ("status",)
PLAN = ("infra", "plan")
DOWN = ("down", "--yes", "--confirm", DATABASE)
DEPLOY = ("service", "deploy", "--yes", "--image", IMAGE.replace("1" * 64, "3" * 64))
READS: Mapping[str, Sequence[str]] = {
    "rds:DescribeDBInstances": STATUS,
    "sqs:GetQueueUrl": STATUS,
    "elasticloadbalancing:DescribeTargetHealth": STATUS,
    "ec2:DescribeVpcs": PLAN,
    "secretsmanager:GetSecretValue": PLAN,
    "s3:GetBucketPolicy": PLAN,
    "s3:ListBucket": ("history",),
    "iam:PassRole": DEPLOY,
    "ecs:UpdateService": DEPLOY,
}
CREATES = (
    "ec2:CreateTags",
    "sqs:CreateQueue",
    "logs:PutRetentionPolicy",
    "s3:PutBucketPolicy",
    "rds:AddTagsToResource",
    "ecr:PutLifecyclePolicy",
)
"""What no other of these waits for: one run meets them all."""


@pytest.mark.parametrize(("action", "words"), READS.items(), ids=READS)
def test_a_permission_that_was_taken_away_is_named_with_the_statement_to_add(
    system: Account, folder: Path, action: str, words: Sequence[str]
) -> None:
    poorer = Operator(system, folder, without=frozenset({action}))

    said = poorer(*words, expect=1)

    assert told(system, said)[action]


def test_several_that_were_taken_away_are_named_in_one_run(account: Account, folder: Path) -> None:
    account.proxy.reset()
    account.denied.clear()

    said = Operator(account, folder, without=frozenset(CREATES))(*UP, expect=1)

    assert {action for action, right in told(account, said).items() if right} == set(CREATES)


@pytest.mark.skipif(not EVERY, reason="takes some ten minutes")
@pytest.mark.parametrize("action", sorted(actions_for(Persona.OPERATOR.commands)) if EVERY else ["each"])
def test_every_permission_taken_away_in_turn_is_named_with_the_statement_to_add(
    account: Account, made: bytes, folder: Path, action: str
) -> None:
    poorer = Operator(account, folder, without=frozenset({action}))
    makers = {command for call, commands in calls().items() if action in actions_of(call) for command in commands}
    for there, words in ((True, STATUS), (True, ("history",)), (True, PLAN), (False, UP), (True, DOWN)):
        if " ".join(words[: 2 if words is PLAN else 1]) not in makers:
            continue
        account.proxy.bring_back(made) if there else account.proxy.reset()
        account.denied.clear()
        said = poorer(*words, expect=None)
        if account.denied and said.code == 1:
            assert action in OF_LINKED_ROLES or told(account, said)[action]
            return
        assert not account.denied or action in ENDURED, said.err
    pytest.skip("none of these commands is stopped without it")


ENDURED = (
    "cloudwatch:DescribeAlarms",  # the status says that alarms cannot be read
    "ec2:DescribeNetworkInterfaces",  # who holds a thing is told as far as it is known
    "rds:DescribeDBInstanceAutomatedBackups",  # what is left behind too
    "rds:DescribeDBSnapshots",
)
"""What some commands do without."""
OF_LINKED_ROLES = ("iam:CreateServiceLinkedRole",)
"""Told by how to make the role, once for the whole account."""


def told(account: Account, said: Said) -> dict[str, bool]:
    """The permissions that were denied, and whether the statement that was printed would allow just that."""
    assert "Traceback" not in said.err
    statements = [json.loads(each) for each in re.findall(r"\{\"Effect\".*?\}", said.err)]
    return {question.action: answered(question, said, statements) for _, question in account.denied}


def answered(question: Asked, said: Said, statements: list[dict[str, Any]]) -> bool:
    named = f"{question.action} on resource: {question.resource} because" in said.err
    right = [each for each in statements if each["Action"] == question.action]
    return named and bool(allowing(question, [{"Statement": [{"Sid": "", **each} for each in right]}]))
