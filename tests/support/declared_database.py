"""A database instance of dev with what it needs, as tests of its resource declare it."""

from __future__ import annotations

from orderops.resources.ec2_security_group import Ec2SecurityGroup
from orderops.resources.ec2_subnet import Ec2Subnet
from orderops.resources.ec2_vpc import Ec2Vpc
from orderops.resources.rds_instance import RdsInstance
from orderops.resources.rds_parameter_group import RdsParameterGroup
from orderops.resources.rds_subnet_group import RdsSubnetGroup

VPC = Ec2Vpc("orderops-dev", "10.0.0.0/16")
SUBNETS = tuple(
    Ec2Subnet(f"orderops-dev-isolated-{zone}", VPC, f"10.0.{number}.0/24", f"ap-southeast-2{zone}")
    for number, zone in enumerate("ab")
)
GROUP = Ec2SecurityGroup("orderops-dev-db", VPC, "database")
DB = RdsInstance(
    "orderops-dev-db",
    RdsSubnetGroup("orderops-dev-db", SUBNETS),
    RdsParameterGroup("orderops-dev-postgres16", "postgres16"),
    (GROUP,),
)
