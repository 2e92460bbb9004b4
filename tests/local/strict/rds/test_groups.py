from __future__ import annotations

from typing import Any

import pytest

from support.emulated_databases import SMALL, available, describe, settled, subnet_group, subnets
from support.strict_clients import Client, Refused

WORDS = {"DBSubnetGroupDescription": "of a test"}


def parameter(name: str, value: str = "1", method: str = "pending-reboot") -> dict[str, str]:
    return {"ParameterName": name, "ParameterValue": value, "ApplyMethod": method}


def parameter_group(client: Client, name: str = "own", family: str = "postgres16") -> None:
    client("rds").create_db_parameter_group(
        DBParameterGroupName=name, DBParameterGroupFamily=family, Description="of a test"
    )


def test_a_subnet_group_covers_two_zones(moto: Client, strict: Client, refused: Refused) -> None:
    _, ids = subnets(strict, "a")
    moto("rds").create_db_subnet_group(DBSubnetGroupName="plain", SubnetIds=ids, **WORDS)

    with refused("DBSubnetGroupDoesNotCoverEnoughAZs"):
        strict("rds").create_db_subnet_group(DBSubnetGroupName="strict", SubnetIds=ids, **WORDS)


def test_a_subnet_group_is_not_created_twice(moto: Client, strict: Client, refused: Refused) -> None:
    _, ids = subnets(strict)
    strict("rds").create_db_subnet_group(DBSubnetGroupName="Own", SubnetIds=ids, **WORDS)

    with refused("DBSubnetGroupAlreadyExists"):
        strict("rds").create_db_subnet_group(DBSubnetGroupName="own", SubnetIds=ids, **WORDS)
    moto("rds").create_db_subnet_group(DBSubnetGroupName="own", SubnetIds=ids, **WORDS)


def test_subnets_of_a_group_exist_in_one_vpc(moto: Client, strict: Client, refused: Refused) -> None:
    _, here = subnets(strict)
    _, elsewhere = subnets(strict)
    mixed = [here[0], elsewhere[1]]
    moto("rds").create_db_subnet_group(DBSubnetGroupName="plain", SubnetIds=mixed, **WORDS)

    for ids in (mixed, [here[0], "subnet-0123456789abcdef0"]):
        with refused("InvalidSubnet"):
            strict("rds").create_db_subnet_group(DBSubnetGroupName="strict", SubnetIds=ids, **WORDS)


def test_a_changed_subnet_group_still_exists(moto: Client, strict: Client, refused: Refused) -> None:
    _, ids = subnets(strict, "abc")
    rds = strict("rds")
    rds.create_db_subnet_group(DBSubnetGroupName="own", SubnetIds=ids[:2], **WORDS)

    response = rds.modify_db_subnet_group(DBSubnetGroupName="own", SubnetIds=ids[1:])

    assert {item["SubnetIdentifier"] for item in response["DBSubnetGroup"]["Subnets"]} == set(ids[1:])
    with refused("DBSubnetGroupDoesNotCoverEnoughAZs"):
        rds.modify_db_subnet_group(DBSubnetGroupName="own", SubnetIds=ids[:1])
    with refused("DBSubnetGroupNotFoundFault"):
        rds.modify_db_subnet_group(DBSubnetGroupName="absent", SubnetIds=ids)
    assert rds.describe_db_subnet_groups(DBSubnetGroupName="own")["DBSubnetGroups"]
    moto("rds").modify_db_subnet_group(DBSubnetGroupName="own", SubnetIds=ids)
    with refused("DBSubnetGroupNotFoundFault"):
        moto("rds").describe_db_subnet_groups(DBSubnetGroupName="own")


def test_groups_in_use_cannot_be_deleted(moto: Client, strict: Client, refused: Refused) -> None:
    rds = strict("rds")
    subnet_group(strict, "own")
    parameter_group(strict)
    available(strict, "db", DBSubnetGroupName="own", DBParameterGroupName="own")
    strict("rds").delete_db_instance(DBInstanceIdentifier="db", SkipFinalSnapshot=True)

    with refused("InvalidDBSubnetGroupStateFault"):
        rds.delete_db_subnet_group(DBSubnetGroupName="own")
    with refused("InvalidDBParameterGroupState"):
        rds.delete_db_parameter_group(DBParameterGroupName="own")
    moto("rds").delete_db_subnet_group(DBSubnetGroupName="own")
    moto("rds").delete_db_parameter_group(DBParameterGroupName="own")


def test_an_unknown_family_is_refused(moto: Client, strict: Client, refused: Refused) -> None:
    parameter_group(moto, "plain", "postgres16.4")

    with refused("InvalidParameterValue"):
        parameter_group(strict, "strict", "postgres16.4")


MANY = [parameter(name) for name in ("work_mem", "temp_buffers", "deadlock_timeout")] * 7
REFUSED: dict[str, tuple[str, list[dict[str, str]]]] = {
    "more than 20 parameters": ("InvalidParameterValue", MANY),
    "an unknown parameter": ("InvalidParameterValue", [parameter("work_memory")]),
    "an immediate static parameter": ("InvalidParameterCombination", [parameter("max_connections", "50", "immediate")]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_parameters_are_refused_for(moto: Client, strict: Client, refused: Refused, case: str) -> None:
    code, parameters = REFUSED[case]
    parameter_group(strict)

    with refused(code):
        strict("rds").modify_db_parameter_group(DBParameterGroupName="own", Parameters=parameters)
    moto("rds").modify_db_parameter_group(DBParameterGroupName="own", Parameters=parameters)


def test_parameters_of_rds_itself_are_accepted(strict: Client) -> None:
    parameter_group(strict)

    strict("rds").modify_db_parameter_group(
        DBParameterGroupName="own",
        Parameters=[parameter("rds.force_ssl"), parameter("pg_stat_statements.track", "all")],
    )


def parameters_of(client: Client, name: str = "own", **more: Any) -> dict[str, dict[str, Any]]:
    pages = client("rds").get_paginator("describe_db_parameters").paginate(DBParameterGroupName=name, **more)
    return {item["ParameterName"]: item for page in pages for item in page["Parameters"]}


def test_a_group_lists_the_parameters_of_the_engine(moto: Client, strict: Client) -> None:
    parameter_group(strict)
    strict("rds").modify_db_parameter_group(DBParameterGroupName="own", Parameters=[parameter("work_mem", "65536")])
    assert list(parameters_of(moto)) == ["work_mem"]

    found = parameters_of(strict)

    assert len(found) > 200
    assert (found["work_mem"]["ApplyType"], found["work_mem"]["ParameterValue"]) == ("dynamic", "65536")
    assert (found["max_connections"]["ApplyType"], found["max_connections"]["Source"]) == ("static", "system")
    assert (found["log_min_duration_statement"]["Source"], found["log_statement"].get("ParameterValue")) == (
        "engine-default",
        None,
    )
    assert list(parameters_of(strict, Source="user")) == ["work_mem"]


def test_a_reset_parameter_has_its_default(moto: Client, strict: Client, refused: Refused) -> None:
    parameter_group(strict)
    rds = strict("rds")
    rds.modify_db_parameter_group(
        DBParameterGroupName="own", Parameters=[parameter("work_mem"), parameter("log_statement", "all")]
    )
    work_mem = {"ParameterName": "work_mem", "ApplyMethod": "immediate"}
    with refused("NotEmulated"):
        moto("rds").reset_db_parameter_group(
            DBParameterGroupName="own", Parameters=[work_mem], ResetAllParameters=False
        )

    rds.reset_db_parameter_group(DBParameterGroupName="own", Parameters=[work_mem], ResetAllParameters=False)
    assert list(parameters_of(strict, Source="user")) == ["log_statement"]
    rds.reset_db_parameter_group(DBParameterGroupName="own", ResetAllParameters=True)

    assert parameters_of(strict, Source="user") == {}


def test_a_static_parameter_waits_for_a_reboot(moto: Client, strict: Client) -> None:
    rds = strict("rds")
    parameter_group(strict)
    available(strict, "db", DBParameterGroupName="own")

    rds.modify_db_parameter_group(DBParameterGroupName="own", Parameters=[parameter("work_mem", "1", "immediate")])
    assert describe(strict, "db")["DBParameterGroups"][0]["ParameterApplyStatus"] == "in-sync"
    rds.modify_db_parameter_group(DBParameterGroupName="own", Parameters=[parameter("max_connections", "50")])

    assert describe(strict, "db")["DBParameterGroups"][0]["ParameterApplyStatus"] == "pending-reboot"
    assert describe(moto, "db")["DBParameterGroups"][0]["ParameterApplyStatus"] == "in-sync"
    rds.reboot_db_instance(DBInstanceIdentifier="db")
    assert settled(strict, "db")["DBParameterGroups"][0]["ParameterApplyStatus"] == "in-sync"


def test_the_default_parameter_group_cannot_be_deleted(moto: Client, strict: Client, refused: Refused) -> None:
    strict("rds").create_db_instance(DBInstanceIdentifier="db", **SMALL)
    settled(strict, "db")
    describe(strict, "db")

    with refused("InvalidDBParameterGroupState"):
        strict("rds").delete_db_parameter_group(DBParameterGroupName="default.postgres16")
    moto("rds").delete_db_parameter_group(DBParameterGroupName="default.postgres16")
