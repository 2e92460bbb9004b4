"""Service-linked role: shared by the whole account, created if missing, never deleted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import Ownership
from orderops.engine.resource import Leftover, Observed, Outputs, Properties, Resource
from orderops.resources.iam_role import roles

ROOT = "/aws-service-role/"
OF_USE = frozenset(
    f"{service}.amazonaws.com" for service in ("ecs", "ecs.application-autoscaling", "elasticloadbalancing", "rds")
)
"""The services that environments use."""


class IamServiceLinkedRole(Resource):
    """Assumed by the service `name`, such as `ecs.amazonaws.com`.

    AWS creates it on first use, too late for that use; so orderops creates it beforehand.
    """

    kind: ClassVar[str] = "iam-service-linked-role"
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        # CreateServiceLinkedRole answers InvalidInput for an existing role.
        {"NoSuchEntity", "EntityAlreadyExists", "InvalidInput: has been taken"}
    )
    untagged: ClassVar[bool] = True

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in _one(aws, owner.name) if owner.address else roles(aws):
            if raw["Path"].startswith(ROOT):
                yield Observed(raw["RoleId"], tags={}, name=raw["Path"].removeprefix(ROOT).strip("/"), arn=raw["Arn"])

    def desired(self, outputs: Outputs) -> Properties:
        return {}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.iam.create_service_linked_role(AWSServiceName=self.name)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        """Do nothing: the role has no settings."""

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        """Do nothing: the account shares the role."""

    @classmethod
    def leftovers(cls, aws: Aws, owner: Ownership) -> Iterator[Leftover]:
        roles = [observed.arn.rpartition("/")[2] for observed in cls.listing(aws, owner) if observed.name in OF_USE]
        command = "aws iam delete-service-linked-role --role-name NAME"
        yield Leftover("role of the whole account", command, tuple(sorted(roles)))


def _one(aws: Aws, service: str) -> Iterator[dict[str, Any]]:
    return every(aws.iam.list_roles, "Roles", PathPrefix=f"{ROOT}{service}/")
