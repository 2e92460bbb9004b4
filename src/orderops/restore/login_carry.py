"""What an instance lacks before the services can log in to it: the roles that they open the present primary with."""

from __future__ import annotations

from orderops.infra.iam_login import iam_user_of
from orderops.infra.service_login import with_login
from orderops.restore.instances import Instance
from orderops.restore.promotion import Switch


def with_login_carried(switch: Switch) -> Instance:
    """The next primary as it is once the roles of the services are made in it; itself, if they are already."""
    secret, iam_user = service_secret_to_carry(switch), iam_user_to_carry(switch)
    if not secret and not iam_user:
        return switch.to
    observed, now = switch.to.observed, switch.previous
    assert now, "what is carried is that of the present primary"
    # Both roles are made together: the second one inherits from the first.
    return Instance(with_login(observed, str(now.observed.properties["ServiceSecretArn"]), iam_user_of(now.observed)))


def service_secret_to_carry(switch: Switch) -> str:
    """The ARN of the secret that the services open the present primary with, if it does not open the next one yet.

    An instance that was restored to a time before the role was made lacks it, and one that has it may have an older
    password. Empty where the services log in as the master user, whose secret RDS makes for each instance.
    """
    if switch.decided or switch.previous is None:
        return ""
    now, then = (instance.observed.properties["ServiceSecretArn"] for instance in (switch.previous, switch.to))
    return str(now) if now and now != then else ""


def iam_user_to_carry(switch: Switch) -> str:
    """The role that the services open the present primary with by tokens of IAM, if it does not open the next one yet.

    Empty where they log in by password.
    """
    if switch.decided or switch.previous is None:
        return ""
    now, then = (iam_user_of(instance.observed) for instance in (switch.previous, switch.to))
    return now if now != then else ""
