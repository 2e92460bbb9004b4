"""RDS subnet group: subnets in at least two zones for database instances."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ENVIRONMENT, Ownership, Tags, from_pairs, to_pairs
from orderops.engine.names import NameRule
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.resources.ec2_dependents import named
from orderops.resources.ec2_subnet import Ec2Subnet
from orderops.resources.iam_service_linked_role import IamServiceLinkedRole

DESCRIPTION = "Isolated subnets of the database"


class RdsSubnetGroup(Resource):
    """Database instances in the group have an address in one of `subnets`. RDS's role has to exist before it."""

    subnets: tuple[Ec2Subnet, ...]
    linked_role: IamServiceLinkedRole | None = None

    kind: ClassVar[str] = "rds-subnet-group"
    name_rule: ClassVar[NameRule | None] = NameRule(
        255, r"(?!default$)[a-z0-9 ._-]+", "lower-case letters, digits, spaces and ._-"
    )
    needs_unused_to_delete: ClassVar[bool] = True
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {
            "DBSubnetGroupNotFoundFault",
            "DBSubnetGroupAlreadyExists",
            "InvalidDBSubnetGroupStateFault",
            "InvalidSubnet: are invalid",
            # RDS does not know a new service-linked role for tens of seconds (terraform-aws-rds#364).
            "InvalidParameterValue: Missing necessary credentials",
        }
    )

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in every(aws.rds.describe_db_subnet_groups, "DBSubnetGroups"):
            if raw["DBSubnetGroupName"].startswith(owner.prefix):
                yield Observed(
                    raw["DBSubnetGroupName"],
                    {"SubnetIds": sorted(subnet["SubnetIdentifier"] for subnet in raw["Subnets"])},
                    name=raw["DBSubnetGroupName"],
                    arn=raw["DBSubnetGroupArn"],
                )

    @classmethod
    def tags(cls, aws: Aws, observed: Observed) -> Tags:
        return from_pairs(aws.rds.list_tags_for_resource(ResourceName=observed.arn)["TagList"])

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.rds.add_tags_to_resource(ResourceName=observed.arn, Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {"SubnetIds": sorted(outputs[subnet].id for subnet in self.subnets)}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.rds.create_db_subnet_group(
            DBSubnetGroupName=self.name,
            DBSubnetGroupDescription=DESCRIPTION,
            SubnetIds=desired["SubnetIds"],
            Tags=owner.pairs,
        )

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        aws.rds.modify_db_subnet_group(DBSubnetGroupName=observed.id, SubnetIds=changed["SubnetIds"])

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.rds.delete_db_subnet_group(DBSubnetGroupName=observed.id)

    @classmethod
    def blockers(cls, aws: Aws, observed: Observed) -> str:
        return named(
            foreign_instances(aws, observed, lambda raw: [raw.get("DBSubnetGroup", {}).get("DBSubnetGroupName")])
        )


def foreign_instances(
    aws: Aws, observed: Observed, groups: Callable[[Mapping[str, Any]], list[str | None]]
) -> Iterator[str]:
    """Database instances of other owners that use this group; `groups` returns the groups of an instance."""
    for raw in every(aws.rds.describe_db_instances, "DBInstances"):
        owner = from_pairs(raw.get("TagList")).get(ENVIRONMENT)
        if observed.id in groups(raw) and owner != (observed.tags or {}).get(ENVIRONMENT):
            whose = f"of the environment {owner}" if owner else "without owner"
            yield f"database instance {raw['DBInstanceIdentifier']} ({whose}, {raw['DBInstanceStatus']})"
