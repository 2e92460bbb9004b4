"""Shared by all tests on an emulated account: short limits, and resources with their dependencies."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from orderops.engine.resource import Resource
from orderops.engine.waiting import ReconcileLimits

QUICK = ReconcileLimits(seen_within=timedelta(seconds=0.3), trouble=timedelta(seconds=3), timeout=timedelta(seconds=60))


def with_needs(resources: Collection[Resource]) -> list[Resource]:
    """Return these resources and all their dependencies."""
    found: dict[str, Resource] = {}

    def add(resource: Resource) -> None:
        if resource.address not in found:
            found[resource.address] = resource
            for need in resource.needs():
                add(need)

    for resource in resources:
        add(resource)
    return list(found.values())
