"""Parameters set to the default of their family, as RDS returns them (hashicorp/terraform-provider-aws#23335)."""

from __future__ import annotations

from typing import Any

import pytest

from support.strict_clients import Client, Refused

# From the RDS user guide: "Requiring an SSL connection", "Maximum number of database connections".
DEFAULTS = {
    "postgres14": {"rds.force_ssl": "0", "shared_preload_libraries": "pg_stat_statements"},
    "postgres15": {"rds.force_ssl": "1", "shared_preload_libraries": "pg_stat_statements"},
    "postgres16": {"rds.force_ssl": "1", "max_connections": "LEAST({DBInstanceClassMemory/9531392},5000)"},
    "postgres17": {"rds.force_ssl": "1", "shared_buffers": "{DBInstanceClassMemory/32768}"},
}


def group_of(client: Client, family: str, values: dict[str, str]) -> None:
    client("rds").create_db_parameter_group(
        DBParameterGroupName="own", DBParameterGroupFamily=family, Description="of a test"
    )
    modify(client, values)


def modify(client: Client, values: dict[str, str]) -> None:
    client("rds").modify_db_parameter_group(
        DBParameterGroupName="own",
        Parameters=[
            {"ParameterName": name, "ParameterValue": value, "ApplyMethod": "pending-reboot"}
            for name, value in values.items()
        ],
    )


def parameters_of(client: Client, **more: Any) -> dict[str, dict[str, Any]]:
    pages = client("rds").get_paginator("describe_db_parameters").paginate(DBParameterGroupName="own", **more)
    return {item["ParameterName"]: item for page in pages for item in page["Parameters"]}


@pytest.mark.parametrize("family", DEFAULTS)
def test_a_parameter_set_to_the_familys_default_is_not_one_of_the_user(strict: Client, family: str) -> None:
    group_of(strict, family, {**DEFAULTS[family], "work_mem": "65536"})

    assert list(parameters_of(strict, Source="user")) == ["work_mem"]
    found = parameters_of(strict)
    assert {name: found[name]["ParameterValue"] for name in DEFAULTS[family]} == DEFAULTS[family]
    assert {found[name]["Source"] for name in DEFAULTS[family]} == {"system"}


def test_a_parameter_set_back_to_the_default_is_no_longer_one_of_the_user(strict: Client) -> None:
    group_of(strict, "postgres16", {"rds.force_ssl": "0"})
    assert list(parameters_of(strict, Source="user")) == ["rds.force_ssl"]

    modify(strict, {"rds.force_ssl": "1"})

    assert parameters_of(strict, Source="user") == {}


@pytest.mark.parametrize(
    ("name", "given", "stored"),
    [
        ("log_disconnections", "on", "1"),
        ("rds.force_ssl", "off", "0"),
        ("shared_preload_libraries", "pg_stat_statements, auto_explain", "pg_stat_statements,auto_explain"),
    ],
)
def test_a_value_is_stored_in_the_form_of_rds(strict: Client, name: str, given: str, stored: str) -> None:
    group_of(strict, "postgres16", {name: given})

    assert parameters_of(strict, Source="user")[name]["ParameterValue"] == stored


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("log_min_duration_statement", "500ms"),
        ("work_mem", "64MB"),
        ("log_disconnections", "perhaps"),
        ("random_page_cost", "cheap"),
    ],
)
def test_a_value_with_a_unit_or_of_another_type_is_refused(
    moto: Client, strict: Client, refused: Refused, name: str, value: str
) -> None:
    strict("rds").create_db_parameter_group(
        DBParameterGroupName="own", DBParameterGroupFamily="postgres16", Description="of a test"
    )

    with refused("InvalidParameterValue"):
        modify(strict, {name: value})
    modify(moto, {name: value})


def test_a_formula_is_a_valid_number(strict: Client) -> None:
    group_of(strict, "postgres16", {"shared_buffers": "{DBInstanceClassMemory/16384}"})

    assert parameters_of(strict, Source="user")["shared_buffers"]["ParameterValue"] == "{DBInstanceClassMemory/16384}"


def test_parameters_come_in_pages_of_at_most_a_hundred(strict: Client) -> None:
    group_of(strict, "postgres16", {"work_mem": "65536"})

    page = strict("rds").describe_db_parameters(DBParameterGroupName="own")

    assert len(page["Parameters"]) == 100
    assert page["Marker"]
