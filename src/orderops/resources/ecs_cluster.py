"""ECS cluster, with or without container insights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ENVIRONMENT, Ownership, Tags, from_pairs, to_pairs
from orderops.engine.names import NameRule
from orderops.engine.resource import Observed, Outputs, Properties, Resource, State
from orderops.resources.ec2_dependents import named
from orderops.resources.iam_service_linked_role import IamServiceLinkedRole
from orderops.resources.logs_service_group import LogsServiceGroup

CLUSTERS_A_CALL = 100
SERVICES_A_CALL = 10
STATES = {"PROVISIONING": State.PENDING, "DEPROVISIONING": State.GOING, "FAILED": State.FAILED}


class EcsCluster(Resource):
    """Runs services. Its service-linked role has to exist before it, and the log groups that it writes to."""

    container_insights: bool = True
    linked_role: IamServiceLinkedRole | None = None
    log_groups: tuple[LogsServiceGroup, ...] = ()

    kind: ClassVar[str] = "ecs-cluster"
    name_rule: ClassVar[NameRule | None] = NameRule(255, r"[A-Za-z0-9_-]+", "letters, digits, _ and -")
    needs_unused_to_delete: ClassVar[bool] = True
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {
            "ClusterNotFoundException",
            "ClusterContainsServicesException",
            "ClusterContainsTasksException",
            "UpdateInProgressException",
            # ECS does not know a new service-linked role for seconds.
            "InvalidParameterException: Unable to assume the service linked role",
        }
    )

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        name = owner.name or cluster_name(owner.prefix)
        # DescribeClusters returns these only if they are requested.
        for raw in aws.ecs.describe_clusters(clusters=[name], include=["TAGS", "SETTINGS"])["clusters"]:
            if raw["status"] != "INACTIVE":
                yield _observed(raw)

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.ecs.tag_resource(resourceArn=observed.arn, tags=to_pairs(tags, "key", "value"))

    def desired(self, outputs: Outputs) -> Properties:
        return {"containerInsights": "enabled" if self.container_insights else "disabled"}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        pairs = to_pairs(owner.tags, "key", "value")
        aws.ecs.create_cluster(clusterName=self.name, settings=_settings(desired), tags=pairs)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        aws.ecs.update_cluster(cluster=observed.name, settings=_settings(changed))

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.ecs.delete_cluster(cluster=observed.name)

    @classmethod
    def blockers(cls, aws: Aws, observed: Observed) -> str:
        environment = (observed.tags or {}).get(ENVIRONMENT, "")
        return named([*_foreign_services(aws, observed, environment), *_foreign_tasks(aws, observed, environment)])


def cluster_name(prefix: str) -> str:
    """The name of the one cluster of an environment, whose names begin with `prefix`."""
    return f"{prefix}cluster"


def _observed(raw: Mapping[str, Any]) -> Observed:
    settings = {setting["name"]: setting["value"] for setting in raw.get("settings", ())}
    return Observed(
        raw["clusterArn"],
        {"containerInsights": settings.get("containerInsights", "disabled")},
        tags=from_pairs(raw.get("tags"), "key", "value"),
        name=raw["clusterName"],
        arn=raw["clusterArn"],
        state=STATES.get(raw["status"], State.READY),
        status=raw["status"],
    )


def _foreign_services(aws: Aws, observed: Observed, environment: str) -> Iterator[str]:
    arns = list(every(aws.ecs.list_services, "serviceArns", cluster=observed.name))
    for start in range(0, len(arns), SERVICES_A_CALL):
        chunk = arns[start : start + SERVICES_A_CALL]
        for raw in aws.ecs.describe_services(cluster=observed.name, services=chunk, include=["TAGS"])["services"]:
            owner = from_pairs(raw.get("tags"), "key", "value").get(ENVIRONMENT)
            if raw["status"] != "INACTIVE" and owner != environment:
                whose = f"of the environment {owner}" if owner else "without owner"
                yield f"service {raw['serviceName']} ({whose}, {raw['runningCount']} tasks run)"


def _foreign_tasks(aws: Aws, observed: Observed, environment: str) -> Iterator[str]:
    """Tasks started by hand. Tasks of services are stopped with them, and those of remote jobs end by themselves."""
    arns = list(every(aws.ecs.list_tasks, "taskArns", cluster=observed.name))
    for start in range(0, len(arns), CLUSTERS_A_CALL):
        for raw in aws.ecs.describe_tasks(cluster=observed.name, tasks=arns[start : start + CLUSTERS_A_CALL])["tasks"]:
            group = raw.get("group", "")
            if not group.startswith(("service:", f"family:orderops-{environment}-")):
                starter = f", started by {raw['startedBy']}" if raw.get("startedBy") else ""
                yield f"task {raw['taskArn'].rpartition('/')[2]} ({group or 'no group'}{starter})"


def _settings(properties: Properties) -> list[dict[str, str]]:
    return to_pairs({key: str(value) for key, value in properties.items()}, "name", "value")
