"""Read replica that has become an instance of its own, with backups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import ClassVar

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership, Tags
from orderops.engine.resource import Effect, Observed, Outputs, Properties, Resource
from orderops.resources.rds_description import REPLICA_KIND, read_replicas
from orderops.resources.rds_instance import RdsInstance
from orderops.resources.rds_read_replica import SOURCE, RdsReadReplica


class RdsReplicaPromotion(Resource):
    """The existing replica of this name, without a source. The window is in UTC.

    What the source had committed and the replica had not received is lost to it.
    """

    backup_days: int
    backup_window: str

    kind: ClassVar[str] = REPLICA_KIND
    # Not while RDS works on the replica, such as on a backup.
    retryable_errors: ClassVar[frozenset[str]] = RdsInstance.retryable_errors
    effects: ClassVar[Mapping[str, Effect]] = {SOURCE: Effect.INTERRUPTS}
    timeout: ClassVar[timedelta] = timedelta(hours=2)
    typical_duration: ClassVar[timedelta] = timedelta(minutes=5)

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        yield from read_replicas(aws, owner)

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        RdsInstance.retag(aws, observed, tags)

    def desired(self, outputs: Outputs) -> Properties:
        return {
            SOURCE: None,
            "BackupRetentionPeriod": self.backup_days,
            "PreferredBackupWindow": self.backup_window.lower(),
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        raise TypeError("cannot promote a replica that does not exist")

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        if SOURCE in changed:
            aws.rds.promote_read_replica(
                DBInstanceIdentifier=observed.id,
                BackupRetentionPeriod=self.backup_days,
                PreferredBackupWindow=self.backup_window,
            )
        else:
            # It was promoted outside of orderops, or its source was deleted.
            aws.rds.modify_db_instance(DBInstanceIdentifier=observed.id, **changed, ApplyImmediately=True)

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        RdsReadReplica.delete(aws, observed)

    @classmethod
    def rollback_reason(cls, aws: Aws, observed: Observed) -> str:
        return RdsInstance.rollback_reason(aws, observed)
