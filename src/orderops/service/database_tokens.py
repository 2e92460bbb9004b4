"""Tokens of IAM, by which the service logs in to the database in place of a password.

A token is a presigned URL for the action `connect`, signed on this machine with the credentials of the task: no call
is made, and nothing checks it before the database server does. The server takes it for 15 minutes; a session outlives
its token.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from threading import Lock
from typing import Any, Protocol

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError

from orderops.service.address import Address
from orderops.service.circuit import Away

VALID_SECONDS = 900
"""How long RDS takes a token ("IAM database authentication", RDS user guide)."""
KEEP_SECONDS = 600.0
# botocore replaces temporary credentials 10 minutes before their end at the latest, so a token that is kept no longer
# than that, and only with the credentials that signed it, never outlives them.
WITHOUT_TLS = ("disable", "allow", "prefer")
# RDS advises against more than 200 logins by token a second; each costs the server CPU. A failover makes every task
# lose its connections in the same moment: 25 tasks of 4 connections each stay below that within this time.
SPREAD_SECONDS = 0.5
AFTER_LOSS_SECONDS = 10.0
# A new permission reaches all of IAM's servers within seconds, rarely within minutes.
AS_BEFORE_SECONDS = 300.0


class Credentials(Protocol):
    """botocore's credentials, which renew themselves."""

    def get_frozen_credentials(self) -> Any: ...


class DatabaseTokens:
    """Signs a token for an address, and keeps it for further connections."""

    def __init__(self, credentials: Credentials | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._credentials = credentials
        self._clock = clock
        self._lock = Lock()
        # One for each host: the primary and its replicas.
        self._kept: dict[str, tuple[Address, Any, float, str]] = {}

    def token(self, address: Address) -> str:
        """Return a token for the address, at most KEEP_SECONDS old. Raises Away without credentials."""
        if address.sslmode in WITHOUT_TLS:
            reason = f"a login with tokens of IAM needs TLS, and sslmode is {address.sslmode}"
            raise Away(reason, reason)
        with self._lock:
            frozen, now = self._current(), self._clock()
            kept = self._kept.get(str(address))
            if kept is None or kept[:2] != (address, frozen) or now - kept[2] >= KEEP_SECONDS:
                kept = self._kept[str(address)] = (address, frozen, now, _signed(address, frozen))
            return kept[3]

    def forget(self) -> None:
        """Sign anew for the next connections, since a server refused a token."""
        with self._lock:
            self._kept.clear()

    def _current(self) -> Any:
        try:
            frozen = self._credentials.get_frozen_credentials() if self._credentials else None
        except BotoCoreError as error:
            raise Away(f"no token can be signed: the credentials of this task cannot be read: {error}") from None
        if frozen is None:
            raise Away("no token can be signed: this task has no credentials, so no task role")
        return frozen


class Reconnects:
    """Spreads the logins after lost connections, so that not every task logs in in the same moment."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._pause = pause
        self._chance = chance
        self._lost_at = float("-inf")

    def lost(self) -> None:
        """Note that a connection was lost or refused."""
        self._lost_at = self._clock()

    def wait(self) -> None:
        """Pause for a random part of SPREAD_SECONDS, if connections were lost shortly before."""
        if self._clock() - self._lost_at < AFTER_LOSS_SECONDS:
            self._pause(self._chance() * SPREAD_SECONDS)


class LastLogin:
    """The login that a server accepted last, for the minutes in which another one is new."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: tuple[Address, float] | None = None

    def accepted(self, address: Address) -> None:
        """Note a login."""
        self._known = (address, self._clock())

    def instead_of(self, refused: Address) -> Address | None:
        """Return the login by password that the same database accepted lately, in place of a refused one by token."""
        if self._known is None:
            return None
        known, at = self._known
        same = (known.host, known.port, known.dbname) == (refused.host, refused.port, refused.dbname)
        lately = self._clock() - at <= AS_BEFORE_SECONDS
        return known if same and lately and refused.by_token and not known.by_token else None


def _signed(address: Address, credentials: Any) -> str:
    # For the real name and port of the endpoint: the server compares both with its own.
    scheme = "https://"
    parameters = {"Action": "connect", "DBUser": address.username}
    request = AWSRequest("GET", f"{scheme}{address.host}:{address.port}/", params=parameters)
    SigV4QueryAuth(credentials, "rds-db", address.region, expires=VALID_SECONDS).add_auth(request)
    return str(request.prepare().url).removeprefix(scheme)
