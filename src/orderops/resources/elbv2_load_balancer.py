"""Application load balancer, with its access logs in a bucket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import Ownership, Tags, from_pairs, to_pairs
from orderops.engine.names import NameRule
from orderops.engine.resource import Effect, Observed, Outputs, Properties, Resource, State
from orderops.frozen import replace
from orderops.resources.ec2_internet_gateway import Ec2InternetGateway
from orderops.resources.ec2_security_group import Ec2SecurityGroup
from orderops.resources.ec2_subnet import Ec2Subnet
from orderops.resources.iam_service_linked_role import IamServiceLinkedRole
from orderops.resources.s3_bucket import S3Bucket

STATES = {"provisioning": State.PENDING, "failed": State.FAILED}
IDLE_TIMEOUT = "idle_timeout.timeout_seconds"
PROTECTION = "deletion_protection.enabled"
LOGS_ENABLED = "access_logs.s3.enabled"
LOGS_BUCKET = "access_logs.s3.bucket"
DROP_INVALID = "routing.http.drop_invalid_header_fields.enabled"
DEFAULTS = {IDLE_TIMEOUT: "60", PROTECTION: "false", LOGS_ENABLED: "false", LOGS_BUCKET: "", DROP_INVALID: "false"}


class Elbv2LoadBalancer(Resource):
    """In public subnets of at least two zones, or `internal` in private ones. `idle_timeout` is in seconds.

    AWS needs `gateway` attached to the VPC to create it, and to detach the gateway needs its addresses released. Its
    service-linked role has to exist before it.
    """

    subnets: tuple[Ec2Subnet, ...]
    security_groups: tuple[Ec2SecurityGroup, ...]
    gateway: Ec2InternetGateway | None = None
    access_logs: S3Bucket | None = None
    idle_timeout: int = 60
    deletion_protection: bool = False
    linked_role: IamServiceLinkedRole | None = None
    internal: bool = False

    kind: ClassVar[str] = "elbv2-load-balancer"
    name_rule: ClassVar[NameRule | None] = NameRule(
        32, r"(?!internal-)[A-Za-z0-9](-*[A-Za-z0-9])*", "letters, digits and inner hyphens, and not internal- first"
    )
    # OperationNotPermitted (deletion protection) is not one of these: a retry would not help.
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {
            "LoadBalancerNotFound",
            "DuplicateLoadBalancerName",
            "SubnetNotFound",
            "InvalidSubnet: has no internet gateway",
            "ResourceInUse",
            # S3 may not have applied the bucket's policy, which was written moments ago.
            "InvalidConfigurationRequest: Access Denied for bucket",
            # ELB does not know a new service-linked role for seconds.
            "InvalidParameterValue: service linked role",
        }
    )
    immutable: ClassVar[frozenset[str]] = frozenset({"Scheme", "Type"})
    effects: ClassVar[Mapping[str, Effect]] = {"SecurityGroups": Effect.INTERRUPTS, "Subnets": Effect.INTERRUPTS}
    timeout: ClassVar[timedelta] = timedelta(minutes=20)
    typical_duration: ClassVar[timedelta] = timedelta(minutes=3)

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in every(aws.elbv2.describe_load_balancers, "LoadBalancers"):
            if raw["LoadBalancerName"].startswith(owner.prefix):
                yield _observed(raw)

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        pairs = aws.elbv2.describe_load_balancer_attributes(LoadBalancerArn=observed.arn)["Attributes"]
        values = DEFAULTS | {pair["Key"]: pair["Value"] for pair in pairs if pair["Key"] in DEFAULTS}
        # AWS keeps the bucket's name after logs are switched off.
        if values[LOGS_ENABLED] == "false":
            values[LOGS_BUCKET] = ""
        return replace(observed, properties={**observed.properties, **values})

    @classmethod
    def tags(cls, aws: Aws, observed: Observed) -> Tags:
        return tags_of(aws, observed.arn)

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.elbv2.add_tags(ResourceArns=[observed.arn], Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        logs = self.access_logs
        return {
            "Type": "application",
            "Scheme": "internal" if self.internal else "internet-facing",
            "Subnets": sorted(outputs[subnet].id for subnet in self.subnets),
            "SecurityGroups": sorted(outputs[group].id for group in self.security_groups),
            IDLE_TIMEOUT: str(self.idle_timeout),
            PROTECTION: str(self.deletion_protection).lower(),
            DROP_INVALID: "true",
            LOGS_ENABLED: "true" if logs else "false",
            LOGS_BUCKET: outputs[logs].name if logs else "",
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.elbv2.create_load_balancer(
            Name=self.name,
            **{key: desired[key] for key in ("Type", "Scheme", "Subnets", "SecurityGroups")},
            IpAddressType="ipv4",
            Tags=owner.pairs,
        )

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        if "Subnets" in changed:
            aws.elbv2.set_subnets(LoadBalancerArn=observed.arn, Subnets=changed["Subnets"])
        if "SecurityGroups" in changed:
            aws.elbv2.set_security_groups(LoadBalancerArn=observed.arn, SecurityGroups=changed["SecurityGroups"])
        attributes = {key: value for key, value in changed.items() if key in DEFAULTS}
        # AWS validates the two together.
        if LOGS_BUCKET in attributes or LOGS_ENABLED in attributes:
            attributes |= {key: self._logs(observed, changed, key) for key in (LOGS_ENABLED, LOGS_BUCKET)}
        if attributes.get(LOGS_ENABLED) == "false":
            del attributes[LOGS_BUCKET]
        if attributes:
            _modify(aws, observed, attributes)

    @staticmethod
    def _logs(observed: Observed, changed: Properties, key: str) -> str:
        return str(changed.get(key, observed.properties[key]))

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        _modify(aws, observed, {PROTECTION: "false", LOGS_ENABLED: "false"})
        aws.elbv2.delete_load_balancer(LoadBalancerArn=observed.arn)


def load_balancers(aws: Aws, owner: Ownership) -> Iterator[Observed]:
    """The load balancers of an environment, for kinds that belong to one; shares the listing of the inventory."""
    whole = Ownership(owner.environment)
    yield from Elbv2LoadBalancer.listing(aws, whole)


def tags_of(aws: Aws, arn: str) -> Tags:
    """The tags of any resource with an ARN of elbv2."""
    descriptions = aws.elbv2.describe_tags(ResourceArns=[arn])["TagDescriptions"]
    return from_pairs(descriptions[0]["Tags"]) if descriptions else {}


def _observed(raw: Mapping[str, Any]) -> Observed:
    state = raw.get("State", {})
    return Observed(
        raw["LoadBalancerArn"],
        {
            "Type": raw["Type"],
            "Scheme": raw.get("Scheme", "internet-facing"),
            "Subnets": sorted(zone["SubnetId"] for zone in raw.get("AvailabilityZones", ())),
            "SecurityGroups": sorted(raw.get("SecurityGroups", ())),
            "DNSName": raw["DNSName"],
            "CanonicalHostedZoneId": raw["CanonicalHostedZoneId"],
            "ArnSuffix": raw["LoadBalancerArn"].partition(":loadbalancer/")[2],
        },
        name=raw["LoadBalancerName"],
        arn=raw["LoadBalancerArn"],
        state=STATES.get(state.get("Code", "active"), State.READY),
        status=" ".join(filter(None, (state.get("Code"), state.get("Reason")))),
    )


def _modify(aws: Aws, observed: Observed, attributes: Mapping[str, str]) -> None:
    aws.elbv2.modify_load_balancer_attributes(LoadBalancerArn=observed.arn, Attributes=to_pairs(attributes))
