"""The read replicas that a pointer secret names: services read from them, so one leaves the secret before it goes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orderops.aws.client import Aws, if_found
from orderops.aws.ownership import ENVIRONMENT, Ownership
from orderops.engine.resource import Observed
from orderops.resources.secretsmanager_secret import GONE, secrets_of

POINTER = "secretsmanager-pointer"
READERS = "replicas"
"""The field of the secret: a list of objects with `host` and `port`, in the order of the replicas' names."""


def pointer_name(environment: str) -> str:
    """The name of the secret with the endpoints of an environment's database."""
    return f"orderops/{environment}/database"


def address_of(replica: Observed) -> dict[str, Any]:
    """What the secret says of a replica."""
    return {"host": replica.properties["EndpointAddress"], "port": replica.properties["EndpointPort"]}


def leave(aws: Aws, replica: Observed) -> None:
    """Take a replica out of the pointer of its environment. Harmless to repeat."""
    environment, address = (replica.tags or {}).get(ENVIRONMENT, ""), address_of(replica)
    # By its name: the listing of secrets lags by minutes.
    for secret in secrets_of(POINTER, aws, Ownership(environment, name=pointer_name(environment))):
        response = if_found(aws.secretsmanager.get_secret_value, GONE, SecretId=secret.arn)
        value = _object(response.get("SecretString") if response else None)
        named = value.get(READERS)
        if isinstance(named, list) and address in named:
            rest = {**value, READERS: [other for other in named if other != address]}
            aws.secretsmanager.put_secret_value(SecretId=secret.arn, SecretString=json.dumps(rest))


def _object(text: str | None) -> Mapping[str, Any]:
    try:
        value = json.loads(text or "null")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
