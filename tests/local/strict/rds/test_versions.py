"""Upgrades that RDS offers, by its user guide: from each release to those of the same day and later."""

from __future__ import annotations

import pytest

from support.emulated_databases import available, settled
from support.strict_clients import Client, Refused


def targets(client: Client, version: str) -> list[str]:
    found = client("rds").describe_db_engine_versions(Engine="postgres", EngineVersion=version, IncludeAll=True)
    return [target["EngineVersion"] for raw in found["DBEngineVersions"] for target in raw["ValidUpgradeTarget"]]


# PostgreSQL 17.2, 16.6 and 15.10 were released on 21 November 2024, 17.4, 16.8 and 15.12 on 20 February 2025.
@pytest.mark.parametrize(
    ("version", "reachable", "not_reachable"),
    [
        ("16.4", ["16.5", "17.1", "17.5"], ["16.3", "15.10"]),
        ("16.6", ["16.7", "17.2"], ["16.6", "17.1"]),
        ("16.8", ["17.4"], ["17.3", "17.2"]),
        ("15.12", ["16.8", "17.4"], ["16.7", "17.3", "14.17"]),
    ],
)
def test_an_upgrade_leads_to_versions_of_the_same_day_or_later(
    strict: Client, version: str, reachable: list[str], not_reachable: list[str]
) -> None:
    found = targets(strict, version)

    assert set(reachable) <= set(found)
    assert not set(not_reachable) & set(found)


def test_a_version_that_rds_does_not_know_has_no_description(strict: Client) -> None:
    assert targets(strict, "16.999") == []


def test_an_upgrade_that_is_not_offered_is_refused(moto: Client, strict: Client, refused: Refused) -> None:
    available(strict, "db", EngineVersion="16.8")
    change = {"DBInstanceIdentifier": "db", "AllowMajorVersionUpgrade": True, "ApplyImmediately": True}

    for version in ("17.2", "16.4"):
        with refused("InvalidParameterCombination"):
            strict("rds").modify_db_instance(**change, EngineVersion=version)
    strict("rds").modify_db_instance(**change, EngineVersion="17.4")

    assert settled(strict, "db")["EngineVersion"] == "17.4"
    moto("rds").modify_db_instance(**change, EngineVersion="16.4")
