"""Log group of an AWS service, which the service makes by itself where it does not find one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from orderops.aws.client import Aws
from orderops.aws.ownership import ENVIRONMENT, Ownership
from orderops.engine.resource import Leftover, Observed
from orderops.resources.logs_group import LogsGroup, groups_named, observed_group

DATABASE = "/aws/rds/instance/"
# Of RDS's log exports and of Container Insights; with the names of our instances and of our cluster.
PREFIXES = (DATABASE + "orderops-{}-database", "/aws/ecs/containerinsights/orderops-{}-cluster/")


class LogsServiceGroup(LogsGroup):
    """Created before its writer: a group that the service makes is kept for ever, also after the writer is deleted.

    The service uses a group that exists (hashicorp/terraform-provider-aws#5348).
    """

    kind: ClassVar[str] = "logs-service-group"
    made_by_aws: ClassVar[bool] = True

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in groups_named(aws, owner, *([owner.name] if owner.name else _prefixes(owner.environment))):
            yield observed_group(raw)

    @classmethod
    def leftovers(cls, aws: Aws, owner: Ownership) -> Iterator[Leftover]:
        # A group with our tags was deleted or is kept with its writer; one without was made by the service.
        left = [found.name for found in cls.listing(aws, owner) if ENVIRONMENT not in cls.tags(aws, found)]
        yield Leftover("log group made by AWS", "aws logs delete-log-group --log-group-name NAME", tuple(left))


def database_log_groups(instance: str, exports: tuple[str, ...], retention_days: int) -> tuple[LogsServiceGroup, ...]:
    """The groups to which RDS exports the logs of an instance."""
    return tuple(LogsServiceGroup(f"{DATABASE}{instance}/{export}", retention_days) for export in exports)


def insights_log_group(cluster: str, retention_days: int) -> LogsServiceGroup:
    """The group to which Container Insights writes the metrics of a cluster."""
    return LogsServiceGroup(f"/aws/ecs/containerinsights/{cluster}/performance", retention_days)


def _prefixes(environment: str) -> Iterator[str]:
    return (form.format(environment) for form in PREFIXES)


def belongs_to_database(name: str, instance: str) -> bool:
    """Whether this is a group of the instance's logs."""
    return name.startswith(f"{DATABASE}{instance}/")
