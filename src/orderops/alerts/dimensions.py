"""Alarms whose metrics belong to a resource that no longer exists: they stay quiet for ever."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from orderops.alerts.finding import AlertFinding
from orderops.alerts.reading import AlertsRead
from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.config.environment import Environment
from orderops.engine.resource import Resource
from orderops.resources.ecs_cluster import EcsCluster
from orderops.resources.elbv2_load_balancer import Elbv2LoadBalancer
from orderops.resources.elbv2_target_group import Elbv2TargetGroup
from orderops.resources.rds_instance import RdsInstance
from orderops.resources.rds_read_replica import RdsReadReplica
from orderops.resources.sqs_queue import SqsQueue

# What a dimension names. Services are left out: one without a release does not exist yet.
NAMED: Mapping[str, tuple[type[Resource], ...]] = {
    "ClusterName": (EcsCluster,),
    "DBInstanceIdentifier": (RdsInstance, RdsReadReplica),
    "LoadBalancer": (Elbv2LoadBalancer,),
    "QueueName": (SqsQueue,),
    "TargetGroup": (Elbv2TargetGroup,),
}


def of_dimensions(aws: Aws, environment: Environment, read: AlertsRead) -> Iterator[AlertFinding]:
    """A finding for each alarm with a dimension of this environment that names nothing."""
    used = {name: set(_dimensions(raw)) for name, raw in read.alarms.items()}
    kinds = {key for pairs in used.values() for key, _ in pairs if key in NAMED}
    living = {key: _living(aws, environment, NAMED[key]) for key in sorted(kinds)}
    for name, pairs in used.items():
        for key, value in sorted(pairs):
            if key in living and environment.prefix in value and value not in living[key]:
                what = f"{key} {value} does not exist any more, so the alarm never has data"
                yield AlertFinding(name, what, f"orderops infra apply --env {environment.name}")


def _living(aws: Aws, environment: Environment, kinds: tuple[type[Resource], ...]) -> set[str]:
    # CloudWatch knows balancers and target groups by the end of their ARN.
    found = chain.from_iterable(kind.listing(aws, Ownership(environment.name)) for kind in kinds)
    return {
        str(word) for observed in found for word in (observed.properties.get("ArnSuffix"), observed.name, observed.id)
    }


def _dimensions(raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    metrics = [query["MetricStat"]["Metric"] for query in raw.get("Metrics", ()) if "MetricStat" in query]
    for source in (raw, *metrics):
        for pair in source.get("Dimensions", ()):
            yield pair["Name"], pair["Value"]
