"""Service-linked role: belongs to the whole account, made when missing, never removed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import Claim
from orderops.engine.resource import Left, Live, Outputs, Properties, Resource

ROOT = "/aws-service-role/"
OF_USE = frozenset(
    f"{service}.amazonaws.com" for service in ("ecs", "ecs.application-autoscaling", "elasticloadbalancing", "rds")
)
"""The services that an environment is made of."""


@dataclass(frozen=True, eq=False)
class IamServiceLinkedRole(Resource):
    """`name` is the service that assumes it, such as `ecs.amazonaws.com`.

    AWS makes it on first use, too late for that first use; so a new account gets it up front.
    """

    kind: ClassVar[str] = "iam-service-linked-role"
    passing: ClassVar[frozenset[str]] = frozenset(
        {"NoSuchEntity", "EntityAlreadyExists", "InvalidInput: has been taken"}
    )
    untagged: ClassVar[bool] = True

    @classmethod
    def listing(cls, aws: Aws, claim: Claim) -> Iterator[Live]:
        root = f"{ROOT}{claim.name}/" if claim.address else ROOT
        for raw in every(aws.iam.list_roles, "Roles", PathPrefix=root):
            yield Live(raw["RoleId"], tags={}, name=raw["Path"].removeprefix(ROOT).strip("/"), arn=raw["Arn"])

    def desired(self, outputs: Outputs) -> Properties:
        return {}

    def create(self, aws: Aws, desired: Properties, claim: Claim) -> None:
        aws.iam.create_service_linked_role(AWSServiceName=self.name)

    def update(self, aws: Aws, live: Live, changed: Properties) -> None:
        """Has nothing that could differ."""

    @classmethod
    def delete(cls, aws: Aws, live: Live) -> None:
        """Others in the account use it too."""

    @classmethod
    def leaves(cls, aws: Aws, claim: Claim) -> Iterator[Left]:
        roles = [live.arn.rpartition("/")[2] for live in cls.listing(aws, claim) if live.name in OF_USE]
        command = "aws iam delete-service-linked-role --role-name NAME"
        yield Left("role of the whole account", command, tuple(sorted(roles)))
