"""A service as resources: its base, created before the first release, and what runs a release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orderops.config.environment import Environment, ServiceConfig
from orderops.engine.resource import Output, Resource
from orderops.frozen import Frozen, replace, values
from orderops.infra.alarms import Routes, alarms_of, detectors_of, watched_service
from orderops.infra.network import ANYWHERE, Network, linked_role
from orderops.infra.service_roles import execution_role_of, jobs_role_of, task_role_of
from orderops.infra.service_routing import ServiceRouting, routing_of
from orderops.resources.apigatewayv2_integration import CLIENT_HEADER
from orderops.resources.autoscaling_target import AutoscalingTarget, Backlog
from orderops.resources.cloudwatch_alarm import CloudwatchAlarm
from orderops.resources.ec2_security_group import Ec2SecurityGroup, IngressRule
from orderops.resources.ecr_repository import EcrRepository
from orderops.resources.ecs_cluster import EcsCluster
from orderops.resources.ecs_service import EcsService
from orderops.resources.ecs_task_definition import ContainerCheck, EcsTaskDefinition
from orderops.resources.elbv2_listener import Elbv2Listener
from orderops.resources.iam_role import IamRole
from orderops.resources.logs_group import LogsGroup
from orderops.resources.secretsmanager_pointer import DatabasePointer
from orderops.resources.secretsmanager_secret import SecretsmanagerSecret
from orderops.resources.sqs_queue import SqsQueue

DAY = 86_400
# Seconds for which the service keeps an idle connection longer than the load balancer does.
KEEP_ALIVE_MARGIN = 15
# Asks the task's own port; in the image of the order processor, and in one that installs it.
PROBE = ("python", "-m", "orderops.service.probe")


class ServiceContext(Frozen):
    """The shared resources that every service of an environment uses."""

    environment: Environment
    network: Network
    listener: Elbv2Listener
    cluster: EcsCluster
    pointer: DatabasePointer
    routes: Routes
    inner: Elbv2Listener | None = None
    """The listener of the internal load balancer, while requests come by two."""


class ServiceBase(Frozen):
    """The resources of a service that have to exist before its first release."""

    key: str
    declared: ServiceConfig
    repository: EcrRepository
    log_group: LogsGroup
    dead_letters: SqsQueue
    queue: SqsQueue
    secrets: Mapping[str, SecretsmanagerSecret]
    token: SecretsmanagerSecret | None
    security_group: Ec2SecurityGroup
    routing: ServiceRouting | None
    """None for a worker: no request reaches it."""
    execution_role: IamRole
    task_role: IamRole
    jobs_role: IamRole
    """The role of one-off tasks in which orderops runs commands as the master user."""
    alarms: tuple[CloudwatchAlarm, ...]
    works_for: ServiceBase | None = None
    """The service whose repository, queues and secrets a worker shares."""

    def resources(self) -> Iterator[Resource]:
        """All of its own; those that a worker shares are of the service that it works for."""
        own = [value for value in values(self) if isinstance(value, Resource)]
        shared = set(self.works_for.resources()) if self.works_for else set()
        routing = self.routing.resources() if self.routing else []
        found = (*own, *routing, *self.secrets.values(), *self.alarms, *detectors_of(self.alarms))
        yield from (value for value in found if value not in shared)


def service_bases_of(context: ServiceContext, groups: Mapping[str, Ec2SecurityGroup]) -> dict[str, ServiceBase]:
    """The base of each service, in the order of the file; `groups` are the security groups of their tasks."""
    environment = context.environment
    bases = {key: _base_of(context, key, groups[key]) for key in environment.entries}
    for key, declared in environment.services.items():
        if declared.works_for:
            bases[key] = _worker_base_of(context, key, groups[key], bases[declared.works_for])
    return {key: bases[key] for key in environment.services}


def _worker_base_of(
    context: ServiceContext, key: str, security_group: Ec2SecurityGroup, source: ServiceBase
) -> ServiceBase:
    environment = context.environment
    declared, name = environment.services[key], environment.service_name(key)
    log_group = LogsGroup(f"/orderops/{environment.name}/{key}", declared.log_days)
    secrets = tuple(source.secrets.values())
    return replace(
        source,
        key=key,
        declared=declared,
        log_group=log_group,
        token=None,
        security_group=security_group,
        routing=None,
        execution_role=execution_role_of(environment, name, source.repository, log_group, secrets),
        task_role=task_role_of(environment, name, source.queue, source.dead_letters, context.pointer, None),
        jobs_role=jobs_role_of(environment, name, context.pointer),
        alarms=_alarms(context, key),
        works_for=source,
    )


def _base_of(context: ServiceContext, key: str, security_group: Ec2SecurityGroup) -> ServiceBase:
    environment = context.environment
    declared, name = environment.services[key], environment.service_name(key)
    queue, dead_letters = _queues(declared, name)
    log_group = LogsGroup(f"/orderops/{environment.name}/{key}", declared.log_days)
    repository = EcrRepository(name, environment.images.keep)
    routing = routing_of(environment, context.network, context.listener, key, context.inner)
    secrets = {
        variable: SecretsmanagerSecret(f"{secret_path(environment.name, key)}{variable}", f"{variable} of {key}")
        for variable in declared.secrets
    }
    token = _token(environment, key, declared)
    return ServiceBase(
        key=key,
        declared=declared,
        repository=repository,
        log_group=log_group,
        dead_letters=dead_letters,
        queue=queue,
        secrets=secrets,
        token=token,
        security_group=security_group,
        routing=routing,
        execution_role=execution_role_of(environment, name, repository, log_group, tuple(secrets.values())),
        task_role=task_role_of(environment, name, queue, dead_letters, context.pointer, token),
        jobs_role=jobs_role_of(environment, name, context.pointer),
        alarms=_alarms(context, key, routing, (queue, dead_letters)),
    )


def secret_path(environment: str, service: str) -> str:
    """How the names of the secrets of a service begin."""
    return f"orderops/{environment}/{service}/"


def _alarms(
    context: ServiceContext,
    key: str,
    routing: ServiceRouting | None = None,
    queues: tuple[SqsQueue, SqsQueue] | None = None,
) -> tuple[CloudwatchAlarm, ...]:
    watched = watched_service(
        context.environment,
        key,
        balancer=context.listener.load_balancer,
        cluster=context.cluster.name,
        groups=routing.target_groups if routing else (),
        queues=queues,
    )
    return alarms_of(context.environment, watched, context.routes)


def release_of(context: ServiceContext, base: ServiceBase, image: str) -> list[Resource]:
    """What runs a release of a service: task definition, ECS service and scaling."""
    declared = base.declared
    definition = _task_definition(context, base, image)
    scaling_role = linked_role("ecs.application-autoscaling")
    service = EcsService(
        definition.name,
        cluster=context.cluster,
        task_definition=definition,
        subnets=context.network.private,
        security_groups=(base.security_group,),
        rule=base.routing.rule if base.routing else None,
        second=base.routing.second if base.routing else None,
        also=base.routing.also.rule if base.routing and base.routing.also else None,
        tasks=declared.min_tasks,
        grace=declared.health_grace_seconds,
    )
    works = base.works_for is not None
    scaling = AutoscalingTarget(
        definition.name,
        service=service,
        least=declared.min_tasks,
        most=declared.max_tasks,
        cpu_percent=None if works else declared.cpu_target_percent,
        backlog=Backlog(base.queue, declared.messages_per_task) if works else None,
        linked_role=scaling_role,
    )
    return [definition, service, scaling, scaling_role]


def service_group_of(
    environment: Environment, network: Network, entrance: Ec2SecurityGroup, key: str, declared: ServiceConfig
) -> Ec2SecurityGroup:
    """The security group of a service's tasks: only the load balancer may connect, and to a worker nothing."""
    ingress = () if declared.works_for else (IngressRule(declared.port, entrance, "load balancer"),)
    return Ec2SecurityGroup(
        environment.service_name(key),
        network.vpc,
        # AWS cannot change the description of an existing group: another wording would need a replacement.
        "what reaches the tasks of the service",
        ingress=ingress,
        egress=(IngressRule(0, ANYWHERE, "AWS and the database", protocol="-1"),),
    )


def _queues(declared: ServiceConfig, name: str) -> tuple[SqsQueue, SqsQueue]:
    # The redrive policy of the queue needs the ARN of the dead-letter queue, so that one is created first.
    dead_letters = SqsQueue(f"{name}-dlq", retention=declared.queue.dead_letter_retention_days * DAY)
    queue = SqsQueue(
        f"{name}-queue",
        visibility_timeout=declared.queue.visibility_timeout,
        retention=declared.queue.retention_days * DAY,
        dead_letter=dead_letters,
        max_receives=declared.queue.max_receives,
    )
    return queue, dead_letters


def _token(environment: Environment, key: str, declared: ServiceConfig) -> SecretsmanagerSecret | None:
    if declared.token_secret is None:
        return None
    return SecretsmanagerSecret(
        f"{secret_path(environment.name, key)}{declared.token_secret}", f"bearer token of {key}"
    )


def _task_definition(context: ServiceContext, base: ServiceBase, image: str) -> EcsTaskDefinition:
    declared = base.declared
    return EcsTaskDefinition(
        context.environment.service_name(base.key),
        container=base.key,
        image=image,
        port=declared.port,
        log_group=base.log_group,
        execution_role=base.execution_role,
        task_role=base.task_role,
        cpu=declared.cpu,
        memory=declared.memory,
        stop_timeout=declared.stop_timeout_seconds,
        # No load balancer finds out whether a worker is alive.
        health_check=ContainerCheck((*PROBE, declared.health_path), declared.health_grace_seconds)
        if base.works_for
        else None,
        environment=_variables(context.environment, context.pointer, base, image),
        # The ARN ends in six random characters, new at each creation, so it is known only after apply.
        secrets={variable: Output(secret, "arn") for variable, secret in base.secrets.items()},
    )


def _variables(
    environment: Environment, pointer: DatabasePointer, base: ServiceBase, image: str
) -> dict[str, str | Output]:
    return {
        **(base.works_for.declared.variables if base.works_for else {}),
        **base.declared.variables,
        "AWS_REGION": environment.region,
        "DATABASE_MAX_LAG_SECONDS": str(base.declared.max_lag_seconds),
        "DATABASE_POOL_SIZE": str(base.declared.pool_size),
        # The pointer and not the endpoint: a promoted instance is followed without a new deployment.
        "DATABASE_SECRET": Output(pointer, "arn"),
        "DEAD_LETTER_QUEUE_URL": Output(base.dead_letters, "id"),
        "DEMONSTRATION": str(base.declared.demonstration).lower(),
        # If the service closed an idle connection before the balancer does, a request could be lost with it: HTTP 502.
        "KEEP_ALIVE_SECONDS": str(environment.balancer.idle_timeout_seconds + KEEP_ALIVE_MARGIN),
        "ORDEROPS_ENVIRONMENT": environment.name,
        "ORDEROPS_ROLE": base.declared.role,
        "ORDEROPS_SERVICE": base.key,
        "ORDEROPS_VERSION": image.rpartition("/")[2],
        "POLL_SECONDS": str(base.declared.queue.poll_seconds),
        "PORT": str(base.declared.port),
        "QUEUE_URL": Output(base.queue, "id"),
        # Only behind an API can no client reach the tasks by itself, and write what it likes there.
        **({"CLIENT_ADDRESS_HEADER": CLIENT_HEADER} if base.routing and environment.api.alone else {}),
        # The ARN and not the value: a new token is valid without a new task.
        **({"TOKEN_SECRET": Output(base.token, "arn")} if base.token else {}),
    }
