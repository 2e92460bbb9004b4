"""Secret with a login of the database: a user's name and its password."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import ClassVar

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership, Tags
from orderops.engine.names import NameRule
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.resources.secretsmanager_secret import SecretsmanagerSecret, create_or_restore, secrets_of

SERVICES = "What the services log in to the database with"
MASTER = "What orderops logs in to the database with: the master user's password"


class SecretsmanagerLogin(Resource):
    """Starts with a random password. A secret made again has another one, which the database does not know yet."""

    username: str
    description: str = SERVICES

    kind: ClassVar[str] = "secretsmanager-login"
    name_rule: ClassVar[NameRule | None] = SecretsmanagerSecret.name_rule
    lists_late: ClassVar[bool] = SecretsmanagerSecret.lists_late
    retryable_errors: ClassVar[frozenset[str]] = SecretsmanagerSecret.retryable_errors

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        yield from secrets_of(cls.kind, aws, owner)

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        return SecretsmanagerSecret.unless_gone(aws, observed)

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        SecretsmanagerSecret.retag(aws, observed, tags)

    def desired(self, outputs: Outputs) -> Properties:
        return {"Description": self.description}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        login = {"username": self.username, "password": secrets.token_urlsafe(32)}
        create_or_restore(aws, owner, desired["Description"], json.dumps(login))

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        aws.secretsmanager.update_secret(SecretId=observed.arn, Description=changed["Description"])

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        # Nothing is lost with it: the next one gets another password.
        aws.secretsmanager.delete_secret(SecretId=observed.arn, ForceDeleteWithoutRecovery=True)
