"""RDS: which instance classes are offered, for which versions of PostgreSQL, in which zones and with what.

"DB instance class types" and "Supported DB engines for DB instance classes" in the RDS user guide. Which zones lack a
class differs between accounts; those below are one example.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.rds.parameters import rds_response
from orderops.local.strict.rds.rules import NEWEST_MINOR, POSTGRES, full_version

ZONES = "abc"
BURSTABLE_SIZES = ("micro", "small", "medium", "large", "xlarge", "2xlarge")
FIXED_SIZES = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge")
STORAGE = ("gp2", "gp3", "io1")
DEFAULT_PAGE = 100


@dataclass(frozen=True)
class Family:
    """A family of classes; `since` has the first minor version of each major one, of those that are not all offered."""

    sizes: tuple[str, ...] = FIXED_SIZES
    since: tuple[tuple[int, int], ...] = ()
    zones: str = ZONES
    storage: tuple[str, ...] = (*STORAGE, "io2")

    def has(self, size: str, version: str) -> bool:
        """Whether a class of this size is offered for a version."""
        major, _, minor = version.partition(".")
        first = dict(self.since).get(int(major), 1) if not self.since or int(major) >= self.since[0][0] else None
        return size in self.sizes and first is not None and int(minor) >= first


GRAVITON2 = ((12, 7), (13, 3))
FAMILIES = {
    "t3": Family(BURSTABLE_SIZES, storage=STORAGE),
    "t4g": Family(BURSTABLE_SIZES, GRAVITON2, storage=STORAGE),
    "m5": Family(),
    "m6g": Family(since=GRAVITON2),
    "m6i": Family(since=((11, 16), (12, 11), (13, 7), (14, 3))),
    "m7g": Family(since=((13, 4), (14, 5))),
    "m8g": Family(since=((13, 15), (14, 12), (15, 7), (16, 3)), zones="ac"),
    "r5": Family(),
    "r6g": Family(since=GRAVITON2),
    "r7g": Family(since=((13, 4), (14, 5))),
    "r8g": Family(since=((13, 15), (14, 12), (15, 7), (16, 3)), zones="c"),
}
"""Other families that requests may name are offered everywhere."""


def register(emulator: Emulator) -> None:
    """Answer DescribeOrderableDBInstanceOptions, for which moto has an empty list."""
    emulator.instead["rds", "DescribeOrderableDBInstanceOptions"] = _describe


def check_combination(instance_class: str, version: str) -> None:
    """Check that a class is offered for a version. Raises ApiError."""
    family, _, size = instance_class.removeprefix("db.").partition(".")
    if family in FAMILIES and not FAMILIES[family].has(size, version):
        raise ApiError(
            "InvalidParameterCombination",
            "RDS does not support creating a DB instance with the following combination: "
            f"DBInstanceClass={instance_class}, Engine={POSTGRES}, EngineVersion={version}, "
            "LicenseModel=postgresql-license. For supported combinations of instance class and database engine "
            "version, see the documentation.",
        )


def check_zone(instance_class: str, zone: str) -> None:
    """Check that there are such instances in a zone. Raises ApiError."""
    family = instance_class.removeprefix("db.").partition(".")[0]
    if family in FAMILIES and zone[-1] not in FAMILIES[family].zones:
        raise ApiError(
            "InsufficientDBInstanceCapacity",
            "The specified DB instance class is not available in the specified Availability Zone.",
        )


def _describe(request: Request) -> Response:
    form = request.form
    if form.get("Engine") != POSTGRES:
        found: list[dict[str, Any]] = []
    else:
        found = list(_options(request.region, form.get("EngineVersion", ""), form.get("DBInstanceClass", "")))
    start, size = int(form.get("Marker") or 0), int(form.get("MaxRecords") or DEFAULT_PAGE)
    page, rest = found[start : start + size], found[start + size :]
    marker = {"Marker": str(start + size)} if rest else {}
    return rds_response(request, {"OrderableDBInstanceOptions": page, **marker})


def _options(region: str, version: str, instance_class: str) -> Iterator[dict[str, Any]]:
    wanted = instance_class.removeprefix("db.")
    for name, family in FAMILIES.items():
        for size in family.sizes:
            if wanted not in ("", f"{name}.{size}"):
                continue
            for full in _versions(version):
                if family.has(size, full):
                    yield from (_option(region, f"db.{name}.{size}", full, family, kind) for kind in family.storage)


def _versions(version: str) -> list[str]:
    if version:
        major, _, minor = version.partition(".")
        # Also those that are newer than this table: on the laptop, the version is the one of the machine.
        return [version] if major.isdecimal() and int(major) in NEWEST_MINOR and minor.isdecimal() else []
    return [f"{major}.{minor}" for major in NEWEST_MINOR for minor in range(1, int(_newest(major)) + 1)]


def _newest(major: int) -> str:
    return full_version(str(major)).partition(".")[2]


def _option(region: str, instance_class: str, version: str, family: Family, storage: str) -> dict[str, Any]:
    return {
        "Engine": POSTGRES,
        "EngineVersion": version,
        "DBInstanceClass": instance_class,
        "LicenseModel": "postgresql-license",
        "AvailabilityZones": [{"Name": f"{region}{letter}"} for letter in family.zones],
        "MultiAZCapable": len(family.zones) > 1,
        "ReadReplicaCapable": True,
        "Vpc": True,
        "SupportsStorageEncryption": True,
        "StorageType": storage,
        "SupportsIops": storage.startswith("io"),
        "SupportsIAMDatabaseAuthentication": True,
        "SupportsPerformanceInsights": True,
        "SupportsStorageAutoscaling": True,
    }
