"""Secret with the endpoint of the database, and the names of the secrets that hold its passwords."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from orderops.aws.client import Aws, if_found
from orderops.aws.ownership import Ownership, Tags, to_pairs
from orderops.engine.names import NameRule
from orderops.engine.resource import UNKNOWN, Observed, Output, Outputs, Properties, Resource, State
from orderops.frozen import replace
from orderops.resources.rds_instance import RdsInstance
from orderops.resources.rds_read_replica import SOURCE, RdsReadReplica
from orderops.resources.secretsmanager_login import SecretsmanagerLogin
from orderops.resources.secretsmanager_readers import POINTER, READERS, address_of
from orderops.resources.secretsmanager_secret import SecretsmanagerSecret, create_or_restore, secrets_of

DESCRIPTION = "Where the database is, and which secret opens it"
FIELDS = ("host", "port", "dbname", "sslmode", "credentials", "master", READERS, "login", "username", "region")
HIDDEN = "(not shown)"


class DatabasePointer(Resource):
    """Services read it again when a login fails, and so follow a promoted instance without a deployment.

    `credentials` names the secret that services log in with, and `master` the one of the master user. `replicas` lists
    host and port of the read replicas that replicate; the rest is the same for them. With `login`
    "iam" they log in as `username`, with tokens that they sign for `region`; without that field, by password. Services
    that know no tokens go on with `credentials`.
    """

    instance: RdsInstance
    login: SecretsmanagerLogin
    dbname: str = "orders"
    sslmode: str = "verify-full"
    replicas: tuple[RdsReadReplica, ...] = ()
    iam_user: str = ""
    """The role for tokens of IAM; empty where services log in by password."""
    region: str = ""

    kind: ClassVar[str] = POINTER
    name_rule: ClassVar[NameRule | None] = NameRule(512, r"[A-Za-z0-9/_+=.@-]+", "letters, digits and /_+=.@-")
    lists_late: ClassVar[bool] = SecretsmanagerSecret.lists_late
    retryable_errors: ClassVar[frozenset[str]] = SecretsmanagerSecret.retryable_errors

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        yield from secrets_of(cls.kind, aws, owner)

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        response = if_found(aws.secretsmanager.get_secret_value, "ResourceNotFoundException", SecretId=observed.arn)
        if response is None:
            # Deleted, and still listed.
            return replace(observed, state=State.GOING)
        return replace(
            observed, properties={**observed.properties, "SecretString": _shown(response.get("SecretString"))}
        )

    def now(self, aws: Aws, environment: str) -> tuple[Mapping[str, Any], datetime] | None:
        """The value and its time; None if the secret does not exist or has no readable value."""
        found = next(self.listing(aws, Ownership(environment, self.address, self.name)), None)
        response = found and if_found(
            aws.secretsmanager.get_secret_value, "ResourceNotFoundException", SecretId=found.arn
        )
        value = _shown(response.get("SecretString")) if response else None
        return (value, response["CreatedDate"].astimezone(UTC)) if response and isinstance(value, dict) else None

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.secretsmanager.tag_resource(SecretId=observed.arn, Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        instance = outputs[self.instance].properties
        return {
            "Description": DESCRIPTION,
            "SecretString": {
                "host": instance["EndpointAddress"],
                "port": instance["EndpointPort"],
                "dbname": self.dbname,
                "sslmode": self.sslmode,
                "credentials": self.credentials(outputs),
                "master": instance["MasterUserSecretArn"],
                **({READERS: list(self._readers(outputs))} if self.replicas else {}),
                **self._tokens(outputs),
            },
        }

    def _readers(self, outputs: Outputs) -> Iterator[dict[str, Any]]:
        """Yield the replicas of the primary that replicate, in the order of their names."""
        for replica in sorted(self.replicas, key=lambda replica: replica.name):
            found = outputs[replica]
            follows = found.properties[SOURCE] == outputs[self.instance].id and found.properties["Replicating"]
            if follows or replica not in outputs:
                yield address_of(found)

    def _tokens(self, outputs: Outputs) -> Properties:
        """What services need to log in with tokens of IAM, once the instance has the role for them."""
        if not self.iam_user or outputs[self.instance].properties["ServiceIamUser"] != self.iam_user:
            return {}
        return {"login": "iam", "username": self.iam_user, "region": self.region}

    def credentials(self, outputs: Outputs) -> str:
        """The ARN of the secret that the services log in with."""
        instance, login = outputs[self.instance].properties, outputs[self.login].arn
        # The role is made by a connection, after the instance. Until this very secret opens the instance, the services
        # keep what does. A secret made again has another ARN, and a password that the role does not have.
        return str(login if instance["ServiceSecretArn"] == login else instance["MasterUserSecretArn"])

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        create_or_restore(aws, owner, desired["Description"], json.dumps(desired["SecretString"]))

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        if "Description" in changed:
            aws.secretsmanager.update_secret(SecretId=observed.arn, Description=changed["Description"])
        if "SecretString" in changed:
            aws.secretsmanager.put_secret_value(SecretId=observed.arn, SecretString=json.dumps(changed["SecretString"]))

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.secretsmanager.delete_secret(SecretId=observed.arn, ForceDeleteWithoutRecovery=True)


class PointedCredentials(Output):
    """The ARN of the secret that a pointer will name, also before the pointer itself is written."""

    resource: DatabasePointer
    key: str = "credentials"

    def read(self, outputs: Outputs) -> str:
        return self.resource.credentials(outputs)


class DatabaseUserArn(Output):
    """What `rds-db:connect` is allowed on: a user of one instance; each restored instance has another resource id.

    With the key `GreenResourceId`, of the green instance of its blue/green deployment; "" if there is none.
    """

    resource: Resource
    key: str = "DbiResourceId"
    user: str = ""
    source_of_replica: RdsInstance | None = None
    """For a read replica, its source, which is named in its place while the replica follows another one."""

    def read(self, outputs: Outputs) -> str:
        source = self.source_of_replica
        if source and self.resource in outputs and outputs[self.resource].properties[SOURCE] != outputs[source].id:
            return replace(self, resource=source, source_of_replica=None).read(outputs)
        instance, resource_id = outputs[self.resource].arn, super().read(outputs)
        if UNKNOWN in (instance, resource_id):
            return UNKNOWN
        if not resource_id:
            return ""
        _, partition, _, region, account, *_ = instance.split(":")
        return f"arn:{partition}:rds-db:{region}:{account}:dbuser:{resource_id}/{self.user}"


def _shown(text: str | None) -> Any:
    """The value with unknown fields hidden: plans print it, and an unknown field may be a password."""
    try:
        value = json.loads(text or "null")
    except (ValueError, RecursionError):
        return HIDDEN
    if not isinstance(value, dict):
        return value and HIDDEN
    return {key: part if key in FIELDS else HIDDEN for key, part in value.items()}
