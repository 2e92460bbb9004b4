"""JSON web tokens: signed with RS256 by a key that their issuer serves, and checked claim by claim.

As "Control access to HTTP APIs with JWT authorizers" in the API Gateway guide says; keys are kept for two hours.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA256

KEPT = 7200.0
"""Seconds for which the keys of an issuer are kept."""
AGAIN = 5.0
"""Seconds after which they are read again for a key that is not among them. AWS waits for the two hours."""
Keys = Mapping[str, RSAPublicKey]


class WrongToken(Exception):
    """A token that is not accepted, and why."""


class MissingScope(Exception):
    """A token without any of the scopes of the route."""


@dataclass(frozen=True)
class _KnownKeys:
    keys: Keys
    at: float


class JwtCheck:
    """Checks tokens with the keys of their issuers, which it reads over HTTP."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._known: dict[str, _KnownKeys] = {}

    async def check(self, token: str, issuer: str, audience: Collection[str], scopes: Collection[str]) -> None:
        """Accept a token. Raises WrongToken, or MissingScope for one that is right in all else."""
        header, claims, signed, signature = _parts(token)
        if header.get("alg") != "RS256":
            raise WrongToken("the signature is not RS256")
        key = await self._key(issuer, str(header.get("kid")))
        try:
            key.verify(signature, signed, PKCS1v15(), SHA256())
        except InvalidSignature:
            raise WrongToken("the signature is wrong") from None
        self._check_claims(claims, issuer, audience)
        given = set(str(claims.get("scope") or " ".join(claims.get("scp") or ())).split())
        if scopes and not given & set(scopes):
            raise MissingScope("no scope of the route")

    def _check_claims(self, claims: Mapping[str, Any], issuer: str, audience: Collection[str]) -> None:
        now = self._clock()
        aud = claims.get("aud") or claims.get("client_id") or ()
        if claims.get("iss") != issuer:
            raise WrongToken("the issuer is another one")
        if not set([aud] if isinstance(aud, str) else aud) & set(audience):
            raise WrongToken("the audience is another one")
        if not _number(claims.get("exp")) or claims["exp"] <= now:
            raise WrongToken("the token has expired")
        if any(name in claims and (not _number(claims[name]) or claims[name] > now) for name in ("nbf", "iat")):
            raise WrongToken("the token is not valid yet")

    async def _key(self, issuer: str, kid: str) -> RSAPublicKey:
        known, now = self._known.get(issuer), self._clock()
        if known is None or now - known.at > (KEPT if kid in known.keys else AGAIN):
            known = self._known[issuer] = _KnownKeys(await _keys_of(issuer), now)
        if kid not in known.keys:
            raise WrongToken("the issuer has no such key")
        return known.keys[kid]


async def _keys_of(issuer: str) -> Keys:
    try:
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            found = await client.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            served = await client.get(found.raise_for_status().json()["jwks_uri"])
            keys = served.raise_for_status().json()["keys"]
        return {str(key["kid"]): _rsa(key) for key in keys if key.get("kty") == "RSA"}
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise WrongToken(f"the issuer's keys cannot be read: {error}") from None


def _rsa(key: Mapping[str, str]) -> RSAPublicKey:
    exponent, modulus = (int.from_bytes(_decoded(key[name]), "big") for name in ("e", "n"))
    return RSAPublicNumbers(exponent, modulus).public_key()


def _parts(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any], bytes, bytes]:
    """Return header, claims, what is signed, and the signature."""
    pieces = token.split(".")
    try:
        header, claims = (json.loads(_decoded(piece)) for piece in pieces[:2])
        signature = _decoded(pieces[2])
    except (ValueError, IndexError, binascii.Error):
        raise WrongToken("this is no token") from None
    if len(pieces) != 3 or not isinstance(header, dict) or not isinstance(claims, dict):
        raise WrongToken("this is no token")
    return header, claims, ".".join(pieces[:2]).encode(), signature


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
