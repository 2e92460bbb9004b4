"""The login of the services with tokens of IAM: what an instance and the roles of tasks need for it.

AWS decides by three things: the instance takes tokens, its database has the role, and the task's role is allowed to
connect to the resource id of this very instance. A restored instance has none of them: its id is another one, and RDS
turns its IAM authentication off unless asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic, sleep

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.resource import Observed, State
from orderops.engine.step import Action, Step
from orderops.engine.waiting import ReconcileLimits
from orderops.errors import OrderopsError
from orderops.resources import rds_instance
from orderops.resources.rds_description import instances
from orderops.resources.rds_instance import RdsInstance

PAUSE = 0.5
"""Seconds between two reads of an instance that changes."""


def iam_user_of(instance: Observed) -> str:
    """The role that opens the instance for the services with tokens; empty where they log in by password."""
    return str(instance.properties["ServiceIamUser"])


def check_takes_tokens(instance: Observed, environment: str) -> None:
    """Raise OrderopsError if RDS would refuse every token at this instance."""
    if not instance.properties["IamAuthenticationNow"]:
        raise OrderopsError(
            f"{instance.id} takes no tokens of IAM: its IAM authentication is off",
            f"turn it on: orderops infra apply --env {environment}",
        )


def take_tokens(
    aws: Aws, instance: Observed, limits: ReconcileLimits, environment: str, *, dry_run: bool
) -> Iterator[Step]:
    """Turn on the IAM authentication of an instance, and return once it is on; no step if it was.

    The instance has to be available. It needs no restart. Raises OrderopsError if RDS does not finish in time.
    """
    if instance.properties["IamAuthenticationNow"]:
        return
    if not dry_run:
        rds_instance.take_tokens(aws, instance)
        _await_tokens(aws, instance, limits, environment)
    yield Step(f"{RdsInstance.kind}/{instance.id}", Action.UPDATE, {"EnableIAMDatabaseAuthentication": (False, True)})


def _await_tokens(aws: Aws, instance: Observed, limits: ReconcileLimits, environment: str) -> None:
    deadline = monotonic() + RdsInstance.timeout.total_seconds()
    pause = min(PAUSE, limits.seen_within.total_seconds())
    while monotonic() < deadline:
        # By name: its tags may be those of a restored instance or of the primary.
        for found in instances(aws, Ownership(environment)):
            on = found.properties["IamAuthenticationNow"] and found.state is State.READY
            if found.id == instance.id and on:
                return
        sleep(pause)
    raise OrderopsError(
        f"the IAM authentication of {instance.id} is not on after {RdsInstance.timeout}",
        "re-run this command to continue",
    )
