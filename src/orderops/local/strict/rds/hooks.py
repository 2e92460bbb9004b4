"""RDS: instances that take their time, changes that wait, restores that forget, and groups that are in use."""

from __future__ import annotations

from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.rds import groups as rds_groups
from orderops.local.strict.rds import instances as rds_instances
from orderops.local.strict.rds.changes import Changes
from orderops.local.strict.rds.instances import Instances
from orderops.local.strict.rds.restores import Restores


def take_part(emulator: Emulator, pace: Delays) -> None:
    """Refuse and delay what AWS does."""
    instances = Instances(emulator, pace)
    Changes(emulator, pace, instances)
    Restores(emulator, pace)
    rds_groups.take_part(emulator)


def mend(emulator: Emulator) -> None:
    """Do what moto does wrong or not at all."""
    rds_groups.mend(emulator)
    rds_instances.mend(emulator)
    Restores(emulator, Delays(), plain=True)
