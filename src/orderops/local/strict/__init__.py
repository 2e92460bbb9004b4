"""Errors and delays of AWS that moto does not have; each module covers one service of the emulator.

Hooks run before or after moto. State is stored on moto's backends, so that the state file contains it.
"""

from __future__ import annotations

from collections.abc import Callable

from orderops.local.emulator.server import Emulator
from orderops.local.sqs.api import SqsMessages
from orderops.local.strict import (
    acm,
    autoscaling,
    listings,
    quotas,
    route53,
    s3,
    scheduler,
    secretsmanager,
    sns,
    sqs,
    sts,
    tagging,
)
from orderops.local.strict.apigateway import hooks as apigateway
from orderops.local.strict.apigatewayv2 import hooks as apigatewayv2
from orderops.local.strict.cloudtrail import hooks as cloudtrail
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
from orderops.local.strict.wafv2 import hooks as wafv2

DEFAULT_DELAYS = Delays()
PATCHES: tuple[Callable[[Emulator], None], ...] = (
    apigatewayv2.patch,
    # After those of HTTP APIs, which it goes beside.
    apigateway.patch,
    autoscaling.patch,
    ec2_descriptions.patch,
    elbv2_listeners.patch,
    rds.patch,
    s3.patch,
)
REGISTRATIONS: tuple[Callable[[Emulator, Delays], None], ...] = (
    acm.register,
    apigateway.register,
    apigatewayv2.register,
    autoscaling.register,
    cloudtrail.register,
    ec2.register,
    ecs.register,
    elbv2.register,
    listings.register,
    logs.register,
    quotas.register,
    rds.register,
    route53.register,
    s3.register,
    scheduler.register,
    secretsmanager.register,
    sns.register,
    sqs.register,
    sts.register,
    tagging.register,
    wafv2.register,
    iam.register,
)


def make_strict(
    emulator: Emulator, delays: Delays = DEFAULT_DELAYS, messages: SqsMessages | None = None
) -> SqsMessages:
    """Add the errors and delays of AWS to every service, and return the messages of its queues."""
    messages = patch(emulator, messages)
    messages.purge_pause = delays.purge
    for register in REGISTRATIONS:
        register(emulator, delays)
    cloudwatch.register(emulator, delays, messages)
    # Registered last, since these checks run ahead of all others.
    iam_consumers.register(emulator)
    return messages


def patch(emulator: Emulator, messages: SqsMessages | None = None) -> SqsMessages:
    """Correct moto where it rejects what AWS accepts, leaves behind what can never be removed, or is too slow.

    Without `messages`, those of queues live as long as the process.
    """
    for patch_service in PATCHES:
        patch_service(emulator)
    return messages or SqsMessages(emulator)
