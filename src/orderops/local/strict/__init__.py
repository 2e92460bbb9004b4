"""What AWS refuses and delays and moto does not: each module makes one service of the emulator as strict as AWS is.

A module looks at calls before or after moto does, and never keeps what a backend of moto can keep: then the memory of
the emulator has it too.
"""

from __future__ import annotations

from collections.abc import Callable

from orderops.local.emulator.server import Emulator
from orderops.local.strict import autoscaling, s3, secretsmanager, sns, sqs, sts, tagging
from orderops.local.strict.cloudwatch import hooks as cloudwatch
from orderops.local.strict.delays import Delays
from orderops.local.strict.ec2 import descriptions as ec2_descriptions
from orderops.local.strict.ec2 import hooks as ec2
from orderops.local.strict.ecs import hooks as ecs
from orderops.local.strict.elbv2 import hooks as elbv2
from orderops.local.strict.elbv2 import listeners as elbv2_listeners
from orderops.local.strict.iam import consumers as iam_consumers
from orderops.local.strict.iam import hooks as iam
from orderops.local.strict.logs import hooks as logs
from orderops.local.strict.rds import hooks as rds

AS_USUAL = Delays()
MENDS: tuple[Callable[[Emulator], None], ...] = (
    autoscaling.mend,
    ec2_descriptions.mend,
    elbv2_listeners.mend,
    rds.mend,
    s3.mend,
)
PARTS: tuple[Callable[[Emulator, Delays], None], ...] = (
    autoscaling.take_part,
    cloudwatch.take_part,
    ec2.take_part,
    ecs.take_part,
    elbv2.take_part,
    logs.take_part,
    rds.take_part,
    s3.take_part,
    secretsmanager.take_part,
    sns.take_part,
    sqs.take_part,
    sts.take_part,
    tagging.take_part,
    iam.take_part,
)


def make_strict(emulator: Emulator, pace: Delays = AS_USUAL) -> None:
    """Let every service refuse and delay what AWS does."""
    mend(emulator)
    for take_part in PARTS:
        take_part(emulator, pace)
    iam_consumers.take_part(emulator)  # last: it looks at the calls of the others ahead of them


def mend(emulator: Emulator) -> None:
    """Let the emulator take what AWS takes and moto refuses, or what moto could never be rid of."""
    for each in MENDS:
        each(emulator)
