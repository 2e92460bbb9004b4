"""ECS service whose tasks were all started after a given time, so that they have read current settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import ClassVar

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership, Tags
from orderops.engine.resource import Effect, Observed, Outputs, Properties, Resource
from orderops.frozen import replace
from orderops.resources.ecs_service import EcsService


class EcsRedeployment(Resource):
    """The existing service of this name, with a deployment of the same release started after `since`."""

    cluster: str
    since: datetime
    shift: timedelta = timedelta()
    """How long it takes that a second target group takes over the requests."""

    kind: ClassVar[str] = EcsService.kind
    retryable_errors: ClassVar[frozenset[str]] = EcsService.retryable_errors
    result_properties: ClassVar[frozenset[str]] = EcsService.result_properties
    effects: ClassVar[Mapping[str, Effect]] = {"Renewed": Effect.RESTARTS}
    timeout: ClassVar[timedelta] = EcsService.timeout
    typical_duration: ClassVar[timedelta] = EcsService.typical_duration

    @property
    def patience(self) -> timedelta:
        return self.timeout + self.shift

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        yield from EcsService.listing(aws, owner)

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        deployed = observed.properties["DeployedAt"]
        renewed = deployed is not None and deployed >= self.since
        return replace(observed, properties={**observed.properties, "Renewed": renewed})

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        EcsService.retag(aws, observed, tags)

    def desired(self, outputs: Outputs) -> Properties:
        return {"Renewed": True, "Rollout": "COMPLETED"}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        raise TypeError("cannot redeploy a service that does not exist")

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        aws.ecs.update_service(cluster=self.cluster, service=observed.name, forceNewDeployment=True)

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        EcsService.delete(aws, observed)

    @classmethod
    def rollback_reason(cls, aws: Aws, observed: Observed) -> str:
        return EcsService.rollback_reason(aws, observed)
