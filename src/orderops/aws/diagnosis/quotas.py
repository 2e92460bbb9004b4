"""Known failures for want of room: quotas of the account, capacity of a zone, addresses of a subnet."""

from __future__ import annotations

from orderops.aws.diagnosis.rule import ErrorContext, KnownError, Values, codes

GENERIC = codes(
    "LimitExceeded", "LimitExceededException", "ServiceQuotaExceededException", "ResourceLimitExceeded", "QuotaExceeded"
)
SERVICE_CODES = {"elbv2": "elasticloadbalancing", "logs": "logs", "cloudwatch": "monitoring"}
GLOBAL = ("iam", "s3")
"""Their quotas are kept in us-east-1."""
ASK = (
    "free one, or ask for more: aws service-quotas request-service-quota-increase --service-code {of} "
    "--quota-code {quota} --desired-value NUMBER --region {at}"
)
LIST = (
    "free some, or ask for more; which quotas there are: aws service-quotas list-service-quotas --service-code {of} "
    "--region {at} --query 'Quotas[].[QuotaCode,QuotaName,Value]' --output text"
)
CLASSES = (
    "aws rds describe-orderable-db-instance-options --engine {engine} --engine-version {version} --region {region} "
    "--query 'OrderableDBInstanceOptions[].[DBInstanceClass,AvailabilityZones[].Name]' --output text"
)


def _quota(code: str, of: str, quota: str, name: str, calls: str = "", words: str = "") -> KnownError:
    """A quota that has a code and a name of its own."""
    at = "us-east-1" if of in GLOBAL else "{region}"
    return KnownError(
        f"quota {name}",
        GENERIC if code == "LimitExceeded" else codes(code),
        f"the account has reached its quota '{name}'" + ("" if of in GLOBAL else " in {region}"),
        ASK.format(of=of, quota=quota, at=at),
        calls=calls,
        words=words,
    )


def _listed(said: ErrorContext, found: Values) -> Values:
    of = SERVICE_CODES.get(said.service, said.service)
    limit = f" '{found['named']}'" if "named" in found else ""
    return {"of": of, "at": "us-east-1" if of in GLOBAL else said.region, "limit": limit}


def _database(said: ErrorContext, found: Values) -> Values:
    return {
        "engine": str(said.params.get("Engine", "postgres")),
        "version": found.get("version") or str(said.params.get("EngineVersion", "16")),
        "class": found.get("class") or str(said.params.get("DBInstanceClass", "")),
    }


FAILURES = (
    _quota("VpcLimitExceeded", "vpc", "L-F678F1CE", "VPCs per Region"),
    _quota("AddressLimitExceeded", "ec2", "L-0263D0A3", "EC2-VPC Elastic IPs"),
    _quota("NatGatewayLimitExceeded", "vpc", "L-FE5A380F", "NAT gateways per Availability Zone"),
    _quota("InternetGatewayLimitExceeded", "vpc", "L-A4707A72", "Internet gateways per Region"),
    _quota("SubnetLimitExceeded", "vpc", "L-407747CB", "Subnets per VPC"),
    _quota("RouteTableLimitExceeded", "vpc", "L-589F43AA", "Route tables per VPC"),
    _quota("RouteLimitExceeded", "vpc", "L-93826ACB", "Routes per route table"),
    _quota("SecurityGroupLimitExceeded", "vpc", "L-E79EC296", "VPC security groups per Region"),
    _quota("RulesPerSecurityGroupLimitExceeded", "vpc", "L-0EA8095F", "Inbound or outbound rules per security group"),
    _quota("InstanceQuotaExceeded", "rds", "L-7B6409FD", "DB instances"),
    _quota("StorageQuotaExceeded", "rds", "L-7ADDB58A", "Total storage for all DB instances"),
    _quota("SnapshotQuotaExceeded", "rds", "L-272F1212", "Manual DB instance snapshots"),
    _quota("DBSubnetGroupQuotaExceeded", "rds", "L-48C6BF61", "DB subnet groups"),
    _quota("DBParameterGroupQuotaExceeded", "rds", "L-DE55804A", "Parameter groups"),
    _quota("TooManyLoadBalancers", "elasticloadbalancing", "L-53DA6B97", "Application Load Balancers per Region"),
    _quota("TooManyTargetGroups", "elasticloadbalancing", "L-B22855CB", "Target Groups per Region"),
    _quota("TooManyListeners", "elasticloadbalancing", "L-B6DF7632", "Listeners per Application Load Balancer"),
    _quota("TooManyBuckets", "s3", "L-DC2B2D3D", "Buckets"),
    _quota("TopicLimitExceeded", "sns", "L-61103206", "Topics per account"),
    _quota("LimitExceeded", "iam", "L-FE177D64", "Roles per account", r"iam\.create_role$"),
    _quota("LimitExceeded", "ecs", "L-21C621EB", "Clusters per account", r"ecs\.create_cluster$"),
    _quota("LimitExceeded", "ecr", "L-CFEB8E8D", "Registered repositories", r"ecr\.create_repository$"),
    _quota("LimitExceeded", "secretsmanager", "L-2F66C23C", "Secrets", r"secretsmanager\.create_secret$"),
    _quota(
        "LimitExceeded",
        "fargate",
        "L-3032A538",
        "Fargate On-Demand vCPU resource count",
        r"ecs\.(run_task|create_service|update_service)$",
        r"limit on the number of (vCPUs|tasks)",
    ),
    KnownError(
        "quota",
        GENERIC | codes("TooManyRules", "TooManyTargets", "OverLimit", "TooManyTagsException"),
        "the account has reached one of its quotas{limit} ({service})",
        LIST,
        words=r"^(?:.*?quota for (?P<named>\w+))?",
        fill=_listed,
    ),
    KnownError(
        "subnet-full",
        codes("InsufficientFreeAddressesInSubnet", "InsufficientAvailableIPsInSubnetFault", "InvalidSubnet"),
        "the subnet {subnet} has no free addresses left",
        "how many each has: aws ec2 describe-subnets --region {region} --filters Name=subnet-id,Values={subnet} "
        "--query 'Subnets[].[SubnetId,CidrBlock,AvailableIpAddressCount]' --output text; then end what holds them",
        words=r"^(?=.*(not enough|insufficient|free))(?:.*?(?P<subnet>subnet-\w+))?",
    ),
    KnownError(
        "addresses-gone",
        codes("InsufficientAddressCapacity"),
        "AWS itself has no Elastic IP free in {region} at present",
        "the same command later; it goes on from there",
    ),
    KnownError(
        "zone-without-database-capacity",
        codes("InsufficientDBInstanceCapacity"),
        "AWS has no {class} free in these zones of {region} at present",
        f"the same command later, or another instance_class in {{file}}; which zones have which: {CLASSES}",
        fill=_database,
    ),
    KnownError(
        "zone-without-capacity",
        codes("InsufficientInstanceCapacity", "InsufficientCapacity", "CapacityNotAvailableError", "ClientException"),
        "AWS has no capacity free in this zone of {region} at present",
        "the same command later; it goes on from there",
        words=r"capacity",
    ),
    KnownError(
        "instance-class-unknown",
        codes("InvalidParameterCombination", "InvalidParameterValue"),
        "RDS does not offer {class} for {engine} {version} in {region}",
        f"choose another instance_class in {{file}}; which there are: {CLASSES}",
        words=r"DBInstanceClass=(?P<class>[\w.]+)|invalid DB instance class: (?P<other>[\w.]+)",
        calls=r"rds\.",
        fill=lambda said, found: _database(said, {**found, "class": found.get("class", found.get("other", ""))}),
    ),
    KnownError(
        "engine-version-unknown",
        codes("InvalidParameterCombination", "InvalidParameterValue"),
        "RDS has no {engine} {version} in {region}",
        "choose another engine_version in {file}; which there are: aws rds describe-db-engine-versions "
        "--engine {engine} --region {region} --query 'DBEngineVersions[].EngineVersion' --output text",
        words=r"cannot find version (?P<version>[\w.]+) for (?P<engine>[\w-]+)",
        calls=r"rds\.",
    ),
)
