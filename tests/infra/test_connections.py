"""Connections of a release against the server in the account, where that differs from the declared one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from orderops.config.environment import Environment
from orderops.engine.resource import Effect, Observed, Outputs, PendingChange
from orderops.engine.step import Action, Step
from orderops.errors import OrderopsError
from orderops.infra.connections import check_connections
from orderops.infra.stack import Stack, stack

DATABASE, SERVICE = "rds-instance/orderops-dev-database", "ecs-service/orderops-dev-shop"
RELEASE = Step(SERVICE, Action.UPDATE, {"TaskDefinition": ("1", "2")})
CLASS_CHANGE = PendingChange(
    "DBInstanceClass",
    "DBInstanceClass db.t3.micro -> db.t3.medium",
    Effect.INTERRUPTS,
    "the maintenance window",
    "aws rds modify-db-instance",
)


def environment(**service: Any) -> Stack:
    """An environment on a db.t3.medium; its service opens 2 x 10 x 10 connections during a deployment."""
    declared = {"max_tasks": 10, "pool_size": 10, **service}
    table = {"name": "dev", "database": {"instance_class": "db.t3.medium"}, "services": {"shop": declared}}
    return stack(Environment.model_validate(table), "1" * 12)


def account(
    declared: Stack,
    instance_class: str,
    parameters: Mapping[str, str] | None = None,
    pending: tuple[PendingChange, ...] = (),
) -> Outputs:
    """Outputs of an account whose server has this class and these parameters."""
    outputs = Outputs("ap-southeast-2", "1" * 12)
    outputs[declared.database] = Observed("db", {"DBInstanceClassNow": instance_class}, pending=pending)
    outputs[declared.database.parameter_group] = Observed("group", {"Parameters": dict(parameters or {})})
    return outputs


def test_the_declared_server_takes_a_declared_release() -> None:
    declared = environment()

    check_connections(declared, account(declared, "db.t3.medium"), [RELEASE])


def test_a_smaller_server_than_declared_refuses_the_release_with_sum_limit_and_way_out() -> None:
    declared = environment()

    with pytest.raises(OrderopsError) as refused:
        check_connections(declared, account(declared, "db.t3.micro"), [RELEASE])

    assert refused.value.message == (
        "all services open up to 200 database connections during a deployment (2 x max_tasks x pool_size); "
        "rds-instance/orderops-dev-database is a db.t3.micro, has about 80 and keeps 15 for RDS, migrations and "
        "operators, which leaves 65"
    )
    assert refused.value.hint == (
        "give the server its declared class first: orderops infra apply --env dev\n"
        "or lower pool_size or max_tasks under [services] in dev.toml"
    )


def test_a_class_that_waits_for_the_maintenance_window_is_named_with_its_command() -> None:
    declared = environment()

    with pytest.raises(OrderopsError) as refused:
        check_connections(declared, account(declared, "db.t3.micro", pending=(CLASS_CHANGE,)), [RELEASE])

    assert refused.value.hint.startswith(
        "carry out what RDS holds back (DBInstanceClass db.t3.micro -> db.t3.medium): aws rds modify-db-instance\n"
    )


@pytest.mark.parametrize(
    "step",
    [
        Step(DATABASE, Action.UPDATE, {"DBInstanceClass": ("db.t3.micro", "db.t3.medium")}),
        Step(DATABASE, Action.UPDATE, {"MultiAZ": (False, True)}, carried=(CLASS_CHANGE,)),
    ],
)
def test_a_server_that_gets_its_declared_class_before_the_release_takes_it(step: Step) -> None:
    declared = environment()

    check_connections(declared, account(declared, "db.t3.micro"), [step, RELEASE])


def test_a_refused_change_of_the_class_does_not_count() -> None:
    declared = environment()
    step = Step(DATABASE, Action.UPDATE, {"DBInstanceClass": ("db.t3.micro", "db.t3.medium")}, held_by=SERVICE)

    with pytest.raises(OrderopsError, match=r"is a db\.t3\.micro, has about 80"):
        check_connections(declared, account(declared, "db.t3.micro"), [step, RELEASE])


@pytest.mark.parametrize("setting", ["100", "LEAST({DBInstanceClassMemory/9531392},100)"])
def test_max_connections_set_by_hand_is_a_limit_too(setting: str) -> None:
    declared = environment()

    with pytest.raises(OrderopsError) as refused:
        check_connections(declared, account(declared, "db.t3.medium", {"max_connections": setting}), [RELEASE])

    assert f"is a db.t3.medium with max_connections = {setting} in its parameter group, has" in refused.value.message


def test_max_connections_set_by_hand_is_known_for_every_class() -> None:
    declared = environment()
    outputs = account(declared, "db.x2g.large", {"max_connections": "214"})

    with pytest.raises(OrderopsError, match="which leaves 199"):
        check_connections(declared, outputs, [RELEASE])


def test_what_is_in_reserve_is_not_for_the_services() -> None:
    declared = environment()

    check_connections(declared, account(declared, "db.t3.medium", {"max_connections": "215"}), [RELEASE])
    with pytest.raises(OrderopsError, match="which leaves 199"):
        check_connections(declared, account(declared, "db.t3.medium", {"max_connections": "214"}), [RELEASE])


def test_a_change_without_a_release_is_not_held_up() -> None:
    declared = environment()
    steps = [Step(DATABASE, Action.UPDATE, {"BackupRetentionPeriod": (7, 8)}), Step(SERVICE, Action.NO_OP)]

    check_connections(declared, account(declared, "db.t3.micro"), steps)


def test_a_database_that_does_not_exist_yet_gets_its_declared_class() -> None:
    declared = environment()

    check_connections(declared, Outputs("ap-southeast-2", "1" * 12), [RELEASE])
