"""Corrections of moto, which also apply to the plain emulator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orderops.local.emulator.server import Emulator
from orderops.local.strict import patch
from support.emulated_databases import SMALL, describe, subnets
from support.strict_clients import Client, served


@pytest.fixture(scope="module")
def mended() -> Iterator[Client]:
    emulator = Emulator()
    patch(emulator)
    with served(emulator) as client:
        yield client


def test_a_changed_subnet_group_still_exists(mended: Client) -> None:
    _, ids = subnets(mended, "abc")
    rds = mended("rds")
    rds.create_db_subnet_group(DBSubnetGroupName="own", DBSubnetGroupDescription="-", SubnetIds=ids[:2])

    rds.modify_db_subnet_group(DBSubnetGroupName="own", SubnetIds=ids)

    (group,) = rds.describe_db_subnet_groups(DBSubnetGroupName="own")["DBSubnetGroups"]
    assert {item["SubnetIdentifier"] for item in group["Subnets"]} == set(ids)


def test_parameters_can_be_reset(mended: Client) -> None:
    rds = mended("rds")
    rds.create_db_parameter_group(DBParameterGroupName="own", DBParameterGroupFamily="postgres16", Description="-")
    work_mem = {"ParameterName": "work_mem", "ApplyMethod": "immediate"}
    rds.modify_db_parameter_group(DBParameterGroupName="own", Parameters=[{**work_mem, "ParameterValue": "1"}])

    rds.reset_db_parameter_group(DBParameterGroupName="own", Parameters=[work_mem], ResetAllParameters=False)

    assert rds.describe_db_parameters(DBParameterGroupName="own", Source="user")["Parameters"] == []


def test_the_port_of_an_instance_changes(mended: Client) -> None:
    mended("rds").create_db_instance(DBInstanceIdentifier="db", **SMALL)

    mended("rds").modify_db_instance(DBInstanceIdentifier="db", DBPortNumber=6543, ApplyImmediately=True)

    assert describe(mended, "db")["Endpoint"]["Port"] == 6543


def test_an_instance_is_created_again_within_the_same_minute(mended: Client) -> None:
    for _ in range(2):
        mended("rds").create_db_instance(DBInstanceIdentifier="db", **SMALL)
        mended("rds").delete_db_instance(
            DBInstanceIdentifier="db", SkipFinalSnapshot=True, DeleteAutomatedBackups=False
        )
