"""The policies under IAM, enforced by the emulator and by the tests, for each persona and with permissions removed.

`ORDEROPS_EVERY_PERMISSION=1 pytest tests/iam/test_enforced.py -k in_turn` removes each permission in turn.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from moto.core.authorization import enable_iam_authentication
from moto.iam.access_control import IAMRequest

from orderops.config.environment import load_environment
from orderops.iam.actions import actions_for, actions_of, calls
from orderops.iam.persona import Persona
from orderops.iam.policies import policies
from orderops.remote.follow import FollowTiming, follow
from support.command_line import Said
from support.policy_account import Account
from support.policy_evaluation import Document, allowing
from support.policy_fixtures import account_with_iam
from support.policy_requests import ACCOUNT, Question
from support.policy_workflows import IMAGE, Operator, shipped
from support.repository import ENVIRONMENTS, SQL

# End to end.
pytestmark = pytest.mark.slow

UP = ("up", "--yes", "--image", IMAGE)
DATABASE = "orderops-dev-database"
EVERY = "ORDEROPS_EVERY_PERMISSION" in os.environ


@pytest.fixture(scope="module", autouse=True)
def _parts_of_a_path_are_no_body() -> Iterator[None]:
    """moto hashes the parts of a path, such as a group's name, as the body of a GET, and finds a wrong signature."""
    with pytest.MonkeyPatch.context() as patch:
        signed = IAMRequest._create_aws_request

        def without_body(request: Any) -> Any:
            if request._method == "GET":
                request._data = {}
            return signed(request)

        patch.setattr(IAMRequest, "_create_aws_request", without_body)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("environments")
    (folder / "dev.toml").write_text(shipped("dev"))
    return folder


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    with account_with_iam() as account:
        yield account


@pytest.fixture(scope="module")
def created(account: Account, folder: Path) -> bytes:
    """An account with dev, created by the operator under the emulator's own IAM, and a user for each persona."""
    for persona in Persona:
        add_user(Operator(account, folder), persona)
    with signed_as(account, folder, Persona.OPERATOR) as operator:
        operator(*UP)
        operator("status")
        operator("history")
        operator("infra", "plan")
    return account.proxy.keep()


@pytest.fixture
def system(account: Account, created: bytes) -> Account:
    account.proxy.bring_back(created)
    account.denied.clear()
    return account


def add_user(administrator: Operator, persona: Persona) -> None:
    """Create a user with the policies of a persona, as far as the emulator supports them."""
    iam = administrator.client("iam")
    iam.create_user(UserName=persona)
    environment = load_environment("dev", ENVIRONMENTS)
    for policy in policies(environment, ACCOUNT, persona):
        document = json.dumps(actions_only(policy.document))
        arn = iam.create_policy(PolicyName=policy.name, PolicyDocument=document)["Policy"]["Arn"]
        iam.attach_user_policy(UserName=persona, PolicyArn=arn)


def actions_only(document: Document) -> dict[str, Any]:
    """Return the policy in moto's terms: it ignores resources and conditions, and two services have other names."""
    actions = {action for statement in document["Statement"] for action in statement["Action"]}
    actions |= {re.sub("^cloudwatch:", "monitoring:", action) for action in actions}
    actions |= {re.sub("^tag:", "tagging:", action) for action in actions}
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": sorted(actions), "Resource": "*"}]}


@contextmanager
def signed_as(account: Account, folder: Path, persona: Persona) -> Iterator[Operator]:
    """Run commands with an access key of that user, while the emulator enforces IAM."""
    key = Operator(account, folder).client("iam").create_access_key(UserName=persona)["AccessKey"]
    with enable_iam_authentication():
        yield Operator(account, folder, None, key=(key["AccessKeyId"], key["SecretAccessKey"]))


def test_the_operator_creates_and_destroys_under_the_emulators_iam(system: Account, folder: Path) -> None:
    with signed_as(system, folder, Persona.OPERATOR) as operator:
        operator("down", "--yes", "--confirm", DATABASE)

    assert not Operator(system, folder).client("rds").describe_db_instances()["DBInstances"]


def test_the_viewer_reads_and_changes_nothing_under_the_emulators_iam(system: Account, folder: Path) -> None:
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
        denied = viewer(*UP, expect=1)

    assert "Traceback" not in denied.err
    # The viewer may read everything that a plan needs. What a change needs first, the lease, it may not write.
    assert "error: bucket orderops-123456789012-ap-southeast-2 belongs to another account, or these cr" in denied.err
    assert system.proxy.changing == ["s3.PutObject"]  # the lease, which was denied


def test_the_pipeline_releases_and_cannot_remove_the_database_under_the_emulators_iam(
    system: Account, folder: Path
) -> None:
    with signed_as(system, folder, Persona.PIPELINE) as pipeline:
        pipeline(*UP[:-1], IMAGE.replace("1" * 64, "2" * 64))
        denied = pipeline("down", "--yes", "--only", f"rds-instance/{DATABASE}", "--confirm", DATABASE, expect=1)

    assert "permission rds:DeleteDBInstance is missing" in denied.err
    assert '"Action":"rds:DeleteDBInstance"' in denied.err
    assert Operator(system, folder).client("rds").describe_db_instances()["DBInstances"]


@pytest.mark.parametrize("persona", [Persona.VIEWER, Persona.PIPELINE])
def test_reading_commands_need_no_more_than_the_policies(system: Account, folder: Path, persona: Persona) -> None:
    reader = Operator(system, folder, persona)
    for argv in (("status",), ("history",), ("infra", "plan"), ("infra", "outputs"), ("doctor",)):
        reader(*argv)

    assert system.denied == []


def test_the_pipeline_creates_an_environment_with_no_more_than_its_policies(account: Account, folder: Path) -> None:
    account.proxy.reset()
    account.denied.clear()

    Operator(account, folder, Persona.PIPELINE)(*UP)

    assert account.denied == []


def test_the_pipeline_asks_which_migrations_are_pending_with_no_more_than_its_policies(
    system: Account, folder: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orderops.remote.job.follow", partial(follow, timing=FollowTiming(log_lag=0.1)))
        asked = Operator(system, folder, Persona.PIPELINE)("migrate", "info", "--sql", str(SQL), expect=1)

    assert "cannot run jobs" in asked.err  # its task is simulated, and ends without output
    assert system.denied == []


def test_policies_of_dev_do_not_allow_another_environment(system: Account, folder: Path) -> None:
    """The same stack under another name, with dev's policies."""
    (folder / "test.toml").write_text(shipped("dev"))

    class OperatorOfDev(Operator):
        def documents(self, env: str) -> list[Document]:
            return super().documents("dev")

    operator = OperatorOfDev(system, folder)

    denied = operator(*UP, env="test", expect=1)

    # The plan already asks for parts of the other environment by name. Whichever is refused first may end it.
    assert re.search(r"permission \w+:\w+ is missing", denied.err)
    assert re.search(r'"Resource":"arn:aws:[^"]*orderops-test', denied.err)
    assert not any("orderops-test" in str(vpc) for vpc in operator.client("ec2").describe_vpcs()["Vpcs"])


STATUS = ("status",)
PLAN = ("infra", "plan")
DOWN = ("down", "--yes", "--confirm", DATABASE)
DEPLOY = ("service", "deploy", "--yes", "--image", IMAGE.replace("1" * 64, "3" * 64))
READS: Mapping[str, Sequence[str]] = {
    "rds:DescribeDBInstances": PLAN,
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
"""Independent of each other, so that one run reports all of them."""


@pytest.mark.parametrize(("action", "argv"), READS.items(), ids=READS)
def test_a_removed_permission_is_reported_with_the_statement_to_add(
    system: Account, folder: Path, action: str, argv: Sequence[str]
) -> None:
    operator = Operator(system, folder, without=frozenset({action}))

    result = operator(*argv, expect=1)

    assert denied_permissions(system, result)[action]


def test_several_removed_permissions_are_reported_in_one_run(account: Account, folder: Path) -> None:
    account.proxy.reset()
    account.denied.clear()

    result = Operator(account, folder, without=frozenset(CREATES))(*UP, expect=1)

    assert {action for action, fixed in denied_permissions(account, result).items() if fixed} == set(CREATES)


@pytest.mark.skipif(not EVERY, reason="takes some ten minutes")
@pytest.mark.parametrize("action", sorted(actions_for(Persona.OPERATOR.commands)) if EVERY else ["all"])
def test_every_permission_removed_in_turn_is_reported_with_the_statement_to_add(
    account: Account, created: bytes, folder: Path, action: str
) -> None:
    operator = Operator(account, folder, without=frozenset({action}))
    callers = {command for call, commands in calls().items() if action in actions_of(call) for command in commands}
    for exists, argv in ((True, STATUS), (True, ("history",)), (True, PLAN), (False, UP), (True, DOWN)):
        if " ".join(argv[: 2 if argv is PLAN else 1]) not in callers:
            continue
        account.proxy.bring_back(created) if exists else account.proxy.reset()
        account.denied.clear()
        result = operator(*argv, expect=None)
        if argv is STATUS:
            # It leaves out what it may not read, and says so.
            assert not account.denied or "may not call" in result.out or result.code == 1
            continue
        if account.denied and result.code == 1:
            assert action in OF_LINKED_ROLES or denied_permissions(account, result)[action]
            return
        assert not account.denied or action in OPTIONAL, result.err
    pytest.skip("none of these commands fails without it")


OPTIONAL = (
    "cloudwatch:DescribeAlarms",  # status reports that the alarms cannot be read
    "ec2:DescribeNetworkInterfaces",  # blockers are reported as far as they are known
    "rds:DescribeDBInstanceAutomatedBackups",  # and so are leftovers
    "rds:DescribeDBSnapshots",
)
"""Permissions without which a command continues."""
OF_LINKED_ROLES = ("iam:CreateServiceLinkedRole",)
"""Their hint is to create the role, once for each account."""


def denied_permissions(account: Account, result: Said) -> dict[str, bool]:
    """Return the denied permissions, and whether the printed statement would allow them."""
    assert "Traceback" not in result.err
    statements = [json.loads(match) for match in re.findall(r"\{\"Effect\".*?\}", result.err)]
    return {question.action: fixed_by_hint(question, result, statements) for _, question in account.denied}


def fixed_by_hint(question: Question, result: Said, statements: list[dict[str, Any]]) -> bool:
    named = f"{question.action} on resource: {question.resource} because" in result.err
    printed = [{"Sid": "", **statement} for statement in statements if statement["Action"] == question.action]
    return named and bool(allowing(question, [{"Statement": printed}]))
