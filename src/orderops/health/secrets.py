"""How old the values of an environment's secrets are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from orderops.aws.client import Aws, every
from orderops.errors import AwsError
from orderops.frozen import Frozen
from orderops.infra.workspace import Workspace
from orderops.resources.secretsmanager_login import SecretsmanagerLogin
from orderops.resources.secretsmanager_secret import SecretsmanagerSecret
from orderops.runs.history import in_seconds

CURRENT = "AWSCURRENT"
READERS = 8


class SecretAge(Frozen):
    """A secret, and when its value of now was written."""

    name: str
    since: datetime

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return {"name": self.name, "since": in_seconds(self.since)}


def read_secret_ages(workspace: Workspace) -> tuple[SecretAge, ...]:
    """The declared secrets whose values somebody logs in with, the oldest first; those that exist."""
    kinds = (SecretsmanagerLogin, SecretsmanagerSecret)
    names = [resource.name for resource in workspace.stack.infra if isinstance(resource, kinds)]
    with ThreadPoolExecutor(READERS) as pool:
        found = list(pool.map(lambda name: value_since(workspace.aws, name), names))
    ages = [SecretAge(name, since) for name, since in zip(names, found, strict=True) if since]
    return tuple(sorted(ages, key=lambda age: age.since))


def value_since(aws: Aws, secret: str) -> datetime | None:
    """When the value that a secret has now was written; None if it does not exist. A name or an ARN."""
    try:
        for raw in every(aws.secretsmanager.list_secret_version_ids, "Versions", SecretId=secret):
            if CURRENT in raw.get("VersionStages", ()):
                created: datetime = raw["CreatedDate"]
                return created
    except AwsError as error:
        if error.code != "ResourceNotFoundException":
            raise
    return None
