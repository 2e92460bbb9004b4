"""The database while a blue/green deployment switches it over: the same name and address, another instance after it."""

from __future__ import annotations

from typing import Any

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.resource import Observed, Properties, State
from orderops.errors import OrderopsError
from orderops.frozen import field_names, replace
from orderops.resources.rds_blue_green import SWITCHED, SWITCHING, RdsBlueGreenDeployment
from orderops.resources.rds_guided import GuidedInstance
from orderops.resources.rds_instance import RdsInstance
from orderops.resources.rds_versions import version_refusal

LONGEST = 300
"""Seconds after which RDS takes a switchover back that is not done: its own default."""


class SwitchedInstance(GuidedInstance):
    """The declared instance, which gets its version by the switchover of the deployment with this name."""

    deployment: str = ""

    def occupant(self, aws: Aws, desired: Properties) -> Observed | None:
        # For a moment the old instance has its new name already, and green has not got its.
        if self._is_switching(aws):
            return Observed(self.name, {}, state=State.PENDING, status="switching over")
        return super().occupant(aws, desired)

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        if not observed.properties:
            return observed
        observed = super().detail(aws, observed)
        if self._is_switching(aws):
            return replace(observed, state=State.PENDING, status="switching over")
        return observed

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        deployment = self._deployment(aws)
        if deployment is None:
            raise OrderopsError(
                f"the blue/green deployment {self.deployment} was deleted meanwhile; {observed.id} was not changed",
                "re-run this command to make another one",
            )
        if deployment.properties["Status"] in (SWITCHING, SWITCHED):
            # What was read of the instance is older than this.
            return
        aws.rds.switchover_blue_green_deployment(BlueGreenDeploymentIdentifier=deployment.id, SwitchoverTimeout=LONGEST)

    def refusal(self, observed: Observed, key: str, desired: Any, environment: str) -> OrderopsError | None:
        # Its green instance is the one that this change is made with.
        return version_refusal(observed, desired, environment) if key == "EngineVersion" else None

    def _is_switching(self, aws: Aws) -> bool:
        deployment = self._deployment(aws)
        return deployment is not None and deployment.properties["Status"] == SWITCHING

    def _deployment(self, aws: Aws) -> Observed | None:
        owner = Ownership("", f"{RdsBlueGreenDeployment.kind}/{self.deployment}", self.deployment)
        return next(RdsBlueGreenDeployment.listing(aws, owner), None)


def switched(instance: RdsInstance, deployment: str) -> SwitchedInstance:
    """Return the declared instance, to be switched over."""
    declared = {name: getattr(instance, name) for name in field_names(RdsInstance)}
    return SwitchedInstance(**declared, deployment=deployment)
