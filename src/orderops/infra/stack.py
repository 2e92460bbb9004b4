"""The stack: all kinds of resources, and the resources that an environment consists of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain

from orderops.aws.client import Aws
from orderops.config.environment import Environment
from orderops.database import iam_role, service_role
from orderops.engine.inventory import Inventory
from orderops.engine.resource import Resource
from orderops.frozen import Frozen, replace
from orderops.infra.alarms import Routes, detectors_of, routes_of, shared_alarms_of
from orderops.infra.alert_rule import Priority
from orderops.infra.api import ApiFront, api_of, internal_of, link_group_of
from orderops.infra.board import publication_of
from orderops.infra.dashboard import dashboards_of
from orderops.infra.domain import Entrance, entrance_of, http_listener_of, serving_listener_of
from orderops.infra.failed_schedules import dead_letter_of
from orderops.infra.firewall import firewall_of
from orderops.infra.network import (
    Network,
    balancer_of,
    database_of,
    entrance_group_of,
    linked_role,
    network_of,
)
from orderops.infra.pages import pages_of
from orderops.infra.rest_api import RestFront, rest_api_of
from orderops.infra.scheduled_rotation import rotation_of
from orderops.infra.scheduled_task import ScheduledTask, scheduled_task_of
from orderops.infra.service import ServiceBase, ServiceContext, release_of, service_bases_of, service_group_of
from orderops.infra.zones import nominal_zones
from orderops.resources.acm_certificate import AcmCertificate
from orderops.resources.apigateway_account import ApigatewayAccount
from orderops.resources.apigateway_rest_api import ApigatewayRestApi
from orderops.resources.apigateway_stage import ApigatewayStage
from orderops.resources.apigateway_usage_plan import ApigatewayUsagePlan
from orderops.resources.apigatewayv2_api import Apigatewayv2Api
from orderops.resources.apigatewayv2_authorizer import Apigatewayv2Authorizer
from orderops.resources.apigatewayv2_domain_name import Apigatewayv2DomainName
from orderops.resources.apigatewayv2_integration import Apigatewayv2Integration
from orderops.resources.apigatewayv2_mapping import Apigatewayv2Mapping
from orderops.resources.apigatewayv2_route import Apigatewayv2Route
from orderops.resources.apigatewayv2_stage import Apigatewayv2Stage
from orderops.resources.apigatewayv2_vpc_link import Apigatewayv2VpcLink
from orderops.resources.autoscaling_target import AutoscalingTarget
from orderops.resources.cloudwatch_alarm import CloudwatchAlarm
from orderops.resources.cloudwatch_anomaly_detector import CloudwatchAnomalyDetector
from orderops.resources.cloudwatch_composite_alarm import CloudwatchCompositeAlarm
from orderops.resources.cloudwatch_dashboard import CloudwatchDashboard
from orderops.resources.ec2_address import Ec2Address
from orderops.resources.ec2_flow_log import Ec2FlowLog
from orderops.resources.ec2_internet_gateway import Ec2InternetGateway
from orderops.resources.ec2_nat_gateway import Ec2NatGateway
from orderops.resources.ec2_route_table import Ec2RouteTable
from orderops.resources.ec2_security_group import Ec2SecurityGroup
from orderops.resources.ec2_subnet import Ec2Subnet
from orderops.resources.ec2_vpc import Ec2Vpc
from orderops.resources.ecr_repository import EcrRepository
from orderops.resources.ecs_cluster import EcsCluster
from orderops.resources.ecs_service import EcsService
from orderops.resources.ecs_task_definition import EcsTaskDefinition
from orderops.resources.elbv2_listener import Elbv2Listener
from orderops.resources.elbv2_load_balancer import Elbv2LoadBalancer
from orderops.resources.elbv2_rule import Elbv2Rule
from orderops.resources.elbv2_target_group import Elbv2TargetGroup
from orderops.resources.iam_role import IamRole
from orderops.resources.iam_service_linked_role import IamServiceLinkedRole
from orderops.resources.logs_group import LogsGroup
from orderops.resources.logs_service_group import LogsServiceGroup, insights_log_group
from orderops.resources.rds_instance import RdsInstance
from orderops.resources.rds_parameter_group import RdsParameterGroup
from orderops.resources.rds_read_replica import RdsReadReplica
from orderops.resources.rds_subnet_group import RdsSubnetGroup
from orderops.resources.route53_alias import Route53Alias
from orderops.resources.s3_bucket import S3Bucket
from orderops.resources.scheduler_group import SchedulerGroup, name_of
from orderops.resources.scheduler_schedule import SchedulerSchedule
from orderops.resources.secretsmanager_login import SecretsmanagerLogin
from orderops.resources.secretsmanager_pointer import DatabasePointer
from orderops.resources.secretsmanager_readers import pointer_name
from orderops.resources.secretsmanager_secret import SecretsmanagerSecret
from orderops.resources.sns_topic import SnsTopic
from orderops.resources.sqs_queue import SqsQueue
from orderops.resources.wafv2_association import Wafv2Association
from orderops.resources.wafv2_ip_set import Wafv2IpSet
from orderops.resources.wafv2_logging import Wafv2Logging
from orderops.resources.wafv2_web_acl import Wafv2WebAcl

INFRA_KINDS: tuple[type[Resource], ...] = (
    Apigatewayv2Api,
    Apigatewayv2Authorizer,
    Apigatewayv2DomainName,
    Apigatewayv2Integration,
    Apigatewayv2Mapping,
    Apigatewayv2Route,
    Apigatewayv2Stage,
    Apigatewayv2VpcLink,
    ApigatewayAccount,
    ApigatewayRestApi,
    ApigatewayStage,
    ApigatewayUsagePlan,
    AcmCertificate,
    CloudwatchAlarm,
    CloudwatchAnomalyDetector,
    CloudwatchCompositeAlarm,
    CloudwatchDashboard,
    DatabasePointer,
    Ec2Address,
    Ec2FlowLog,
    Ec2InternetGateway,
    Ec2NatGateway,
    Ec2RouteTable,
    Ec2SecurityGroup,
    Ec2Subnet,
    Ec2Vpc,
    EcrRepository,
    EcsCluster,
    Elbv2Listener,
    Elbv2LoadBalancer,
    Elbv2Rule,
    Elbv2TargetGroup,
    IamRole,
    IamServiceLinkedRole,
    LogsGroup,
    LogsServiceGroup,
    RdsInstance,
    RdsParameterGroup,
    RdsReadReplica,
    RdsSubnetGroup,
    Route53Alias,
    S3Bucket,
    SchedulerGroup,
    SecretsmanagerLogin,
    SecretsmanagerSecret,
    SnsTopic,
    SqsQueue,
    Wafv2Association,
    Wafv2IpSet,
    Wafv2Logging,
    Wafv2WebAcl,
)
# Separate, since an inventory for the infrastructure alone does not have to read these kinds.
SERVICE_KINDS: tuple[type[Resource], ...] = (AutoscalingTarget, EcsService, EcsTaskDefinition, SchedulerSchedule)
KINDS = INFRA_KINDS + SERVICE_KINDS
NO_IMAGE = "(not released yet)"


class Stack(Frozen):
    """All resources of an environment."""

    environment: Environment
    network: Network
    cluster: EcsCluster
    balancer: Elbv2LoadBalancer
    listeners: Entrance
    entrance: Ec2SecurityGroup
    """The security group of the load balancer."""
    database: RdsInstance
    database_group: Ec2SecurityGroup
    pointer: DatabasePointer
    routes: Routes
    """The topic of each priority of alarms."""
    alarms: tuple[CloudwatchAlarm, ...]
    """Those of the load balancer and the database."""
    context: ServiceContext
    services: Mapping[str, ServiceBase]
    shared: tuple[Resource, ...]
    scheduled: tuple[ScheduledTask, ...] = ()
    """What AWS runs again and again, as far as the file asks for it."""
    api: ApiFront | RestFront | None = None
    """The API in front, with the internal load balancer."""

    @property
    def login(self) -> SecretsmanagerLogin:
        """What the services log in to the database with."""
        return self.pointer.login

    @property
    def replicas(self) -> tuple[RdsReadReplica, ...]:
        """The read replicas of the database."""
        return self.pointer.replicas

    @property
    def topic(self) -> SnsTopic:
        """The topic of P1, and of every priority without receivers of its own."""
        return self.routes[Priority.P1]

    @cached_property
    def pages(self) -> tuple[CloudwatchCompositeAlarm, ...]:
        """The alarms that page for the P0 alarms of the environment and its services."""
        own = chain.from_iterable(service.alarms for service in self.services.values())
        return pages_of(self.environment, (*self.alarms, *own), self.routes)

    @cached_property
    def dashboards(self) -> tuple[CloudwatchDashboard, ...]:
        """The dashboard of the environment, if its file declares one."""
        own = chain.from_iterable(service.alarms for service in self.services.values())
        pages = tuple(page for page in self.pages if page.topic)
        return dashboards_of(
            self.environment,
            (*pages, *self.alarms, *own),
            self.balancer,
            self.database.name,
            self.services,
            self.cluster.name,
        )

    @cached_property
    def features(self) -> frozenset[str]:
        """The declared features, of those that only some environments have."""
        return frozenset(resource.feature.name for resource in self._on_the_network if resource.feature)

    @property
    def infra(self) -> list[Resource]:
        """Everything but what runs a release."""
        return [replace(self.network.vpc, features=self.features), *self._on_the_network]

    @property
    def _on_the_network(self) -> list[Resource]:
        entrance = (self.entrance, self.balancer, *self.listeners.resources())
        database = (self.database_group, self.database, *self.replicas, self.login, self.pointer)
        network = self.network
        tiers = (*network.public, *network.private, *network.isolated, *network.rest)
        services = chain.from_iterable(service.resources() for service in self.services.values())
        return [
            *tiers,
            *entrance,
            *database,
            self.cluster,
            *dict.fromkeys(self.routes.values()),
            *self.alarms,
            *detectors_of(self.alarms),
            *self.pages,
            *self.dashboards,
            *self.shared,
            *(self.api.resources() if self.api else ()),
            *services,
            *dict.fromkeys(chain.from_iterable(task.resources() for task in self.scheduled)),
        ]

    def release(self, images: Mapping[str, str], only: Container[str] | None = None) -> list[Resource]:
        """What runs the services, or `only` some of them, with their images."""
        return [
            resource
            for key, base in self.services.items()
            if only is None or key in only
            for resource in self._release_of(base, images.get(key, NO_IMAGE))
        ]

    def _release_of(self, base: ServiceBase, image: str) -> list[Resource]:
        """What runs a service, and what runs the same image by a schedule."""
        release = release_of(self.context, base, image)
        scheduled = [task.release(release, image) for task in self.scheduled if task.service is base]
        return [*release, *chain.from_iterable(scheduled)]


def take_inventory(
    aws: Aws,
    environment: Environment,
    kinds: tuple[type[Resource], ...] = KINDS,
    shared: Aws | None = None,
    features: Callable[[], Collection[str]] | None = None,
) -> Inventory:
    """Read an environment from the account; `shared` is a view of it that sends equal reads once.

    With the declared `features`, what it never had is not looked for.
    """
    return Inventory(aws, environment.name, kinds, environment.tags, shared, features)


def stack(environment: Environment, account: str, zones: Sequence[str] | None = None) -> Stack:
    """The resources that an environment declares, in that account and in these availability zones.

    Without `zones`, they are those that most regions have: enough for names and dependencies.
    """
    network = network_of(environment, zones or nominal_zones(environment))
    front = _front_of(environment, network, account)
    entrance, listener = front.entrance, front.listener
    balancer = listener.load_balancer
    cluster = cluster_of(environment)
    groups = {
        key: service_group_of(environment, network, entrance, key, declared)
        for key, declared in environment.services.items()
    }
    database, replicas, database_needs = database_of(environment, network, tuple(groups.items()))
    pointer = pointer_of(environment, database, replicas)
    routes = routes_of(environment)
    context = ServiceContext(environment, network, listener, cluster, pointer, routes, front.inner)
    services = service_bases_of(context, groups)
    listeners = entrance_of(environment, listener, services.values(), front.api)
    # AWS creates these roles at their first use, and the first CreateService in a new account fails while that goes on.
    linked_roles = [linked_role(service) for service in ("ecs", "elasticloadbalancing", "rds")]
    return Stack(
        environment=environment,
        network=network,
        cluster=cluster,
        balancer=balancer,
        listeners=listeners,
        entrance=entrance,
        database=database,
        database_group=database.security_groups[0],
        pointer=pointer,
        routes=routes,
        alarms=shared_alarms_of(environment, routes, balancer, database.name, replicas, listeners.certificate),
        context=context,
        services=services,
        shared=(front.bucket, *_firewall(environment, front), *cluster.log_groups, *database_needs, *linked_roles),
        scheduled=tuple(_scheduled(environment, account, cluster, services, pointer)),
        api=front.api,
    )


class _Front(Frozen):
    """What requests come by."""

    entrance: Ec2SecurityGroup
    listener: Elbv2Listener
    bucket: S3Bucket
    api: ApiFront | RestFront | None = None
    inner: Elbv2Listener | None = None
    """The listener of the internal load balancer, where the other one is public."""


def _front_of(environment: Environment, network: Network, account: str) -> _Front:
    link_group = link_group_of(environment, network)
    entrance = entrance_group_of(environment, network, link_group)
    balancer, bucket = balancer_of(environment, network, entrance, account)
    public = serving_listener_of(environment, balancer)
    if link_group is None:
        return _Front(entrance, public, bucket)
    inner = http_listener_of(environment, internal_of(environment, network, balancer))
    made = rest_api_of if environment.api.kind == "rest" else api_of
    api = made(environment, network, link_group, inner)
    if environment.api.alone:
        return _Front(entrance, inner, bucket, api)
    return _Front(entrance, public, bucket, api, inner)


def _firewall(environment: Environment, front: _Front) -> tuple[Resource, ...]:
    stage = front.api.stage if isinstance(front.api, RestFront) else None
    return firewall_of(environment, front.listener.load_balancer, stage)


def _scheduled(
    environment: Environment,
    account: str,
    cluster: EcsCluster,
    services: Mapping[str, ServiceBase],
    pointer: DatabasePointer,
) -> Iterator[ScheduledTask]:
    # Like one-off tasks, they run the image of the first service that gets requests.
    service = services[environment.entries[0]]
    group, dead_letter = SchedulerGroup(name_of(environment.name)), dead_letter_of(environment)
    for command in (publication_of(environment, account), rotation_of(environment, account, pointer)):
        if command:
            yield scheduled_task_of(environment, account, cluster.name, service, group, dead_letter, command)


def pointer_of(
    environment: Environment, database: RdsInstance, replicas: tuple[RdsReadReplica, ...]
) -> DatabasePointer:
    """The secret with the database's endpoint, and the login of the services beside it."""
    name, declared = pointer_name(environment.name), environment.database
    login = SecretsmanagerLogin(f"{name}-login", service_role.ROLE)
    iam_user = iam_role.IAM_ROLE if environment.iam_login else ""
    region = environment.region
    return DatabasePointer(name, database, login, declared.name, declared.sslmode, replicas, iam_user, region)


def cluster_of(environment: Environment) -> EcsCluster:
    """The cluster of all services, with the log group of Container Insights."""
    name, declared = f"{environment.prefix}-cluster", environment.cluster
    groups = (insights_log_group(name, declared.insights_days),) if declared.container_insights else ()
    return EcsCluster(name, declared.container_insights, linked_role("ecs"), groups)
