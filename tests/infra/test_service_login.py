"""The switch of the services to their own database login, whatever interrupts it."""

from __future__ import annotations

from itertools import islice

import pytest

from orderops.aws.ownership import from_pairs
from orderops.infra.apply import Apply
from orderops.infra.service_login import LoginSwitch, login_is_due
from orderops.restore.login_carry import service_secret_to_carry
from orderops.restore.promotion import switch
from support.recorded_history import DATABASE, RESTORED_INSTANCE, Dev

# End to end.
pytestmark = pytest.mark.slow

pytest_plugins = ["support.recorded_history_fixtures"]

LOGIN, TASK_ROLE = "orderops/dev/database-login", "orderops-dev-order-processor-task"


def secret_arn(dev: Dev) -> str:
    return str(dev.workspace.aws.secretsmanager.describe_secret(SecretId=LOGIN)["ARN"])


def readable_secrets(dev: Dev, role: str = TASK_ROLE) -> list[str]:
    """The secrets that the role's policy names, without their random ends."""
    policy = dev.workspace.aws.iam.get_role_policy(RoleName=role, PolicyName="orderops")["PolicyDocument"]
    arns = [
        arn
        for statement in policy["Statement"]
        if "secretsmanager:GetSecretValue" in statement["Action"]
        for arn in statement["Resource"]
    ]
    return sorted(arn.partition(":secret:")[2].rpartition("-")[0].partition("!")[0] for arn in arns)


def switched(dev: Dev) -> None:
    change = LoginSwitch(dev.workspace)
    list(change.prepare())
    list(change.finish())


def test_a_new_environment_has_the_secret_and_still_uses_the_master_user(dev: Dev) -> None:
    pointer = dev.pointer()

    assert login_is_due(dev.workspace)
    assert pointer["credentials"] == pointer["master"]
    assert readable_secrets(dev) == ["orderops/dev/database", LOGIN, "rds"]
    assert not dev.has_changes()


def test_after_the_switch_the_services_cannot_read_the_master_users_password(dev: Dev) -> None:
    master = dev.pointer()["master"]

    switched(dev)

    assert dev.pointer()["credentials"] == secret_arn(dev)
    assert dev.pointer()["master"] == master
    assert readable_secrets(dev) == ["orderops/dev/database", LOGIN]
    assert not login_is_due(dev.workspace)
    assert not dev.has_changes()


def test_only_jobs_read_the_passwords_of_all_instances(dev: Dev) -> None:
    assert "rds" in readable_secrets(dev, "orderops-dev-order-processor-jobs")


def test_a_service_is_never_pointed_to_a_secret_that_it_may_not_read(dev: Dev) -> None:
    dev.workspace.aws.iam.delete_role_policy(RoleName=TASK_ROLE, PolicyName="orderops")

    list(LoginSwitch(dev.workspace).prepare())

    assert readable_secrets(dev) == ["orderops/dev/database", LOGIN, "rds"]


@pytest.mark.parametrize("steps", range(3))
def test_an_interrupted_switch_is_due_again_or_completed_by_apply(dev: Dev, steps: int) -> None:
    change = LoginSwitch(dev.workspace)
    list(change.prepare())
    list(islice(change.finish(), steps))

    assert dev.pointer()["credentials"] in (secret_arn(dev), dev.pointer()["master"])
    if login_is_due(dev.workspace):
        switched(dev)
    else:
        run = Apply(dev.workspace)
        list(run.infra())
        list(run.narrow())

    assert dev.pointer()["credentials"] == secret_arn(dev)
    assert readable_secrets(dev) == ["orderops/dev/database", LOGIN]


def test_repeating_the_switch_changes_nothing(dev: Dev) -> None:
    switched(dev)
    change = LoginSwitch(dev.workspace)

    assert [*change.prepare(), *change.finish()] == []


def test_a_secret_made_again_leads_back_to_the_master_user_until_the_role_has_its_password(dev: Dev) -> None:
    switched(dev)
    aws = dev.workspace.aws
    aws.secretsmanager.delete_secret(SecretId=LOGIN, ForceDeleteWithoutRecovery=True)

    list(LoginSwitch(dev.workspace).prepare())

    assert login_is_due(dev.workspace)
    list(Apply(dev.workspace).infra())
    assert dev.pointer()["credentials"] == dev.pointer()["master"]


def test_a_promotion_carries_the_login_along(restored: Dev) -> None:
    switched(restored)

    change = switch(restored.instances(), None)

    assert change.to.name == RESTORED_INSTANCE
    assert service_secret_to_carry(change) == secret_arn(restored)


def test_without_a_login_of_their_own_services_follow_with_the_master_user_of_the_promoted_instance(
    restored: Dev,
) -> None:
    assert service_secret_to_carry(switch(restored.instances(), None)) == ""

    restored.promote()

    assert restored.pointer()["credentials"] == restored.pointer()["master"]


def test_the_instance_names_the_secret_that_opens_it(dev: Dev) -> None:
    switched(dev)

    [raw] = dev.workspace.aws.rds.describe_db_instances(DBInstanceIdentifier=DATABASE)["DBInstances"]
    assert from_pairs(raw["TagList"])["orderops:service-secret"] == secret_arn(dev)
