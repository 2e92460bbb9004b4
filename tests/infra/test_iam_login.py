"""The switch of the services to tokens of IAM and back, and the promotion of another instance meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pytest

from orderops.engine.step import Step
from orderops.errors import OrderopsError
from orderops.frozen import replace
from orderops.infra.apply import Apply
from orderops.infra.service_login import LoginSwitch, login_is_due, password_is_due, tag_with_login
from orderops.infra.workspace import Workspace
from orderops.restore.instances import Instances
from orderops.restore.login_carry import with_login_carried
from orderops.restore.promotion import Promotion, Switch, check_alike, switch, switch_back
from support.emulated_account import QUICK
from support.recorded_history import DATABASE, RESTORED_INSTANCE, Dev

# End to end.
pytestmark = pytest.mark.slow

pytest_plugins = ["support.recorded_history_fixtures"]

TASK_ROLE = "orderops-dev-order-processor-task"
USER = "orderops_service_iam"


@dataclass
class Account:
    """What AWS decides a login by, as an operator reads it."""

    dev: Dev

    def instance(self, name: str) -> dict[str, Any]:
        [raw] = self.dev.workspace.aws.rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
        return dict(raw)

    def takes_tokens(self, name: str) -> bool:
        return bool(self.instance(name)["IAMDatabaseAuthenticationEnabled"])

    def user(self, name: str = DATABASE) -> str:
        """The ARN of the database user in an instance."""
        resource = self.instance(name)["DbiResourceId"]
        return f"arn:aws:rds-db:ap-southeast-2:123456789012:dbuser:{resource}/{USER}"

    def permitted(self, role: str = TASK_ROLE) -> list[str]:
        """The database users that a role may connect as."""
        policy = self.dev.workspace.aws.iam.get_role_policy(RoleName=role, PolicyName="orderops")["PolicyDocument"]
        statements = [entry for entry in policy["Statement"] if "rds-db:connect" in entry["Action"]]
        assert all(entry["Action"] == ["rds-db:connect"] for entry in statements)
        return sorted(arn for entry in statements for arn in entry["Resource"])

    def turn_tokens_off(self, name: str) -> None:
        with self.dev.proxy.held():
            self.dev.record(name).enable_iam_database_authentication = False

    @property
    def by_password(self) -> Workspace:
        """The environment with `login = "password"` in its file."""
        workspace = self.dev.workspace
        declared = workspace.environment
        database = declared.database.model_copy(update={"login": "password"})
        return Workspace(declared.model_copy(update={"database": database}), workspace.aws)


@pytest.fixture
def account(dev: Dev) -> Account:
    return Account(dev)


def switched(dev: Dev) -> None:
    change = LoginSwitch(dev.workspace)
    list(change.prepare())
    list(change.finish())


def test_services_log_in_with_tokens_once_the_role_is_made(dev: Dev, account: Account) -> None:
    assert "login" not in dev.pointer()

    switched(dev)

    pointer = dev.pointer()
    assert (pointer["login"], pointer["username"], pointer["region"]) == ("iam", USER, "ap-southeast-2")
    assert pointer["credentials"] != pointer["master"]
    assert account.permitted() == [account.user()]
    assert not login_is_due(dev.workspace)
    assert not dev.has_changes()


def test_only_tasks_of_the_service_may_connect_with_tokens(dev: Dev, account: Account) -> None:
    switched(dev)

    assert account.permitted("orderops-dev-order-processor-jobs") == []


def test_an_instance_that_takes_no_tokens_is_told_before_anything_changes(dev: Dev, account: Account) -> None:
    account.turn_tokens_off(DATABASE)
    before = dev.changes()

    with pytest.raises(OrderopsError, match="takes no tokens of IAM: its IAM authentication is off") as refusal:
        switched(dev)

    assert refusal.value.hint == "turn it on: orderops infra apply --env dev"
    assert dev.changes() == before


def test_the_role_made_for_the_password_alone_leaves_the_switch_due(dev: Dev, account: Account) -> None:
    change = LoginSwitch(account.by_password)
    list(change.prepare())
    list(change.finish())

    assert not login_is_due(account.by_password)
    assert login_is_due(dev.workspace)
    assert not password_is_due(dev.workspace)
    assert "login" not in dev.pointer()


def test_an_older_orderops_in_the_image_leaves_the_services_with_the_password(dev: Dev, account: Account) -> None:
    change = LoginSwitch(dev.workspace)
    list(change.prepare())
    list(change.finish(tokens=False))

    pointer = dev.pointer()
    assert "login" not in pointer
    assert pointer["credentials"] != pointer["master"]
    assert login_is_due(dev.workspace)


@pytest.mark.parametrize("steps", range(3))
def test_an_interrupted_switch_is_due_again_or_completed_by_apply(dev: Dev, account: Account, steps: int) -> None:
    change = LoginSwitch(dev.workspace)
    list(change.prepare())
    list(islice(change.finish(), steps))

    assert "login" not in dev.pointer() or account.permitted() == [account.user()]
    if login_is_due(dev.workspace):
        switched(dev)
    else:
        run = Apply(dev.workspace)
        list(run.infra())
        list(run.narrow())

    assert dev.pointer()["login"] == "iam"
    assert account.permitted() == [account.user()]


def test_the_password_is_back_before_the_permission_for_tokens_is_taken(dev: Dev, account: Account) -> None:
    switched(dev)
    run = Apply(account.by_password)

    list(run.infra())
    assert "login" not in dev.pointer()
    assert account.permitted() == [account.user()]
    list(run.narrow())

    assert account.permitted() == []
    assert not login_is_due(account.by_password)


def test_turning_tokens_on_again_needs_no_database(dev: Dev, account: Account) -> None:
    switched(dev)
    for workspace in (account.by_password, dev.workspace):
        run = Apply(workspace)
        list(run.infra())
        list(run.narrow())

    assert dev.pointer()["login"] == "iam"
    assert account.permitted() == [account.user()]


def promotion(dev: Dev, decide: Callable[[Instances], Switch]) -> Promotion:
    """What `restore promote` carries out, with the role in the database taken as made."""
    change = decide(dev.instances())
    to = with_login_carried(change)
    if to is not change.to:
        properties = to.observed.properties
        secret, user = properties["ServiceSecretArn"], properties["ServiceIamUser"]
        tag_with_login(dev.workspace.aws, to.observed, secret, user)
    return Promotion(dev.workspace, replace(change, to=to), limits=QUICK)


def to_the_restored(instances: Instances) -> Switch:
    return switch(instances, None)


def stepwise(dev: Dev, account: Account, steps: Iterator[Step]) -> Iterator[Step]:
    """Check after every step that the tasks may connect to the instance that the pointer names."""
    for step in steps:
        assert account.user(dev.pointed_instance()) in account.permitted()
        assert account.takes_tokens(dev.pointed_instance())
        yield step


@pytest.fixture
def at_two(restored: Dev) -> Account:
    """Services that log in with tokens, and a restored instance that takes none."""
    switched(restored)
    account = Account(restored)
    account.turn_tokens_off(RESTORED_INSTANCE)
    return account


def test_a_promotion_carries_the_permission_along_before_the_pointer_moves(at_two: Account) -> None:
    dev = at_two.dev
    before, after = at_two.user(DATABASE), at_two.user(RESTORED_INSTANCE)
    assert before != after

    seen = [
        (step.address.partition("/")[0], at_two.permitted())
        for step in stepwise(dev, at_two, promotion(dev, to_the_restored).run())
        if dev.pointed_instance() == DATABASE
    ]

    assert seen[:2] == [("rds-instance", [before]), ("iam-role", sorted([before, after]))]
    assert dev.pointed_instance() == RESTORED_INSTANCE
    assert (dev.pointer()["login"], dev.pointer()["username"]) == ("iam", USER)
    assert at_two.permitted() == [after]
    assert not dev.has_changes()


def test_a_plan_of_a_promotion_changes_nothing_and_names_the_authentication(at_two: Account) -> None:
    change = promotion(at_two.dev, to_the_restored)
    before = at_two.dev.changes()

    steps = change.plan()

    assert {"EnableIAMDatabaseAuthentication": (False, True)} in [step.changes for step in steps]
    assert at_two.dev.changes() == before


def test_switching_back_carries_the_permission_back(at_two: Account) -> None:
    dev = at_two.dev
    list(promotion(dev, to_the_restored).run())

    list(stepwise(dev, at_two, promotion(dev, switch_back).run()))

    assert dev.pointed_instance() == DATABASE
    assert at_two.permitted() == [at_two.user(DATABASE)]


@pytest.mark.parametrize("steps", range(7))
def test_a_promotion_interrupted_after_any_step_is_completed_by_the_next(at_two: Account, steps: int) -> None:
    dev = at_two.dev
    list(islice(stepwise(dev, at_two, promotion(dev, to_the_restored).run()), steps))

    list(stepwise(dev, at_two, promotion(dev, to_the_restored).run()))

    assert dev.pointed_instance() == RESTORED_INSTANCE
    assert at_two.permitted() == [at_two.user(RESTORED_INSTANCE)]
    assert not dev.has_changes()


def test_iam_authentication_alone_keeps_no_instance_from_being_promoted(at_two: Account) -> None:
    check_alike(to_the_restored(at_two.dev.instances()))


def test_a_promotion_of_services_that_log_in_by_password_turns_nothing_on(restored: Dev) -> None:
    account = Account(restored)
    account.turn_tokens_off(RESTORED_INSTANCE)

    list(promotion(restored, to_the_restored).run())

    assert not account.takes_tokens(RESTORED_INSTANCE)
    assert "login" not in restored.pointer()


def test_a_restored_instance_takes_tokens_as_its_source_does(restored: Dev) -> None:
    assert Account(restored).takes_tokens(RESTORED_INSTANCE)
