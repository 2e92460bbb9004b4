"""The region in which an environment lives, as its global resources say: its roles and the bucket of its logs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from orderops.config.environment import Environment
from orderops.engine.inventory import Inventory, Owned
from orderops.engine.resource import Resource
from orderops.errors import OrderopsError
from orderops.resources.iam_role import IamRole
from orderops.resources.s3_bucket import S3Bucket, region_of

KINDS: tuple[type[Resource], ...] = (IamRole, S3Bucket)
"""The kinds that say where an environment lives; AWS lists them in every region."""


def check_region(environment: Environment, inventory: Inventory) -> None:
    """Raise OrderopsError if the environment lives in another region than its file says.

    With another region in the file, everything regional looks absent, while the roles and the bucket of the living
    environment are found, and would be turned to the new region or deleted.
    """
    found = list(inventory.owned(KINDS))
    regions = {region for owned in found if owned.kind is IamRole for region in _regions(owned)}
    buckets = [owned for owned in found if owned.kind is S3Bucket]
    if not regions and buckets:
        regions = {region_of(inventory.aws, owned.observed.id) for owned in buckets}
    if regions and environment.region not in regions:
        home = min(regions)
        name = environment.name
        raise OrderopsError(
            f"{name} lives in {home}, as its {_evidence(found)} says; its file says region = {environment.region!r}",
            f'set region = "{home}" in {name}.toml; for a system in {environment.region}, declare another environment',
        )


def _evidence(found: Iterable[Owned]) -> str:
    return min(owned.address for owned in found)


def _regions(owned: Owned) -> Iterator[str]:
    """The regions of the ARNs in a role's policies."""
    for policy in owned.observed.properties["InlinePolicies"].values():
        for statement in policy["Statement"]:
            yield from (region for arn in _listed(statement.get("Resource")) if (region := _region(arn)))


def _region(arn: str) -> str:
    parts = arn.split(":")
    return parts[3] if len(parts) > 5 and "*" not in parts[3] else ""


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())
