"""RDS: the versions of PostgreSQL, and which upgrades lead from one to another.

"Choosing a major version for an upgrade" in the RDS user guide: an upgrade leads to a version that was released with
the present one or later.
"""

from __future__ import annotations

from typing import Any

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.rds.parameters import rds_response
from orderops.local.strict.rds.rules import NEWEST_MINOR, POSTGRES, is_offered

# The minor versions of one release, of 21 November 2024; each release adds one to all (postgresql.org, versioning).
SAME_RELEASE = {11: 26, 12: 22, 13: 18, 14: 15, 15: 10, 16: 6, 17: 2, 18: -4}


def register(emulator: Emulator) -> None:
    """Answer DescribeDBEngineVersions, which moto does not have."""
    emulator.instead["rds", "DescribeDBEngineVersions"] = _describe


def upgrades_from(version: str) -> list[str]:
    """Return the versions that RDS upgrades this one to."""
    major, minor = _split(version)
    release = minor - SAME_RELEASE[major]
    later = [f"{major}.{number}" for number in range(minor + 1, NEWEST_MINOR[major] + 1)]
    for other in sorted(other for other in NEWEST_MINOR if other > major):
        first = max(1, SAME_RELEASE[other] + release)
        later += [f"{other}.{number}" for number in range(first, NEWEST_MINOR[other] + 1)]
    return later


def check_upgrade(existing: str, requested: str, wanted: str) -> None:
    """Check that an upgrade leads from the existing to the wanted version. Raises ApiError."""
    if wanted != existing and wanted not in upgrades_from(existing):
        raise ApiError("InvalidParameterCombination", f"Cannot upgrade {POSTGRES} from {existing} to {requested}")


def _describe(request: Request) -> Response:
    requested = request.form.get("EngineVersion", "")
    versions = [requested] if "." in requested else _minor_versions(requested)
    if request.form.get("Engine", POSTGRES) != POSTGRES:
        versions = []
    found = [_description(version) for version in versions if is_offered(version)]
    return rds_response(request, {"DBEngineVersions": found})


def _minor_versions(major: str) -> list[str]:
    majors = [int(major)] if major else list(NEWEST_MINOR)
    return [f"{number}.{minor}" for number in majors for minor in range(1, NEWEST_MINOR.get(number, 0) + 1)]


def _description(version: str) -> dict[str, Any]:
    major, _ = _split(version)
    return {
        "Engine": POSTGRES,
        "EngineVersion": version,
        "DBParameterGroupFamily": f"{POSTGRES}{major}",
        "ValidUpgradeTarget": [
            {"Engine": POSTGRES, "EngineVersion": target, "IsMajorVersionUpgrade": _split(target)[0] > major}
            for target in upgrades_from(version)
        ],
    }


def _split(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return int(major), int(minor)
