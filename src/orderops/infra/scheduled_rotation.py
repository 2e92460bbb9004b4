"""What rotates the passwords of the database by itself: its command, and what that reads and writes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from orderops.aws.partition import partition_of
from orderops.config.environment import Environment
from orderops.infra.scheduled_task import ScheduledCommand
from orderops.infra.service_roles import managed_passwords_of, opens_and_rotates
from orderops.resources.iam_role import Allow
from orderops.resources.secretsmanager_pointer import DatabasePointer

LOOKS_EVERY = timedelta(days=1)
"""How often it looks whether a password is due. A rotation that was interrupted goes on then."""
# These support no resource-level permissions.
LOOKS = ("ec2:DescribeSubnets", "rds:DescribeDBInstances", "secretsmanager:ListSecrets", "tag:GetResources")


def rotation_of(environment: Environment, account: str, pointer: DatabasePointer) -> ScheduledCommand | None:
    """What rotates the passwords of an environment; None if its file does not have AWS rotate them."""
    days = environment.database.rotate_days
    if days is None:
        return None
    words = ("database", "rotate", "--if-older", f"{days}d", "--yes")
    return ScheduledCommand("rotation", words, LOOKS_EVERY, tuple(_allow(environment, account, pointer)))


def _allow(environment: Environment, account: str, pointer: DatabasePointer) -> Iterator[Allow]:
    """What `orderops database rotate` reads and writes, inside the VPC.

    It may change no instance: after a promotion, an instance that still has the master password of now needs a
    rotation by hand.
    """
    partition, region, name = partition_of(environment.region), environment.region, environment.name
    yield Allow(LOOKS, ("*",))
    yield from opens_and_rotates(pointer)
    yield managed_passwords_of(environment)
    record = f"arn:{partition}:s3:::orderops-{account}-{region}"
    # Without it, a document that is missing is answered with 403.
    yield Allow(("s3:ListBucket",), (record,))
    # The lease, and the record of the run.
    yield Allow(("s3:GetObject", "s3:PutObject"), (f"{record}/{name}/*",))
