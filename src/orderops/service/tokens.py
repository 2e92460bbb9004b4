"""Bearer tokens: who may place and read orders."""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import Callable
from threading import Lock
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from orderops.service.circuit import Unavailable

log = logging.getLogger(__name__)

_CURRENT, _PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"
_ABSENT = "ResourceNotFoundException"


class Tokens:
    """The token in a secret, and the one before it: after a new value is put, clients have time to follow."""

    def __init__(
        self,
        secrets: Any,
        name: str,
        *,
        keep_seconds: float = 60.0,
        again_seconds: float = 3.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._secrets = secrets
        self._name = name
        self._keep_seconds = keep_seconds
        self._again_seconds = again_seconds
        self._clock = clock
        self._lock = Lock()
        self._digests: tuple[bytes, ...] = ()
        self._read_at: float | None = None

    def admits(self, authorization: str) -> bool:
        """Tell whether an Authorization header has a valid token. Raises Unavailable if none could be read so far."""
        scheme, _, token = authorization.partition(" ")
        digest = _digest(token.strip()) if scheme.lower() == "bearer" and token.strip() else None
        if digest is None:
            return False
        return _matches(digest, self._known(self._keep_seconds)) or _matches(digest, self._known(self._again_seconds))

    def _known(self, seconds: float) -> tuple[bytes, ...]:
        """Return the digests of the valid tokens, read at most some seconds ago."""
        with self._lock:
            limit = seconds if self._digests else self._again_seconds
            if self._read_at is None or self._clock() - self._read_at >= limit:
                # Before the attempt, so that a secret that cannot be read is not tried by every request.
                self._read_at = self._clock()
                try:
                    current = self._read(_CURRENT)
                    self._digests = tuple(map(_digest, filter(None, (current, self._read(_PREVIOUS)))))
                except (BotoCoreError, ClientError, KeyError) as error:
                    log.warning("secret %s cannot be read: %s", self._name, error)
            if not self._digests:
                raise Unavailable(f"secret {self._name} holds no token that could be read", "no token can be checked")
            return self._digests

    def _read(self, stage: str) -> str:
        try:
            answer = self._secrets.get_secret_value(SecretId=self._name, VersionStage=stage)
        except ClientError as error:
            # A secret that had one value only has no previous one.
            if stage == _PREVIOUS and error.response["Error"]["Code"] == _ABSENT:
                return ""
            raise
        return str(answer["SecretString"]).strip()


def _digest(token: str) -> bytes:
    # Of equal length for all tokens: compare_digest may reveal the length of what it compares.
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _matches(digest: bytes, known: tuple[bytes, ...]) -> bool:
    # All are compared, so that the time does not tell which one matches.
    matches = [hmac.compare_digest(digest, other) for other in known]
    return any(matches)
