"""The features of an environment, noted on its VPC before their first resource is made."""

from __future__ import annotations

from collections.abc import Collection

from orderops.engine.inventory import Inventory
from orderops.engine.resource import Resource
from orderops.errors import AwsError, Meaning
from orderops.frozen import replace
from orderops.infra.stack import KINDS
from orderops.resources.ec2_vpc import Ec2Vpc

OF_FEATURES = tuple(kind for kind in KINDS if kind.feature)


def with_complete_notes(infra: list[Resource], inventory: Inventory) -> list[Resource]:
    """The infrastructure, whose VPC notes every feature that the environment has, if its notes were not complete yet.

    The inventory has listed all kinds then. So a feature that is not declared any more, and was never noted, is found.
    """
    if inventory.notes is None or inventory.notes.complete:
        return infra
    try:
        found = {owned.kind.feature.name for owned in inventory.owned(OF_FEATURES) if owned.kind.feature}
    except AwsError as error:
        if error.meaning not in (Meaning.LATER, Meaning.LOST):
            raise
        # The plan waits for the same listing. Until it is read, the notes stay as they are, and every kind is listed.
        return infra
    return [_noting(resource, found) for resource in infra]


def _noting(resource: Resource, found: Collection[str]) -> Resource:
    if not isinstance(resource, Ec2Vpc):
        return resource
    return replace(resource, features=resource.features | {*found}, complete=True)
