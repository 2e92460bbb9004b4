"""The versions of a secret with a login, while its password is rotated.

Secrets Manager's labels are the record of a rotation, so that it goes on wherever it was interrupted: AWSPENDING on a
version of its own is a login that is being made, and AWSPENDING on the current version is one that everybody uses,
while the login before it is still open.
"""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from orderops.aws.client import Aws, every
from orderops.aws.ownership import from_pairs, to_pairs
from orderops.aws.validation import Malformed, json_object, validated
from orderops.database.connection import CredentialsShape
from orderops.errors import AwsError, OrderopsError
from orderops.frozen import Frozen

CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"
OPEN_UNTIL = "orderops:old-login-until"
"""The tag with the time from which on the login before the current one is closed."""
NAMESPACE = uuid.UUID("6f2c1d0a-8a6c-4c46-9d0b-0c5a4f0f3b8e")


class Versions(Frozen):
    """A secret's versions, by their labels."""

    current: str
    current_since: datetime
    pending: str | None

    @property
    def making(self) -> bool:
        """Whether a new login is being made."""
        return self.pending not in (None, self.current)

    @property
    def closing(self) -> bool:
        """Whether the new login is in use, and the one before it still open."""
        return self.pending == self.current


class LoginSecret:
    """A secret with user name and password."""

    def __init__(self, aws: Aws, name: str) -> None:
        self._secrets = aws.secretsmanager
        self.name = name

    def versions(self) -> Versions:
        """Read the labels. Raises OrderopsError for a secret that does not exist, or has no current version."""
        labels: dict[str, Mapping[str, Any]] = {}
        try:
            for raw in every(self._secrets.list_secret_version_ids, "Versions", SecretId=self.name):
                labels |= dict.fromkeys(raw.get("VersionStages", ()), raw)
        except AwsError as error:
            if error.code != "ResourceNotFoundException":
                raise
        if CURRENT not in labels:
            raise OrderopsError(
                f"the secret {self.name} does not exist", "create it with the infrastructure: orderops up"
            )
        pending = labels.get(PENDING)
        since = labels[CURRENT]["CreatedDate"].astimezone(UTC)
        return Versions(str(labels[CURRENT]["VersionId"]), since, str(pending["VersionId"]) if pending else None)

    def login(self, label: str = CURRENT) -> CredentialsShape:
        """Read the login with a label. Raises OrderopsError, without the value, if it is none."""
        response = self._secrets.get_secret_value(SecretId=self.name, VersionStage=label)
        try:
            return validated(json_object(response.get("SecretString", "")), CredentialsShape)
        except Malformed as error:
            raise OrderopsError(
                f"the secret {self.name} {error}",
                f"look at it: aws secretsmanager get-secret-value --secret-id {self.name}",
            ) from None

    def begin(self, versions: Versions, username: str) -> Versions:
        """Add a version with this user and a new password, as the pending one; one that is there already stays."""
        # The same for everybody who begins at this current version: of two at once, one makes the password.
        token = str(uuid.uuid5(NAMESPACE, versions.current))
        login = {"username": username, "password": secrets.token_urlsafe(32)}
        try:
            self._secrets.put_secret_value(
                SecretId=self.name, ClientRequestToken=token, SecretString=json.dumps(login), VersionStages=[PENDING]
            )
        except AwsError as error:
            # Secrets Manager knows the token with another password: its answer was lost, or somebody took the label.
            if error.code != "ResourceExistsException":
                raise
            self._move(PENDING, token, versions.pending)
        return self.versions()

    def finish(self, versions: Versions, open_until: datetime) -> Versions:
        """Make the pending version the current one. The login before it is to be closed at that time."""
        assert versions.making, "there is a pending version"
        self.keep_open(open_until)
        self._move(CURRENT, str(versions.pending), versions.current)
        return self.versions()

    def end(self, versions: Versions) -> None:
        """Take the label of the rotation away: nothing of it is left to do."""
        if versions.pending:
            self._secrets.update_secret_version_stage(
                SecretId=self.name, VersionStage=PENDING, RemoveFromVersionId=versions.pending
            )

    def keep_open(self, until: datetime) -> None:
        """Note the time at which the login before the current one is to be closed."""
        tags = to_pairs({OPEN_UNTIL: until.isoformat(timespec="milliseconds")})
        self._secrets.tag_resource(SecretId=self.name, Tags=tags)

    def open_until(self) -> datetime | None:
        """The time at which the login before the current one is to be closed; None if nobody has noted one."""
        noted = from_pairs(self._secrets.describe_secret(SecretId=self.name).get("Tags")).get(OPEN_UNTIL, "")
        try:
            return datetime.fromisoformat(noted).astimezone(UTC)
        except ValueError:
            return None

    def _move(self, label: str, to: str, before: str | None) -> None:
        if to == before:
            return
        # Secrets Manager wants the version that has the label named.
        away = {"RemoveFromVersionId": before} if before else {}
        self._secrets.update_secret_version_stage(SecretId=self.name, VersionStage=label, MoveToVersionId=to, **away)
