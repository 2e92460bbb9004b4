"""The resources that all services of an environment share: network, load balancer and database."""

from __future__ import annotations

from collections.abc import Sequence

from orderops.config.environment import Environment
from orderops.engine.resource import Resource
from orderops.frozen import Frozen
from orderops.infra.roles import role_of
from orderops.resources.ec2_address import Ec2Address
from orderops.resources.ec2_flow_log import Ec2FlowLog
from orderops.resources.ec2_internet_gateway import Ec2InternetGateway
from orderops.resources.ec2_nat_gateway import Ec2NatGateway
from orderops.resources.ec2_route_table import Ec2RouteTable
from orderops.resources.ec2_security_group import Ec2SecurityGroup, IngressRule
from orderops.resources.ec2_subnet import Ec2Subnet
from orderops.resources.ec2_vpc import Ec2Vpc
from orderops.resources.elbv2_load_balancer import Elbv2LoadBalancer
from orderops.resources.iam_role import Allow
from orderops.resources.iam_service_linked_role import IamServiceLinkedRole
from orderops.resources.logs_group import LogsGroup
from orderops.resources.logs_service_group import database_log_groups
from orderops.resources.rds_instance import RdsInstance
from orderops.resources.rds_parameter_group import RdsParameterGroup
from orderops.resources.rds_read_replica import RdsReadReplica
from orderops.resources.rds_subnet_group import RdsSubnetGroup
from orderops.resources.s3_bucket import S3Bucket
from orderops.resources.secretsmanager_login import MASTER, SecretsmanagerLogin

ANYWHERE = "0.0.0.0/0"


class Network(Frozen):
    """The VPC, its subnets by tier, and the rest of the network in `rest`."""

    vpc: Ec2Vpc
    public: tuple[Ec2Subnet, ...]
    private: tuple[Ec2Subnet, ...]
    isolated: tuple[Ec2Subnet, ...]
    gateway: Ec2InternetGateway
    rest: tuple[Resource, ...]


def linked_role(service: str) -> IamServiceLinkedRole:
    """The service-linked role of an AWS service. It is shared by all environments of the account."""
    return IamServiceLinkedRole(f"{service}.amazonaws.com")


def network_of(environment: Environment, zone_names: Sequence[str]) -> Network:
    """VPC, three tiers of subnets in these zones, gateways, route tables, and the flow log."""
    prefix, declared = environment.prefix, environment.network
    vpc = Ec2Vpc(f"{prefix}-vpc", declared.cidr)
    # Names contain only the letter of a zone, such as the c of ap-northeast-1c.
    zones = [zone.removeprefix(environment.region) for zone in zone_names]

    def tier(name: str, cidrs: list[str], *, public: bool = False) -> tuple[Ec2Subnet, ...]:
        return tuple(
            Ec2Subnet(f"{prefix}-{name}-{zone}", vpc, cidr, f"{environment.region}{zone}", public=public)
            for zone, cidr in zip(zones, cidrs, strict=True)
        )

    public = tier("public", declared.subnets("public"), public=True)
    private = tier("private", declared.subnets("private"))
    isolated = tier("isolated", declared.subnets("isolated"))
    gateway = Ec2InternetGateway(f"{prefix}-internet", vpc)
    addresses = [Ec2Address(f"{prefix}-nat-{zone}") for zone in zones[: declared.nat_gateways]]
    nats = [
        Ec2NatGateway(address.name, subnet, address, gateway)
        for address, subnet in zip(addresses, public, strict=False)
    ]
    # One NAT gateway serves every zone, or each zone has its own.
    nat_of = {zone: nats[min(index, len(nats) - 1)] for index, zone in enumerate(zones)}
    tables = [
        Ec2RouteTable(f"{prefix}-public", vpc, public, gateway=gateway),
        *(
            Ec2RouteTable(f"{prefix}-private-{zone}", vpc, (subnet,), nat=nat_of[zone])
            for zone, subnet in zip(zones, private, strict=True)
        ),
        # Without a table of its own a subnet uses the main table of the VPC, which orderops does not manage.
        Ec2RouteTable(f"{prefix}-isolated", vpc, isolated),
    ]
    rest = (gateway, *addresses, *nats, *tables, *flow_log_of(environment, vpc))
    return Network(vpc, public, private, isolated, gateway, rest)


def flow_log_of(environment: Environment, vpc: Ec2Vpc) -> tuple[Resource, ...]:
    """The flow log of the VPC, with its log group and the role that writes to it."""
    group = LogsGroup(f"/orderops/{environment.name}/flow-log", environment.network.flow_log_days)
    # Without CreateLogGroup: with it, AWS would create the group again after orderops has deleted it.
    writes = ("logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents")
    role = role_of(
        environment,
        f"{environment.prefix}-flow-log",
        "vpc-flow-logs.amazonaws.com",
        (Allow(writes, (group,), suffix=":*"),),
    )
    return group, role, Ec2FlowLog(f"{environment.prefix}-flow-log", vpc, group, role)


def entrance_group_of(
    environment: Environment, network: Network, link: Ec2SecurityGroup | None = None
) -> Ec2SecurityGroup:
    """The security group of the load balancers: only `allowed_cidrs` may connect, and the `link` of an API."""
    port, ranges = environment.balancer.port, () if environment.api.alone else environment.balancer.allowed_cidrs
    ports = [port, *([environment.domain.port] if environment.domain.name else [])]
    clients = [IngressRule(open_to, cidr, "clients") for open_to in ports for cidr in ranges]
    return Ec2SecurityGroup(
        f"{environment.prefix}-balancer",
        network.vpc,
        # AWS cannot change the description of an existing group: another wording would need a replacement.
        "what reaches the load balancer",
        ingress=(*clients, *([IngressRule(port, link, "API")] if link else [])),
        # AWS gives every new group this egress rule; declared, so that a change of the rule shows as drift.
        egress=(IngressRule(0, ANYWHERE, "targets", protocol="-1"),),
    )


def balancer_of(
    environment: Environment, network: Network, entrance: Ec2SecurityGroup, account: str
) -> tuple[Elbv2LoadBalancer, S3Bucket]:
    """The load balancer, and the bucket of its access logs."""
    declared = environment.balancer
    bucket = S3Bucket(
        # Bucket names are unique across all accounts, so the name contains the account id.
        f"{environment.prefix}-access-logs-{account}",
        declared.access_log_days,
        "access-logs",
        environment.region,
    )
    balancer = Elbv2LoadBalancer(
        f"{environment.prefix}-balancer",
        subnets=network.public,
        security_groups=(entrance,),
        gateway=network.gateway,
        access_logs=bucket,
        idle_timeout=declared.idle_timeout_seconds,
        deletion_protection=declared.deletion_protection,
        linked_role=linked_role("elasticloadbalancing"),
    )
    return balancer, bucket


def database_of(
    environment: Environment, network: Network, users: tuple[tuple[str, Ec2SecurityGroup], ...]
) -> tuple[RdsInstance, tuple[RdsReadReplica, ...], tuple[Resource, ...]]:
    """The database instance, its read replicas, and what they need; `users` are the services that may connect."""
    security_group = _database_group(environment, network, users)
    subnets = RdsSubnetGroup(f"{environment.prefix}-database", network.isolated, linked_role("rds"))
    parameters = _parameter_group(environment)
    own = _own_master(environment)
    instance = _instance(environment, security_group, subnets, parameters, own)
    replicas = _replicas(environment, network, instance)
    groups = [*instance.log_groups, *(group for replica in replicas for group in replica.log_groups)]
    return instance, replicas, (subnets, parameters, *groups, *([own] if own else []))


def replica_names(environment: Environment) -> list[str]:
    """The names of the read replicas of the database."""
    return [f"{environment.prefix}-database-replica-{n}" for n in range(1, environment.database.replicas + 1)]


def _replicas(environment: Environment, network: Network, database: RdsInstance) -> tuple[RdsReadReplica, ...]:
    """The read replicas of the database, spread over the zones of its subnets."""
    declared, zones = environment.database, tuple(subnet.zone for subnet in network.isolated)
    return tuple(
        RdsReadReplica(
            name, database, number, zones, database_log_groups(name, tuple(declared.log_exports), declared.log_days)
        )
        for number, name in enumerate(replica_names(environment), 1)
    )


def _database_group(
    environment: Environment, network: Network, users: tuple[tuple[str, Ec2SecurityGroup], ...]
) -> Ec2SecurityGroup:
    return Ec2SecurityGroup(
        f"{environment.prefix}-database",
        network.vpc,
        "what reaches the database",
        ingress=tuple(IngressRule(environment.database.port, user, key) for key, user in users),
    )


def _own_master(environment: Environment) -> SecretsmanagerLogin | None:
    """The secret with the master user's password, where RDS does not manage it."""
    if environment.database.master == "managed":
        return None
    return SecretsmanagerLogin(f"orderops/{environment.name}/database-master", environment.database.username, MASTER)


def _parameter_group(environment: Environment) -> RdsParameterGroup:
    declared = environment.database
    major = declared.engine_version.partition(".")[0]
    return RdsParameterGroup(
        f"{environment.prefix}-postgres{major}",
        f"postgres{major}",
        {
            "log_min_duration_statement": str(declared.slow_query_ms),
            "rds.force_ssl": "0" if declared.sslmode == "disable" else "1",
            "shared_preload_libraries": "pg_stat_statements",
            **({"rds.logical_replication": "1"} if declared.logical_replication else {}),
        },
    )


def _instance(
    environment: Environment,
    security_group: Ec2SecurityGroup,
    subnets: RdsSubnetGroup,
    parameters: RdsParameterGroup,
    master: SecretsmanagerLogin | None,
) -> RdsInstance:
    declared, name = environment.database, f"{environment.prefix}-database"
    return RdsInstance(
        name,
        subnet_group=subnets,
        parameter_group=parameters,
        security_groups=(security_group,),
        engine_version=declared.engine_version,
        instance_class=declared.instance_class,
        storage_gb=declared.storage_gb,
        max_storage_gb=declared.max_storage_gb,
        multi_az=declared.multi_az,
        backup_days=declared.backup_days,
        deletion_protection=declared.deletion_protection,
        performance_insights=declared.performance_insights,
        database_insights=declared.database_insights,
        log_exports=tuple(declared.log_exports),
        log_groups=database_log_groups(name, tuple(declared.log_exports), declared.log_days),
        port=declared.port,
        database=declared.name,
        username=declared.username,
        master=master,
        backup_window=declared.backup_window,
        maintenance_window=declared.maintenance_window,
    )
