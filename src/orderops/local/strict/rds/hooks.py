"""RDS: instances that take time, deferred changes, restores with default settings, and groups in use."""

from __future__ import annotations

from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.rds import groups as rds_groups
from orderops.local.strict.rds import instances as rds_instances
from orderops.local.strict.rds import offerings as rds_offerings
from orderops.local.strict.rds import versions as rds_versions
from orderops.local.strict.rds.blue_green import BlueGreenRules
from orderops.local.strict.rds.changes import Changes
from orderops.local.strict.rds.instances import Instances
from orderops.local.strict.rds.replicas import ReplicaRules
from orderops.local.strict.rds.restores import Restores


def register(emulator: Emulator, delays: Delays) -> None:
    """Reject and delay what AWS does."""
    instances = Instances(emulator, delays)
    # Before the changes, which hide from the hooks after them what they defer.
    ReplicaRules(emulator, delays)
    Changes(emulator, delays, instances)
    Restores(emulator, delays)
    BlueGreenRules(emulator, delays)
    rds_groups.register(emulator)
    rds_offerings.register(emulator)
    rds_versions.register(emulator)


def patch(emulator: Emulator) -> None:
    """Correct what moto does wrong or not at all."""
    rds_groups.patch(emulator)
    rds_instances.patch(emulator)
    Restores(emulator, Delays(), plain=True)
    ReplicaRules(emulator, Delays(), plain=True)
