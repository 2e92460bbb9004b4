"""Versions of PostgreSQL: which one follows which, and which upgrades RDS offers."""

from __future__ import annotations

import re

from orderops.aws.client import Aws
from orderops.engine.resource import Observed
from orderops.errors import OrderopsError
from orderops.text.lists import joined

UPGRADES = "ValidUpgradeTarget"
"""The observed property with the versions that an instance can be upgraded to; None where that was not read."""
MANY = 100


def numbers(version: str) -> tuple[int, ...]:
    """Major and minor version, as far as they are given."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def is_or_follows(observed: str, desired: str) -> bool:
    """Whether `observed` has the desired major version, and the same or a later minor version."""
    return numbers(observed)[0] == numbers(desired)[0] and numbers(observed) >= numbers(desired)


def upgrades_of(aws: Aws, version: str) -> list[str]:
    """The versions that RDS upgrades an instance of this version to, oldest first."""
    # With versions that RDS no longer offers for new instances: the running one may be among them.
    found = aws.rds.describe_db_engine_versions(Engine="postgres", EngineVersion=version, IncludeAll=True)
    targets = {
        target["EngineVersion"] for raw in found["DBEngineVersions"] for target in raw.get("ValidUpgradeTarget", ())
    }
    return sorted(targets, key=numbers)


def version_refusal(observed: Observed, desired: str, environment: str) -> OrderopsError | None:
    """Why an instance cannot have this version: it runs a later one, or no upgrade leads there."""
    properties = observed.properties
    version, running = properties["EngineVersion"], properties["EngineVersionNow"]
    if numbers(desired) < numbers(version):
        happened = "runs" if version == running else f"runs PostgreSQL {running} and waits to be upgraded to"
        return OrderopsError(
            f"{observed.id} {happened} PostgreSQL {version}, and the environment file has {desired}: the version was "
            "raised outside of orderops or lowered in the file, and RDS never lowers one",
            f'keep the version: set engine_version = "{numbers(version)[0]}" under [database] in '
            f"environments/{environment}.toml",
        )
    targets = properties.get(UPGRADES)
    if targets is None or any(stands_for(desired, target) for target in targets):
        return None
    return OrderopsError(
        f"RDS cannot upgrade {observed.id} from PostgreSQL {running} to {desired} in one step; "
        f"reachable: {joined(targets, MANY) or 'none'}",
        f"set engine_version under [database] in environments/{environment}.toml to one of these",
    )


def stands_for(desired: str, version: str) -> bool:
    """Whether a desired version means this one; a major version alone stands for any of its minor versions."""
    return numbers(version)[: len(numbers(desired))] == numbers(desired)
