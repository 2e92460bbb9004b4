"""Address and login of the database, read from Secrets Manager and refreshed regularly."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from orderops.service.circuit import Away

log = logging.getLogger(__name__)
# The field `login` of the secret; without it, the login is by password.
IAM, PASSWORD = "iam", "password"


@dataclass(frozen=True)
class Address:
    """Everything needed to log in; the password is left out of every text form."""

    host: str
    port: int
    dbname: str
    sslmode: str
    username: str
    password: str = field(repr=False)
    """Empty where tokens of IAM take its place."""
    region: str = ""
    """The region that tokens of IAM are signed for; empty where a password is used."""
    replicas: tuple[Address, ...] = field(default=(), compare=False, repr=False)
    """Where the same login can read what may be old; no part of the question whether two addresses are the same."""

    @property
    def by_token(self) -> bool:
        """Whether logins use tokens of IAM."""
        return bool(self.region)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class AddressBook:
    """Address from one secret, and login from the secret that it names, or by tokens of IAM where it says so."""

    def __init__(
        self,
        secrets: Any,
        name: str,
        *,
        keep_seconds: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._secrets = secrets
        self._name = name
        self._keep_seconds = keep_seconds
        self._clock = clock
        self._lock = Lock()
        self._known: Address | None = None
        self._read_at = 0.0

    def address(self) -> Address:
        """Return the address, at most `keep_seconds` old; the last known one when the secret cannot be read."""
        with self._lock:
            if self._known and self._clock() - self._read_at < self._keep_seconds:
                return self._known
            return self._refresh()

    def after_failed_login(self, failed: Address) -> Address:
        """Read the address again after a login with `failed` was rejected."""
        with self._lock:
            if self._known and self._known != failed:
                # Another thread has read it in the meantime.
                return self._known
            return self._refresh()

    def _refresh(self) -> Address:
        try:
            self._known = self._read()
        except Away as error:
            # The database may be up while Secrets Manager is not: the last known address is probably still right.
            if self._known is None:
                raise
            log.warning("%s; using the address read before", error)
        self._read_at = self._clock()
        return self._known

    def _read(self) -> Address:
        pointer = self._secret(self._name)
        primary = self._primary(pointer)
        return replace(primary, replicas=self._replicas(primary, pointer.get("replicas") or []))

    def _primary(self, address: dict[str, Any]) -> Address:
        try:
            host, port, dbname = str(address["host"]), int(address["port"]), str(address["dbname"])
            sslmode, credentials = str(address["sslmode"]), str(address["credentials"])
        except (KeyError, TypeError, ValueError) as error:
            needed = "host, port, dbname, sslmode and credentials"
            raise Away(f"secret {self._name} must hold {needed}: {_field(error)}") from None
        method = address.get("login", PASSWORD)
        if method == IAM:
            return self._by_token(address, (host, port, dbname, sslmode))
        if method != PASSWORD:
            raise Away(f"secret {self._name} asks for a login that this version of the service does not know")
        login = self._secret(credentials)
        try:
            return Address(host, port, dbname, sslmode, str(login["username"]), str(login["password"]))
        except KeyError as error:
            raise Away(f"secret {credentials} must hold username and password: {_field(error)}") from None

    def _replicas(self, primary: Address, listed: Any) -> tuple[Address, ...]:
        try:
            return tuple(replace(primary, host=str(place["host"]), port=int(place["port"])) for place in listed)
        except (KeyError, TypeError, ValueError):
            # A mistake there is no reason to do without the primary.
            log.warning("secret %s: replicas must be a list of objects with host and port; none is used", self._name)
            return ()

    def _by_token(self, address: dict[str, Any], where: tuple[str, int, str, str]) -> Address:
        try:
            return Address(*where, str(address["username"]), "", str(address["region"]))
        except KeyError as error:
            needed = "username and region for a login by IAM"
            raise Away(f"secret {self._name} must hold {needed}: {_field(error)}") from None

    def _secret(self, name: str) -> dict[str, Any]:
        try:
            text = self._secrets.get_secret_value(SecretId=name)["SecretString"]
        except ClientError as error:
            raise Away(f"secret {name} cannot be read: {error.response['Error']['Code']}") from None
        except BotoCoreError as error:
            raise Away(f"secret {name} cannot be read: {error}") from None
        except KeyError:
            raise Away(f"secret {name} holds bytes instead of text") from None
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise Away(f"secret {name} does not hold a JSON object")
        return value


def _field(error: Exception) -> str:
    # Only a missing field is named: other messages quote the value, which may be secret.
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else "a field has the wrong type"
