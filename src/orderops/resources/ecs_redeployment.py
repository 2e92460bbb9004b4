"""A service whose tasks were all started after a moment: what they read at their start is not older."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar

from orderops.aws.client import Aws
from orderops.aws.ownership import Claim, Tags
from orderops.engine.resource import Effect, Live, Outputs, Properties, Resource
from orderops.resources.ecs_service import EcsService


@dataclass(frozen=True, eq=False)
class EcsRenewal(Resource):
    """The living service of this name, with a deployment of the same release begun after `since`."""

    cluster: str
    since: datetime

    kind: ClassVar[str] = EcsService.kind
    passing: ClassVar[frozenset[str]] = EcsService.passing
    outcomes: ClassVar[frozenset[str]] = EcsService.outcomes
    effects: ClassVar[Mapping[str, Effect]] = {"Renewed": Effect.RESTARTS}
    patience: ClassVar[timedelta] = EcsService.patience
    usual: ClassVar[timedelta] = EcsService.usual

    @classmethod
    def listing(cls, aws: Aws, claim: Claim) -> Iterator[Live]:
        yield from EcsService.listing(aws, claim)

    def detail(self, aws: Aws, live: Live) -> Live:
        deployed = live.properties["DeployedAt"]
        renewed = deployed is not None and deployed >= self.since
        return replace(live, properties={**live.properties, "Renewed": renewed})

    @classmethod
    def retag(cls, aws: Aws, live: Live, tags: Tags) -> None:
        EcsService.retag(aws, live, tags)

    def desired(self, outputs: Outputs) -> Properties:
        return {"Renewed": True, "Rollout": "COMPLETED"}

    def create(self, aws: Aws, desired: Properties, claim: Claim) -> None:
        raise TypeError("a service that is not there has nothing to renew")

    def update(self, aws: Aws, live: Live, changed: Properties) -> None:
        aws.ecs.update_service(cluster=self.cluster, service=live.name, forceNewDeployment=True)

    @classmethod
    def delete(cls, aws: Aws, live: Live) -> None:
        EcsService.delete(aws, live)

    @classmethod
    def why_undone(cls, aws: Aws, live: Live) -> str:
        return EcsService.why_undone(aws, live)
