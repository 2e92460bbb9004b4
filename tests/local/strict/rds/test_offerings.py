"""Instance classes that RDS offers, by version and zone, and what ModifyDBInstance says of the others."""

from __future__ import annotations

from typing import Any

import pytest

from support.emulated_databases import available, settled
from support.strict_clients import Client, Refused


def offers(client: Client, **wanted: Any) -> list[dict[str, Any]]:
    pages = client("rds").get_paginator("describe_orderable_db_instance_options").paginate(Engine="postgres", **wanted)
    return [option for page in pages for option in page["OrderableDBInstanceOptions"]]


def test_an_offer_has_zones_storage_and_features(moto: Client, strict: Client) -> None:
    wanted = {"EngineVersion": "16.4", "DBInstanceClass": "db.m6g.large"}

    found = offers(strict, **wanted)

    assert {option["StorageType"] for option in found} == {"gp2", "gp3", "io1", "io2"}
    assert {zone["Name"] for zone in found[0]["AvailabilityZones"]} == {f"ap-southeast-2{letter}" for letter in "abc"}
    features = ("MultiAZCapable", "SupportsPerformanceInsights", "SupportsIAMDatabaseAuthentication")
    assert all(option[feature] for option in found for feature in features)
    assert offers(moto, **wanted) == []


# "Supported DB engines for DB instance classes" in the RDS user guide.
@pytest.mark.parametrize(
    ("instance_class", "version", "offered"),
    [
        ("db.m6g.large", "12.6", False),
        ("db.m6g.large", "12.7", True),
        ("db.m6g.large", "13.2", False),
        ("db.m6g.large", "14.1", True),
        ("db.m6g.large", "11.22", False),
        ("db.m6g.micro", "16.4", False),
        ("db.t3.micro", "11.22", True),
        ("db.zz.huge", "16.4", False),
        ("db.m6g.large", "19.1", False),
        ("db.m6g.large", "16", False),
    ],
)
def test_a_class_is_offered_from_some_version_on(
    strict: Client, instance_class: str, version: str, offered: bool
) -> None:
    assert bool(offers(strict, EngineVersion=version, DBInstanceClass=instance_class)) is offered


def test_without_a_version_every_version_with_the_class_is_listed(strict: Client) -> None:
    found = offers(strict, DBInstanceClass="db.m8g.large")

    majors = {option["EngineVersion"].partition(".")[0] for option in found}
    assert majors == {"13", "14", "15", "16", "17", "18"}
    assert "16.2" not in {option["EngineVersion"] for option in found}


def test_no_other_engine_is_offered(strict: Client) -> None:
    assert strict("rds").describe_orderable_db_instance_options(Engine="mysql")["OrderableDBInstanceOptions"] == []


def test_a_class_that_is_not_offered_for_the_running_version_is_refused(
    moto: Client, strict: Client, refused: Refused
) -> None:
    available(strict, "db", EngineVersion="12.6")
    change = {"DBInstanceIdentifier": "db", "DBInstanceClass": "db.m6g.large", "ApplyImmediately": True}

    with refused("InvalidParameterCombination"):
        strict("rds").modify_db_instance(**change)
    moto("rds").modify_db_instance(**change)


def test_a_class_without_capacity_in_the_zone_is_refused(strict: Client, refused: Refused) -> None:
    available(strict, "db", EngineVersion="16.4", AvailabilityZone="ap-southeast-2b")
    change = {"DBInstanceIdentifier": "db", "ApplyImmediately": True}

    with refused("InsufficientDBInstanceCapacity"):
        strict("rds").modify_db_instance(**change, DBInstanceClass="db.m8g.large")
    strict("rds").modify_db_instance(**change, DBInstanceClass="db.m7g.large")

    assert settled(strict, "db")["DBInstanceClass"] == "db.m7g.large"
