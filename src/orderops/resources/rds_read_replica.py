"""RDS read replica of the database: a standby that only answers reads, with the class and settings of its source.

It has no backups, and the password of its source. Services find it in the pointer secret, which it leaves before it is
deleted.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from datetime import timedelta
from itertools import count
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ENVIRONMENT, Ownership, Tags
from orderops.engine.names import NameRule
from orderops.engine.resource import Effect, Observed, Outputs, Properties, Resource
from orderops.errors import OrderopsError
from orderops.frozen import replace
from orderops.resources.logs_service_group import LogsServiceGroup
from orderops.resources.rds_description import IDENTIFIER, REPLICA_KIND, read_replicas
from orderops.resources.rds_instance import ADVANCED_DAYS, RdsInstance, made_at_once, modification
from orderops.resources.secretsmanager_readers import leave

SOURCE = "SourceDBInstanceIdentifier"
# What CreateDBInstanceReadReplica does not accept for PostgreSQL in the same region, or takes from the source.
NOT_GIVEN = frozenset({"AllocatedStorage", "DBParameterGroupName", "PreferredMaintenanceWindow", "Running"})


class RdsReadReplica(Resource):
    """`number` counts from 1 and spreads the replicas over the zones, away from the zone of the primary.

    Of another source, such as the primary before a promotion, it is deleted and created again.
    """

    source: RdsInstance
    number: int
    zones: tuple[str, ...]
    log_groups: tuple[LogsServiceGroup, ...] = ()

    kind: ClassVar[str] = REPLICA_KIND
    name_rule: ClassVar[NameRule | None] = IDENTIFIER
    retryable_errors: ClassVar[frozenset[str]] = RdsInstance.retryable_errors
    effects: ClassVar[Mapping[str, Effect]] = {SOURCE: Effect.REPLACES, **RdsInstance.effects}
    timeout: ClassVar[timedelta] = timedelta(hours=6)
    typical_duration: ClassVar[timedelta] = timedelta(minutes=20)

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        yield from read_replicas(aws, owner)

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        properties = dict(observed.properties)
        if properties[SOURCE] is None:
            raise _is_independent(observed)
        # It may have grown, and it may be larger than its source.
        if properties["AllocatedStorage"] >= self.source.storage_gb:
            properties["AllocatedStorage"] = self.source.storage_gb
        if properties["Port"] is None:
            # There is no endpoint until the instance is created.
            properties["Port"] = self.source.port
        # Services and dependents see the settings of the primary; the emulator may leave these out.
        wanted = self._insights()
        properties |= {key: wanted[key] for key in wanted if properties[key] is None}
        if (properties["PerformanceInsightsRetentionPeriod"] or 0) >= ADVANCED_DAYS:
            properties |= {key: wanted[key] for key in wanted if key == "PerformanceInsightsRetentionPeriod"}
        return replace(observed, properties=properties)

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        RdsInstance.retag(aws, observed, tags)

    def desired(self, outputs: Outputs) -> Properties:
        source = self.source
        return {
            "Running": True,
            SOURCE: outputs[source].id,
            "AutoMinorVersionUpgrade": True,
            # Never smaller than the primary: PostgreSQL stops to replay where it has room for fewer connections.
            "DBInstanceClass": source.instance_class,
            "MultiAZ": False,
            "StorageType": "gp3",
            # A replica that is full stops to replay.
            "AllocatedStorage": source.storage_gb,
            "MaxAllocatedStorage": source.max_storage_gb,
            "EnableIAMDatabaseAuthentication": True,
            "DBParameterGroupName": outputs[source.parameter_group].name,
            "VpcSecurityGroupIds": sorted(outputs[group].id for group in source.security_groups),
            "PubliclyAccessible": False,
            "Port": source.port,
            "PreferredMaintenanceWindow": source.maintenance_window.lower(),
            "CopyTagsToSnapshot": True,
            "DeletionProtection": source.deletion_protection,
            "EnableCloudwatchLogsExports": sorted(source.log_exports),
            **self._insights(),
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        # Everything is given: a replica inherits less of its source than it seems, such as no security group.
        given = {key: value for key, value in desired.items() if value is not None and key not in NOT_GIVEN}
        raws = {raw["DBInstanceIdentifier"]: raw for raw in every(aws.rds.describe_db_instances, "DBInstances")}
        aws.rds.create_db_instance_read_replica(
            DBInstanceIdentifier=_free(self.name, raws),
            **given,
            AvailabilityZone=self._zone(raws.get(desired[SOURCE], {}).get("AvailabilityZone")),
            Tags=owner.pairs,
        )

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        if SOURCE in changed:
            # It cannot follow another one. Once it is gone, it is created again.
            self.delete(aws, observed)
        elif "Running" in changed:
            aws.rds.start_db_instance(DBInstanceIdentifier=observed.id)
        else:
            aws.rds.modify_db_instance(DBInstanceIdentifier=observed.id, **modification(observed, changed))

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        leave(aws, observed)
        if observed.properties[SOURCE] is None:
            RdsInstance.delete(aws, observed)
        elif observed.properties["DeletionProtection"]:
            aws.rds.modify_db_instance(DBInstanceIdentifier=observed.id, DeletionProtection=False)
        else:
            # RDS takes no final snapshot of a replica.
            aws.rds.delete_db_instance(DBInstanceIdentifier=observed.id, SkipFinalSnapshot=True)

    @classmethod
    def holds(cls, aws: Aws, observed: Observed) -> str:
        return RdsInstance.holds(aws, observed) if observed.properties[SOURCE] is None else ""

    @classmethod
    def rollback_reason(cls, aws: Aws, observed: Observed) -> str:
        return RdsInstance.rollback_reason(aws, observed)

    def leaves_pending(self, changes: Mapping[str, tuple[Any, Any]]) -> bool:
        return all(made_at_once(key, *pair) for key, pair in changes.items())

    def _insights(self) -> dict[str, Any]:
        source = self.source
        return {
            "EnablePerformanceInsights": source.performance_insights,
            "DatabaseInsightsMode": source.database_insights,
            **source.insights_retention(),
        }

    def _zone(self, primary: str | None) -> str:
        """The zone for this replica: those without the primary come first."""
        spread = [*(zone for zone in self.zones if zone != primary), *(zone for zone in self.zones if zone == primary)]
        return spread[(self.number - 1) % len(spread)]


def _free(name: str, taken: Container[str]) -> str:
    """The identifier for a new replica: a former one that was promoted keeps the name, as the primary."""
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(free for free in names if free not in taken)


def _is_independent(observed: Observed) -> OrderopsError:
    environment = (observed.tags or {}).get(ENVIRONMENT, "")
    return OrderopsError(
        f"{observed.id} is no read replica any more: it was promoted outside of orderops, or its source was deleted, "
        "and it may hold data that nothing else has",
        f"make it the database: orderops restore promote {observed.id} --env {environment}\n"
        "or delete it, with a final snapshot, to have a replica made again: orderops down --only "
        f"{REPLICA_KIND}/{observed.id} --confirm {observed.id} --env {environment}",
    )
