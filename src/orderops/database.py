"""Connections to the environment's PostgreSQL, credentials included.

The way in is the pointer, a secret that says where the database is and which secret opens it. A password is read
when a connection is made and kept nowhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from orderops.aws import Aws
from orderops.database_trust import about_certificate, distrust, trusted_roots
from orderops.errors import AwsError, OrderopsError

if TYPE_CHECKING:
    import psycopg

CONNECT_TIMEOUT = 5
CONNECT_PATIENCE = 20
"""Seconds for one try, and for all of them: an instance just made may need a moment."""


@dataclass(frozen=True)
class Login:
    """Where a database is, and what opens it."""

    host: str
    port: int
    dbname: str
    sslmode: str
    username: str
    password: str = field(repr=False)


def login(aws: Aws, pointer: str) -> Login:
    """Read the pointer and the credentials that it names; raises OrderopsError when there are none."""
    where = _secret(aws, pointer)
    credentials = _secret(aws, where["credentials"])
    return Login(
        host=where["host"],
        port=int(where["port"]),
        dbname=where["dbname"],
        sslmode=where.get("sslmode", "verify-full"),
        username=credentials["username"],
        password=credentials["password"],
    )


@contextmanager
def connected(to: Login, *, name: str = "orderops") -> Iterator[psycopg.Connection]:
    """An autocommit connection, tried for a while; `name` is what pg_stat_activity shows.

    Raises OrderopsError where there is none, and at once for a certificate that is not to be trusted.
    """
    import psycopg

    tries = Retrying(
        retry=retry_if_exception(
            lambda error: isinstance(error, psycopg.OperationalError) and not about_certificate(error)
        ),
        stop=stop_after_delay(CONNECT_PATIENCE),
        wait=wait_random_exponential(multiplier=0.2, max=2),
        reraise=True,
    )
    try:
        connection = tries(_connect, to, name)
    except psycopg.OperationalError as error:
        if about_certificate(error):
            raise distrust(error, to.host, to.port, trusted_roots(to.host, to.sslmode)) from None
        said = str(error).strip().splitlines()[-1]
        raise OrderopsError(
            f"no connection to database {to.dbname} on {to.host}:{to.port} within {CONNECT_PATIENCE} s: {said}",
            "is it running, and can this machine reach it? orderops status",
        ) from None
    with connection:
        yield connection


def _connect(to: Login, name: str) -> psycopg.Connection:
    import psycopg

    return psycopg.connect(
        host=to.host,
        port=to.port,
        dbname=to.dbname,
        user=to.username,
        password=to.password,
        sslmode=to.sslmode,
        sslrootcert=trusted_roots(to.host, to.sslmode),
        connect_timeout=CONNECT_TIMEOUT,
        application_name=name,
        autocommit=True,
    )


def _secret(aws: Aws, name: str) -> dict[str, Any]:
    try:
        told = aws.secretsmanager.get_secret_value(SecretId=name)["SecretString"]
    except AwsError as error:
        if error.code == "ResourceNotFoundException":
            raise OrderopsError(f"no secret is named {name}", "make the infrastructure first: orderops up") from None
        raise
    return dict(json.loads(told))
