"""The instance while one of its settings is changed by a command of its own: at once, or in the maintenance window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orderops.aws.client import Aws
from orderops.engine.resource import Observed, Properties
from orderops.frozen import field, field_names, replace
from orderops.resources.rds_instance import RdsInstance, modification

RUNNING = {"DBInstanceClass": "DBInstanceClassNow", "EngineVersion": "EngineVersionNow"}
"""Settings that RDS may hold back for the window, and the properties with the value in force."""


class GuidedInstance(RdsInstance):
    """The same instance and address. With `at_once`, a value that waits for the window counts as not set, and is sent.

    Without it, the values are sent for the window, and nothing that waits there is carried out.
    """

    at_once: bool = True
    sent: list[str] = field(default_factory=list)
    """Settings that RDS has accepted from this object, and so works on."""

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        observed = super().detail(aws, observed)
        held = observed.properties["PendingModifiedValues"].keys() & RUNNING.keys() - set(self.sent)
        if not self.at_once or not held:
            return observed
        now = {key: observed.properties[RUNNING[key]] for key in held}
        return replace(observed, properties={**observed.properties, **now})

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        given = {**modification(observed, changed), "ApplyImmediately": self.at_once}
        aws.rds.modify_db_instance(DBInstanceIdentifier=observed.id, **given)
        self.sent.extend(changed)

    def leaves_pending(self, changes: Mapping[str, tuple[Any, Any]]) -> bool:
        return not self.at_once


def guided(instance: RdsInstance, *, at_once: bool) -> GuidedInstance:
    """Return the declared instance, for a change of the operator's own."""
    return GuidedInstance(**{name: getattr(instance, name) for name in field_names(RdsInstance)}, at_once=at_once)
