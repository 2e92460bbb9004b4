"""The master user's password of an instance in a secret of ours, where RDS does not manage it.

From an instance whose password RDS manages, no read replica and no blue/green deployment can be made. The password is
written and never read: each change of the instance gets a new one, into the secret first. The tag that names the secret
comes last, so that whatever was interrupted is done again.
"""

from __future__ import annotations

import json
import secrets

from orderops.aws.client import Aws, every
from orderops.aws.ownership import from_pairs, to_pairs
from orderops.engine.resource import Observed
from orderops.errors import OrderopsError
from orderops.resources.rds_description import MASTER_SECRET

MANAGED, SECRET = "ManageMasterUserPassword", "MasterUserSecretArn"
KEYS = frozenset({MANAGED, SECRET})
"""The properties that say who keeps the password."""


def set_own_password(aws: Aws, observed: Observed, username: str, secret_arn: str) -> None:
    """Give the master user a new password, and leave it in the secret of that ARN. Harmless to repeat."""
    let_go(aws, observed, secret_arn)
    password = new_password()
    value = json.dumps({"username": username, "password": password})
    aws.secretsmanager.put_secret_value(SecretId=secret_arn, SecretString=value)
    aws.rds.modify_db_instance(
        DBInstanceIdentifier=observed.id,
        ManageMasterUserPassword=False,
        MasterUserPassword=password,
        # It is set at once without it, and with it RDS would carry out what waits for the maintenance window.
        ApplyImmediately=False,
    )
    aws.rds.add_tags_to_resource(ResourceName=observed.arn, Tags=to_pairs({MASTER_SECRET: secret_arn}))


def new_password() -> str:
    """A random password. RDS allows 128 characters at most, and neither `/`, `"`, `@` nor a space."""
    return secrets.token_urlsafe(32)


def services_would_fail(observed: Observed, environment: str) -> OrderopsError | None:
    """Why the password cannot change hands yet: the services still log in with it."""
    if observed.properties["ServiceSecretArn"]:
        return None
    return OrderopsError(
        "the services log in as the master user, and their new connections would fail while its password changes",
        f"give them a role of their own first: orderops migrate grant --env {environment}",
    )


def let_go(aws: Aws, observed: Observed, secret_arn: str) -> None:
    """Have RDS manage the password of every other instance that the secret opens, such as the one before a promotion.

    Raises OrderopsError for one that accepts no changes now.
    """
    for raw in every(aws.rds.describe_db_instances, "DBInstances"):
        name, status = raw["DBInstanceIdentifier"], raw["DBInstanceStatus"]
        opened = not raw.get("MasterUserSecret") and from_pairs(raw.get("TagList")).get(MASTER_SECRET) == secret_arn
        if not opened or name == observed.id or raw.get("ReadReplicaSourceDBInstanceIdentifier"):
            continue
        if status != "available":
            raise OrderopsError(
                f"the master user of {name} has its password in the same secret, and the instance is {status}: "
                "nothing would open it any more",
                f"start it (aws rds start-db-instance --db-instance-identifier {name}), or discard it; "
                "then re-run this command",
            )
        aws.rds.modify_db_instance(DBInstanceIdentifier=name, ManageMasterUserPassword=True, ApplyImmediately=False)
