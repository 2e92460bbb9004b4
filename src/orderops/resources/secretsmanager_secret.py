"""Secret of a service, created with a random value."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any, ClassVar

from orderops.aws.client import Aws, every, if_found
from orderops.aws.ownership import ADDRESS, ENVIRONMENT, Ownership, Tags, from_pairs, to_pairs
from orderops.engine.names import NameRule
from orderops.engine.resource import Leftover, Observed, Outputs, Properties, Resource, State
from orderops.errors import AwsError, NotOurs
from orderops.frozen import replace

GONE = "ResourceNotFoundException"
TAKEN = "ResourceExistsException"
INVALID = "InvalidRequestException"
RECOVERY_DAYS = 7


class SecretsmanagerSecret(Resource):
    """Starts with a random value. Later values are neither read nor changed.

    Created again within its recovery window, it is restored with its last value.
    """

    description: str

    kind: ClassVar[str] = "secretsmanager-secret"
    name_rule: ClassVar[NameRule | None] = NameRule(512, r"[A-Za-z0-9/_+=.@-]+", "letters, digits and /_+=.@-")
    lists_late: ClassVar[bool] = True
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        # A deleted secret keeps its name for 7 to 30 days, and forced deletion is asynchronous.
        {GONE, TAKEN, f"{INVALID}: marked for deletion", f"{INVALID}: scheduled for deletion"}
    )

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        yield from secrets_of(cls.kind, aws, owner)

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        return self.unless_gone(aws, observed)

    @staticmethod
    def unless_gone(aws: Aws, observed: Observed) -> Observed:
        """The secret; on its way out if it is only listed still."""
        # ListSecrets shows a deleted secret for minutes. Believed, its environment would come up without it.
        return observed if any(_one(aws, observed.name, deleted=False)) else replace(observed, state=State.GOING)

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.secretsmanager.tag_resource(SecretId=observed.arn, Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {"Description": self.description}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        create_or_restore(aws, owner, desired["Description"], secrets.token_urlsafe(32))

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        aws.secretsmanager.update_secret(SecretId=observed.arn, Description=changed["Description"])

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.secretsmanager.delete_secret(SecretId=observed.arn, RecoveryWindowInDays=RECOVERY_DAYS)

    @classmethod
    def holds(cls, aws: Aws, observed: Observed) -> str:
        return f"a secret value (recoverable for {RECOVERY_DAYS} days)"

    @classmethod
    def leftovers(cls, aws: Aws, owner: Ownership) -> Iterator[Leftover]:
        command = "aws secretsmanager restore-secret --secret-id NAME, to have it back"
        yield Leftover(f"secret, gone by itself in {RECOVERY_DAYS} days", command, tuple(_in_their_window(aws, owner)))


def _in_their_window(aws: Aws, owner: Ownership) -> Iterator[str]:
    call, names = aws.secretsmanager.list_secrets, [{"Key": "name", "Values": [owner.path("orderops/{}/")]}]
    for raw in every(call, "SecretList", Filters=names, MaxResults=100, IncludePlannedDeletion=True):
        if "DeletedDate" in raw and from_pairs(raw.get("Tags")).get(ENVIRONMENT) == owner.environment:
            yield raw["Name"]


def secrets_of(kind: str, aws: Aws, owner: Ownership) -> Iterator[Observed]:
    """The secrets of the kind. Listings lag by minutes, so a single secret is read by its name."""
    for raw in _one(aws, owner.name) if owner.name else _all(aws, owner):
        tags = from_pairs(raw.get("Tags"))
        of_kind = tags.get(ADDRESS, kind).partition("/")[0] == kind
        if "DeletedDate" not in raw and (owner.name or of_kind):
            yield Observed(raw["ARN"], {"Description": raw.get("Description", "")}, tags, raw["Name"], raw["ARN"])


def create_or_restore(aws: Aws, owner: Ownership, description: str, value: str) -> None:
    """Create the secret, or restore it if it is owned and scheduled for deletion."""
    try:
        aws.secretsmanager.create_secret(Name=owner.name, Description=description, SecretString=value, Tags=owner.pairs)
    except AwsError as error:
        if error.code not in (TAKEN, INVALID):
            raise
        raw = next(_one(aws, owner.name), {})
        if "DeletedDate" not in raw:
            raise
        if from_pairs(raw.get("Tags")).get(ENVIRONMENT) != owner.environment:
            raise NotOurs(
                f"{owner.name} is scheduled for deletion and is not ours",
                f"aws secretsmanager restore-secret --secret-id {owner.name}; then re-run this command",
            ) from None
        # The name stays taken until the recovery window ends, so the secret is restored instead.
        aws.secretsmanager.restore_secret(SecretId=owner.name)


def _one(aws: Aws, name: str, *, deleted: bool = True) -> Iterator[dict[str, Any]]:
    # ListSecrets lags by up to five minutes and leaves out deleted secrets.
    raw = if_found(aws.secretsmanager.describe_secret, GONE, SecretId=name)
    if raw and (deleted or "DeletedDate" not in raw):
        yield raw


def _all(aws: Aws, owner: Ownership) -> Iterator[dict[str, Any]]:
    names = [{"Key": "name", "Values": [owner.path("orderops/{}/")]}]
    return every(aws.secretsmanager.list_secrets, "SecretList", Filters=names, MaxResults=100)
