"""Secret of a service: a random value that is made once and never read again."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from orderops.aws.client import Aws, every, if_found
from orderops.aws.ownership import ADDRESS, ENVIRONMENT, Claim, Tags, from_pairs, to_pairs
from orderops.engine.resource import Left, Live, Outputs, Properties, Resource
from orderops.errors import AwsError, NotOurs

GONE = "ResourceNotFoundException"
TAKEN = "ResourceExistsException"
INVALID = "InvalidRequestException"
RECOVERY_DAYS = 7


@dataclass(frozen=True, eq=False)
class SecretsmanagerSecret(Resource):
    """Starts with a random value; which value it has later is nobody's business here.

    Made again within its recovery window, it comes back with the value it had.
    """

    description: str

    kind: ClassVar[str] = "secretsmanager-secret"
    passing: ClassVar[frozenset[str]] = frozenset(
        {GONE, TAKEN, f"{INVALID}: marked for deletion", f"{INVALID}: scheduled for deletion"}
    )

    @classmethod
    def listing(cls, aws: Aws, claim: Claim) -> Iterator[Live]:
        yield from secrets_of(cls.kind, aws, claim)

    @classmethod
    def retag(cls, aws: Aws, live: Live, tags: Tags) -> None:
        aws.secretsmanager.tag_resource(SecretId=live.arn, Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {"Description": self.description}

    def create(self, aws: Aws, desired: Properties, claim: Claim) -> None:
        create_or_restore(aws, claim, desired["Description"], secrets.token_urlsafe(32))

    def update(self, aws: Aws, live: Live, changed: Properties) -> None:
        aws.secretsmanager.update_secret(SecretId=live.arn, Description=changed["Description"])

    @classmethod
    def delete(cls, aws: Aws, live: Live) -> None:
        aws.secretsmanager.delete_secret(SecretId=live.arn, RecoveryWindowInDays=RECOVERY_DAYS)

    @classmethod
    def holds(cls, aws: Aws, live: Live) -> str:
        return f"a secret value (recoverable for {RECOVERY_DAYS} days)"

    @classmethod
    def leaves(cls, aws: Aws, claim: Claim) -> Iterator[Left]:
        command = "aws secretsmanager restore-secret --secret-id NAME, to have it back"
        yield Left(f"secret, gone by itself in {RECOVERY_DAYS} days", command, tuple(_in_their_window(aws, claim)))


def _in_their_window(aws: Aws, claim: Claim) -> Iterator[str]:
    call, names = aws.secretsmanager.list_secrets, [{"Key": "name", "Values": [claim.path("orderops/{}/")]}]
    for raw in every(call, "SecretList", Filters=names, MaxResults=100, IncludePlannedDeletion=True):
        if "DeletedDate" in raw and from_pairs(raw.get("Tags")).get(ENVIRONMENT) == claim.environment:
            yield raw["Name"]


def secrets_of(kind: str, aws: Aws, claim: Claim) -> Iterator[Live]:
    """The secrets of that kind; a listing lags minutes behind, so a single one is asked for by its name."""
    for raw in _one(aws, claim.name) if claim.name else _all(aws, claim):
        tags = from_pairs(raw.get("Tags"))
        of_kind = tags.get(ADDRESS, kind).partition("/")[0] == kind
        if "DeletedDate" not in raw and (claim.name or of_kind):
            yield Live(raw["ARN"], {"Description": raw.get("Description", "")}, tags, raw["Name"], raw["ARN"])


def create_or_restore(aws: Aws, claim: Claim, description: str, value: str) -> None:
    """Make the secret, or call it back when it is ours and waits for its deletion."""
    try:
        aws.secretsmanager.create_secret(Name=claim.name, Description=description, SecretString=value, Tags=claim.pairs)
    except AwsError as error:
        if error.code not in (TAKEN, INVALID):
            raise
        told = next(_one(aws, claim.name), {})
        if "DeletedDate" not in told:
            raise
        if from_pairs(told.get("Tags")).get(ENVIRONMENT) != claim.environment:
            raise NotOurs(
                f"{claim.name} is scheduled for deletion and is not ours",
                f"aws secretsmanager restore-secret --secret-id {claim.name}; then the same command again",
            ) from None
        aws.secretsmanager.restore_secret(SecretId=claim.name)


def _one(aws: Aws, name: str) -> Iterator[dict[str, Any]]:
    told = if_found(aws.secretsmanager.describe_secret, GONE, SecretId=name)
    if told:
        yield told


def _all(aws: Aws, claim: Claim) -> Iterator[dict[str, Any]]:
    names = [{"Key": "name", "Values": [claim.path("orderops/{}/")]}]
    return every(aws.secretsmanager.list_secrets, "SecretList", Filters=names, MaxResults=100)
