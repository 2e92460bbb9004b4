"""What RDS offers of an instance class: zones, storage and features, and from which version of PostgreSQL on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from orderops.aws.client import Aws, every
from orderops.engine.resource import Observed
from orderops.errors import OrderopsError
from orderops.resources.rds_versions import numbers
from orderops.text.lists import joined

FEATURES = {
    "MultiAZ": ("MultiAZCapable", "a standby (Multi-AZ)"),
    "EnableIAMDatabaseAuthentication": ("SupportsIAMDatabaseAuthentication", "IAM authentication"),
    "EnablePerformanceInsights": ("SupportsPerformanceInsights", "Performance Insights"),
}
"""Settings of an instance, the flag of an offer that they need, and their names."""
MANY = 20

Offers = list[Mapping[str, Any]]


def offers_of(aws: Aws, instance_class: str, version: str = "") -> Offers:
    """What RDS offers of a class, for one version of PostgreSQL or for all; [] for a class that it does not have."""
    call, one = aws.rds.describe_orderable_db_instance_options, {"EngineVersion": version} if version else {}
    wanted = {"Engine": "postgres", "DBInstanceClass": instance_class, **one}
    return list(every(call, "OrderableDBInstanceOptions", **wanted))


def class_refusal(aws: Aws, observed: Observed, instance_class: str, environment: str) -> OrderopsError | None:
    """Why an instance cannot have a class: RDS does not offer it for its version, zones, storage or features."""
    properties, region = observed.properties, aws.region
    version, other = properties["EngineVersionNow"], f"choose another class; list them: {_listing(observed, region)}"
    offers = offers_of(aws, instance_class, version)
    if not offers:
        return _not_for_version(offers_of(aws, instance_class), instance_class, version, environment, other)
    storage = properties["StorageType"]
    fitting = [offer for offer in offers if offer.get("StorageType") in (None, storage)]
    if not fitting:
        kinds = joined(sorted({str(offer["StorageType"]) for offer in offers}), MANY)
        return OrderopsError(f"{instance_class} has no {storage} storage, which {observed.id} has ({kinds})", other)
    zones = {zone["Name"] for offer in fitting for zone in offer.get("AvailabilityZones", ())}
    missing = [zone for zone in properties["Zones"] if zone not in zones]
    if missing:
        where = joined(sorted(zones), MANY) or "no zone"
        return OrderopsError(
            f"RDS offers no {instance_class} in {joined(missing)}, where {observed.id} runs; it has it in {where}",
            f"{other}\nor restore into another zone: a change of the class does not move an instance",
        )
    if lacking := list(_lacking(properties, fitting)):
        return OrderopsError(f"{instance_class} does not have {joined(lacking)}, which {observed.id} uses", other)
    return None


def _not_for_version(offers: Offers, instance_class: str, version: str, environment: str, other: str) -> OrderopsError:
    first = list(_first_versions(offers, version))
    if not first:
        return OrderopsError(f"RDS offers no {instance_class} for PostgreSQL {version} in this region", other)
    return OrderopsError(
        f"RDS offers no {instance_class} for PostgreSQL {version}; it needs {' or '.join(first)}",
        f"upgrade first: orderops database upgrade --to {first[0]} --env {environment}\nor {other}",
    )


def _first_versions(offers: Offers, version: str) -> Iterator[str]:
    """The oldest version after this one, of each major version, for which a class is offered."""
    found = {str(offer["EngineVersion"]) for offer in offers}
    later = sorted((other for other in found if numbers(other) > numbers(version)), key=numbers)
    first: dict[int, str] = {}
    for other in later:
        first.setdefault(numbers(other)[0], other)
    yield from first.values()


def _lacking(properties: Mapping[str, Any], offers: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for setting, (flag, name) in FEATURES.items():
        if properties.get(setting) and not any(offer.get(flag) for offer in offers):
            yield name


def _listing(observed: Observed, region: str) -> str:
    version = observed.properties["EngineVersionNow"]
    return (
        f"aws rds describe-orderable-db-instance-options --engine postgres --engine-version {version} "
        f"--region {region} --query 'OrderableDBInstanceOptions[].[DBInstanceClass,AvailabilityZones[].Name]' "
        "--output text"
    )
