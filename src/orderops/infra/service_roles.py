"""The IAM roles of a service: what starts its tasks, what its tasks may do, and what one-off tasks may do."""

from __future__ import annotations

from orderops.aws.partition import partition_of
from orderops.config.environment import Environment
from orderops.engine.resource import Output
from orderops.infra.roles import role_of
from orderops.resources.ecr_repository import EcrRepository
from orderops.resources.iam_role import Allow, IamRole
from orderops.resources.logs_group import LogsGroup
from orderops.resources.secretsmanager_pointer import DatabasePointer, DatabaseUserArn, PointedCredentials
from orderops.resources.secretsmanager_secret import SecretsmanagerSecret
from orderops.resources.sqs_queue import SqsQueue

ROTATES = ("DescribeSecret", "ListSecretVersionIds", "PutSecretValue", "TagResource", "UpdateSecretVersionStage")


def execution_role_of(
    environment: Environment,
    name: str,
    repository: EcrRepository,
    log_group: LogsGroup,
    secrets: tuple[SecretsmanagerSecret, ...],
) -> IamRole:
    pulls = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
    allow = [
        # GetAuthorizationToken supports no resource-level permissions.
        Allow(("ecr:GetAuthorizationToken",), ("*",)),
        Allow(pulls, (repository,)),
        # Without CreateLogGroup: a running task would create a deleted group again, without retention and tags.
        Allow(("logs:CreateLogStream", "logs:PutLogEvents"), (log_group,), suffix=":*"),
    ]
    if secrets:
        allow.append(Allow(("secretsmanager:GetSecretValue",), secrets))
    return role_of(environment, f"{name}-execution", "ecs-tasks.amazonaws.com", tuple(allow))


def task_role_of(
    environment: Environment,
    name: str,
    queue: SqsQueue,
    dead_letters: SqsQueue,
    pointer: DatabasePointer,
    token: SecretsmanagerSecret | None,
) -> IamRole:
    uses = ("ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "ReceiveMessage", "SendMessage")
    channels = ("CreateControlChannel", "CreateDataChannel", "OpenControlChannel", "OpenDataChannel")
    return role_of(
        environment,
        f"{name}-task",
        "ecs-tasks.amazonaws.com",
        (
            Allow(tuple(f"sqs:{use}" for use in uses), (queue,)),
            # Messages that can never succeed are sent there with their reason.
            Allow(("sqs:GetQueueAttributes", "sqs:SendMessage"), (dead_letters,)),
            # The last one is the same as the second, once the services have their own role in the database.
            Allow(
                ("secretsmanager:GetSecretValue",),
                (Output(pointer, "arn"), Output(pointer.login, "arn"), PointedCredentials(pointer)),
            ),
            *([Allow(("secretsmanager:GetSecretValue",), (token,))] if token else []),
            *_tokens_for(pointer),
            # For ECS Exec. These actions support no resource-level permissions.
            Allow(tuple(f"ssmmessages:{channel}" for channel in channels), ("*",)),
        ),
    )


def _tokens_for(pointer: DatabasePointer) -> tuple[Allow, ...]:
    """The login with tokens of IAM, to the instance that is the primary and to the replicas that follow it.

    To the green instance of a deployment as well: from the switchover on, that one is the primary.

    The secret with the password stays readable beside it: an image from before tokens goes on with that, after a
    rollback too.
    """
    if not pointer.iam_user:
        return ()
    source, user = pointer.instance, pointer.iam_user
    replicas = [DatabaseUserArn(replica, user=user, source_of_replica=source) for replica in pointer.replicas]
    own = (DatabaseUserArn(source, user=user), DatabaseUserArn(source, "GreenResourceId", user=user))
    return (Allow(("rds-db:connect",), (*own, *replicas)),)


def jobs_role_of(environment: Environment, name: str, pointer: DatabasePointer) -> IamRole:
    return role_of(
        environment,
        f"{name}-jobs",
        "ecs-tasks.amazonaws.com",
        (
            *opens_and_rotates(pointer),
            managed_passwords_of(environment),
        ),
    )


def opens_and_rotates(pointer: DatabasePointer) -> tuple[Allow, Allow]:
    """Reading the logins of the database, and the rotation of the passwords that orderops keeps."""
    master = pointer.instance.master
    logins = (Output(pointer.login, "arn"), *([Output(master, "arn")] if master else []))
    return (
        Allow(("secretsmanager:GetSecretValue",), (Output(pointer, "arn"), *logins)),
        # The labels of a secret's versions are the record of a rotation.
        Allow(tuple(f"secretsmanager:{action}" for action in ROTATES), logins),
    )


def managed_passwords_of(environment: Environment) -> Allow:
    """Access to the passwords that RDS manages for the environment's instances.

    Restored instances are included: they may be made after the role.
    """
    # RDS chooses the secret's name, so its ARN is unknown, and tags the secret with its instance. A policy variable is
    # allowed in a condition and not in the account field of a resource ARN.
    partition = partition_of(environment.region)
    # Not every name that begins like the environment's: those of dev-eu begin like those of dev.
    database = f"arn:{partition}:rds:{environment.region}:${{aws:PrincipalAccount}}:db:{environment.prefix}-database"
    return Allow(
        ("secretsmanager:GetSecretValue",),
        (f"arn:{partition}:secretsmanager:{environment.region}:*:secret:rds!db-*",),
        only={"StringLike": {"aws:ResourceTag/aws:rds:primaryDBInstanceArn": [database, f"{database}-*"]}},
    )
