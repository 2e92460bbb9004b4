"""A restored copy that is upgraded to another version, to see whether that works and how long it takes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import ClassVar

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.errors import OrderopsError
from orderops.frozen import replace
from orderops.resources.rds_description import KIND, instances
from orderops.resources.rds_instance import RdsInstance
from orderops.resources.rds_versions import is_or_follows, numbers


class RdsUpgradedCopy(Resource):
    """An instance that exists, with a later version and RDS's default parameters of that."""

    engine_version: str

    kind: ClassVar[str] = KIND
    retryable_errors: ClassVar[frozenset[str]] = RdsInstance.retryable_errors
    timeout: ClassVar[timedelta] = timedelta(hours=24)
    typical_duration: ClassVar[timedelta] = timedelta(minutes=20)

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        yield from instances(aws, owner)

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        if not is_or_follows(observed.properties["EngineVersion"], self.engine_version):
            return observed
        return replace(observed, properties={**observed.properties, "EngineVersion": self.engine_version})

    def desired(self, outputs: Outputs) -> Properties:
        return {"EngineVersion": self.engine_version}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        raise OrderopsError(f"{self.name} was deleted meanwhile", "re-run this command to restore another copy")

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        major = numbers(self.engine_version)[0]
        aws.rds.modify_db_instance(
            DBInstanceIdentifier=observed.id,
            EngineVersion=self.engine_version,
            DBParameterGroupName=f"default.postgres{major}",
            AllowMajorVersionUpgrade=True,
            ApplyImmediately=True,
        )

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        RdsInstance.delete(aws, observed)

    @classmethod
    def rollback_reason(cls, aws: Aws, observed: Observed) -> str:
        return RdsInstance.rollback_reason(aws, observed)
