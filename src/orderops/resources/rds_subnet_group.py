"""RDS subnet group: the subnets, in at least two zones, in which a database instance may stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ENVIRONMENT, Claim, Tags, from_pairs, to_pairs
from orderops.engine.resource import Live, Outputs, Properties, Resource
from orderops.resources.ec2_dependents import named
from orderops.resources.ec2_subnet import Ec2Subnet

DESCRIPTION = "Isolated subnets of the database"


@dataclass(frozen=True, eq=False)
class RdsSubnetGroup(Resource):
    """A database instance that names it has its address in one of `subnets`."""

    subnets: tuple[Ec2Subnet, ...]

    kind: ClassVar[str] = "rds-subnet-group"
    passing: ClassVar[frozenset[str]] = frozenset(
        {
            "DBSubnetGroupNotFoundFault",
            "DBSubnetGroupAlreadyExists",
            "InvalidDBSubnetGroupStateFault",
            "InvalidSubnet: are invalid",
        }
    )

    @classmethod
    def listing(cls, aws: Aws, claim: Claim) -> Iterator[Live]:
        for raw in every(aws.rds.describe_db_subnet_groups, "DBSubnetGroups"):
            if raw["DBSubnetGroupName"].startswith(claim.prefix):
                yield Live(
                    raw["DBSubnetGroupName"],
                    {"SubnetIds": sorted(each["SubnetIdentifier"] for each in raw["Subnets"])},
                    name=raw["DBSubnetGroupName"],
                    arn=raw["DBSubnetGroupArn"],
                )

    @classmethod
    def tags(cls, aws: Aws, live: Live) -> Tags:
        return from_pairs(aws.rds.list_tags_for_resource(ResourceName=live.arn)["TagList"])

    @classmethod
    def retag(cls, aws: Aws, live: Live, tags: Tags) -> None:
        aws.rds.add_tags_to_resource(ResourceName=live.arn, Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {"SubnetIds": sorted(outputs[subnet].id for subnet in self.subnets)}

    def create(self, aws: Aws, desired: Properties, claim: Claim) -> None:
        aws.rds.create_db_subnet_group(
            DBSubnetGroupName=self.name,
            DBSubnetGroupDescription=DESCRIPTION,
            SubnetIds=desired["SubnetIds"],
            Tags=claim.pairs,
        )

    def update(self, aws: Aws, live: Live, changed: Properties) -> None:
        aws.rds.modify_db_subnet_group(DBSubnetGroupName=live.id, SubnetIds=changed["SubnetIds"])

    @classmethod
    def delete(cls, aws: Aws, live: Live) -> None:
        aws.rds.delete_db_subnet_group(DBSubnetGroupName=live.id)

    @classmethod
    def held_by(cls, aws: Aws, live: Live) -> str:
        return named(foreign_instances(aws, live, lambda raw: [raw.get("DBSubnetGroup", {}).get("DBSubnetGroupName")]))


def foreign_instances(aws: Aws, live: Live, groups: Callable[[Mapping[str, Any]], list[str | None]]) -> Iterator[str]:
    """The database instances of others that stand on one of our groups; `groups` tells those of an instance."""
    for raw in every(aws.rds.describe_db_instances, "DBInstances"):
        owner = from_pairs(raw.get("TagList")).get(ENVIRONMENT)
        if live.id in groups(raw) and owner != (live.tags or {}).get(ENVIRONMENT):
            whose = f"of the environment {owner}" if owner else "without owner"
            yield f"database instance {raw['DBInstanceIdentifier']} ({whose}, {raw['DBInstanceStatus']})"
