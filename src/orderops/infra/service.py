"""A service of an environment as resources: what it stands on, and what runs a release of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orderops.config.environment import Environment, ServiceConfig
from orderops.engine.resource import PARTITIONS, Output, Resource
from orderops.infra.network import ANYWHERE, Network, linked_role
from orderops.resources.autoscaling_target import AutoscalingTarget
from orderops.resources.cloudwatch_alarm import CloudwatchAlarm
from orderops.resources.ec2_security_group import Ec2SecurityGroup, IngressRule
from orderops.resources.ecr_repository import EcrRepository
from orderops.resources.ecs_cluster import EcsCluster
from orderops.resources.ecs_service import EcsService
from orderops.resources.ecs_task_definition import EcsTaskDefinition
from orderops.resources.elbv2_listener import Elbv2Listener
from orderops.resources.elbv2_rule import Elbv2Rule
from orderops.resources.elbv2_target_group import Elbv2TargetGroup
from orderops.resources.iam_role import Allow, IamRole
from orderops.resources.logs_group import LogsGroup
from orderops.resources.secretsmanager_pointer import DatabasePointer
from orderops.resources.secretsmanager_secret import SecretsmanagerSecret
from orderops.resources.sns_topic import SnsTopic
from orderops.resources.sqs_queue import SqsQueue

DAY = 86_400


@dataclass(frozen=True)
class ServiceBase:
    """What a service stands on, ready before its first release."""

    key: str
    declared: ServiceConfig
    repository: EcrRepository
    log_group: LogsGroup
    dead_letters: SqsQueue
    queue: SqsQueue
    secrets: Mapping[str, SecretsmanagerSecret]
    security_group: Ec2SecurityGroup
    target_group: Elbv2TargetGroup
    rule: Elbv2Rule
    execution_role: IamRole
    task_role: IamRole
    alarms: tuple[CloudwatchAlarm, ...]

    def resources(self) -> Iterator[Resource]:
        """All of them."""
        for value in vars(self).values():
            if isinstance(value, Resource):
                yield value
        yield from self.secrets.values()
        yield from self.alarms


def service_base_of(
    environment: Environment,
    key: str,
    network: Network,
    listener: Elbv2Listener,
    group: Ec2SecurityGroup,
    cluster: EcsCluster,
    pointer: DatabasePointer,
    topic: SnsTopic,
) -> ServiceBase:
    """Everything that a service stands on."""
    declared, name = environment.services[key], environment.service_name(key)
    dead = SqsQueue(f"{name}-dlq", retention=declared.queue.dead_letter_retention_days * DAY)
    queue = SqsQueue(
        f"{name}-queue",
        visibility_timeout=declared.queue.visibility_timeout,
        retention=declared.queue.retention_days * DAY,
        dead_letter=dead,
        max_receives=declared.queue.max_receives,
    )
    logs = LogsGroup(f"/orderops/{environment.name}/{key}", declared.log_days)
    repository = EcrRepository(name, environment.images.keep)
    secrets = {
        variable: SecretsmanagerSecret(f"orderops/{environment.name}/{key}/{variable}", f"{variable} of {key}")
        for variable in declared.secrets
    }
    target = Elbv2TargetGroup(
        name,
        network.vpc,
        declared.port,
        health_path=declared.health_path,
        deregistration_delay=declared.deregistration_delay_seconds,
    )
    rule = Elbv2Rule(name, listener, target, environment.rule_priority(key), tuple(declared.paths))
    return ServiceBase(
        key=key,
        declared=declared,
        repository=repository,
        log_group=logs,
        dead_letters=dead,
        queue=queue,
        secrets=secrets,
        security_group=group,
        target_group=target,
        rule=rule,
        execution_role=_execution_role(name, repository, logs, tuple(secrets.values())),
        task_role=_task_role(environment, name, queue, dead, pointer),
        alarms=_alarms(declared, name, cluster, queue, dead, topic),
    )


def running(
    environment: Environment,
    network: Network,
    cluster: EcsCluster,
    pointer: DatabasePointer,
    base: ServiceBase,
    image: str,
) -> list[Resource]:
    """What runs a release of a service: task definition, ECS service and scaling."""
    declared = base.declared
    name = environment.service_name(base.key)
    definition = EcsTaskDefinition(
        name,
        container=base.key,
        image=image,
        port=declared.port,
        log_group=base.log_group,
        execution_role=base.execution_role,
        task_role=base.task_role,
        cpu=declared.cpu,
        memory=declared.memory,
        stop_timeout=declared.stop_timeout_seconds,
        environment=_variables(environment, pointer, base, image),
        secrets={variable: Output(secret, "arn") for variable, secret in base.secrets.items()},
    )
    service = EcsService(
        name,
        cluster=cluster,
        task_definition=definition,
        subnets=network.private,
        security_groups=(base.security_group,),
        rule=base.rule,
        tasks=declared.min_tasks,
        grace=declared.health_grace_seconds,
    )
    scaling = AutoscalingTarget(
        name,
        service=service,
        least=declared.min_tasks,
        most=declared.max_tasks,
        cpu_percent=declared.cpu_target_percent,
        linked_role=linked_role("ecs.application-autoscaling"),
    )
    return [definition, service, scaling, linked_role("ecs.application-autoscaling")]


def _variables(
    environment: Environment, pointer: DatabasePointer, base: ServiceBase, image: str
) -> dict[str, str | Output]:
    return {
        **base.declared.variables,
        "AWS_REGION": environment.region,
        "DATABASE_POOL_SIZE": str(base.declared.pool_size),
        "DATABASE_SECRET": Output(pointer, "arn"),
        "DEAD_LETTER_QUEUE_URL": Output(base.dead_letters, "id"),
        "ORDEROPS_ENVIRONMENT": environment.name,
        "ORDEROPS_SERVICE": base.key,
        "ORDEROPS_VERSION": image.rpartition("/")[2],
        "PORT": str(base.declared.port),
        "QUEUE_URL": Output(base.queue, "id"),
    }


def service_group_of(
    environment: Environment, network: Network, entrance: Ec2SecurityGroup, key: str, port: int
) -> Ec2SecurityGroup:
    """Who may reach the tasks of a service."""
    return Ec2SecurityGroup(
        environment.service_name(key),
        network.vpc,
        "what reaches the tasks of the service",
        ingress=(IngressRule(port, entrance, "load balancer"),),
        egress=(IngressRule(0, ANYWHERE, "AWS and the database", protocol="-1"),),
    )


def _execution_role(
    name: str, repository: EcrRepository, logs: LogsGroup, secrets: tuple[SecretsmanagerSecret, ...]
) -> IamRole:
    pulls = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
    allow = [
        Allow(("ecr:GetAuthorizationToken",), ("*",)),
        Allow(pulls, (repository,)),
        Allow(("logs:CreateLogStream", "logs:PutLogEvents"), (logs,), suffix=":*"),
    ]
    if secrets:
        allow.append(Allow(("secretsmanager:GetSecretValue",), secrets))
    return IamRole(f"{name}-execution", "ecs-tasks.amazonaws.com", tuple(allow))


def _task_role(
    environment: Environment, name: str, queue: SqsQueue, dead: SqsQueue, pointer: DatabasePointer
) -> IamRole:
    uses = ("ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "ReceiveMessage", "SendMessage")
    channels = ("CreateControlChannel", "CreateDataChannel", "OpenControlChannel", "OpenDataChannel")
    master = Output(pointer.instance, "MasterUserSecretArn")
    return IamRole(
        f"{name}-task",
        "ecs-tasks.amazonaws.com",
        (
            Allow(tuple(f"sqs:{use}" for use in uses), (queue,)),
            Allow(("sqs:GetQueueAttributes",), (dead,)),
            Allow(("secretsmanager:GetSecretValue",), (Output(pointer, "arn"), master)),
            _passwords_of(environment),
            Allow(tuple(f"ssmmessages:{channel}" for channel in channels), ("*",)),  # ECS Exec
        ),
    )


def _passwords_of(environment: Environment) -> Allow:
    """The passwords that RDS keeps of the environment's instances, restored ones included: for remote jobs.

    RDS names such a secret by an id that nobody chooses, and tags it with its instance. A policy's variable may not
    stand in the account of a resource, only in a condition.
    """
    partition = PARTITIONS.get(environment.region.partition("-")[0], "aws")
    instances = f"arn:{partition}:rds:{environment.region}:${{aws:PrincipalAccount}}:db:{environment.prefix}-*"
    return Allow(
        ("secretsmanager:GetSecretValue",),
        (f"arn:{partition}:secretsmanager:{environment.region}:*:secret:rds!db-*",),
        only={"StringLike": {"aws:ResourceTag/aws:rds:primaryDBInstanceArn": instances}},
    )


def _alarms(
    declared: ServiceConfig, name: str, cluster: EcsCluster, queue: SqsQueue, dead: SqsQueue, topic: SnsTopic
) -> tuple[CloudwatchAlarm, ...]:
    limits = declared.alarms
    tasks = {"ClusterName": cluster.name, "ServiceName": name}

    def tasks_use(what: str, metric: str, percent: int) -> CloudwatchAlarm:
        return CloudwatchAlarm(
            f"{name}-{what}",
            f"the tasks of {name} use more than {percent} % of their {what}",
            namespace="AWS/ECS",
            metric=metric,
            statistic="Average",
            threshold=percent,
            dimensions=tasks,
            topic=topic,
        )

    def messages_in(which: SqsQueue, what: str, more_than: int, periods: int) -> CloudwatchAlarm:
        return CloudwatchAlarm(
            f"{name}-{what}",
            f"more than {more_than} messages are in {which.name}",
            namespace="AWS/SQS",
            metric="ApproximateNumberOfMessagesVisible",
            statistic="Maximum",
            threshold=more_than,
            periods=periods,
            dimensions={"QueueName": which.name},
            missing="notBreaching",
            topic=topic,
        )

    return (
        tasks_use("cpu", "CPUUtilization", limits.cpu_percent),
        tasks_use("memory", "MemoryUtilization", limits.memory_percent),
        messages_in(dead, "dead-letters", limits.dead_letters, periods=1),
        messages_in(queue, "queue-depth", limits.queue_depth, periods=5),
    )
