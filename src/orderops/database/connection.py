"""Connections to the environment's PostgreSQL, and their credentials.

The pointer is a secret with the endpoint of the database and the names of the secrets that hold the logins of the
services and of the master user, as which orderops connects. A password is read from Secrets Manager for every
connection and never stored.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from orderops.aws.client import Aws
from orderops.aws.validation import Malformed, Port, json_object, validated
from orderops.database.tls import about_certificate, trusted_roots, why_untrusted
from orderops.errors import AwsError, OrderopsError, UsageError

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")

# Parts of messages, since libpq has no SQLSTATE for an error during connecting. A retry would fail the same way.
REFUSALS = (
    "password authentication failed",
    # RDS says so to members of rds_iam, who log in with tokens only.
    "PAM authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "is not permitted to log in",
    "does not exist",
    "server does not support SSL",
    "invalid ",
    "definition of service",
)
# psycopg can parse only these formats of dates and intervals; the order of day and month stays.
READABLE = {"DateStyle": "ISO", "IntervalStyle": "postgres"}
GONE = ("08", "57P")
"""SQLSTATE classes of errors that end a connection."""
CONNECT_TIMEOUT = 5
"""Seconds for one attempt."""
# A new instance may need some seconds before it accepts connections.
CONNECT_PATIENCE = 20
"""Seconds for all attempts together."""


@dataclass(frozen=True)
class Login:
    """The endpoint of a database, and the credentials for it."""

    host: str
    port: int
    dbname: str
    sslmode: str
    username: str
    password: str = field(repr=False)
    given: Mapping[str, str] | None = field(default=None, repr=False)
    """Parameters of a connection string; if given, libpq gets these and no others."""
    by: tuple[str, int] | None = None
    """Local address and port of a tunnel to the database; the certificate still has to name `host`."""

    @property
    def describe(self) -> str:
        """Database, host and port, without credentials."""
        if self.given is None:
            return f"{self.dbname} on {self.host}:{self.port}"
        where = self.given.get("host") or self.given.get("hostaddr") or "this machine"
        port = f":{self.given['port']}" if "port" in self.given else ""
        named = self.dbname or self.given.get("service") or "of this user"
        return f"{named} on {where}{port}"

    @property
    def parameters(self) -> dict[str, str | int | None]:
        """Connection parameters for libpq."""
        if self.given is not None:
            return dict(self.given)
        address, port = self.by or (None, self.port)
        return {
            "host": self.host,
            "hostaddr": address,
            "port": port,
            "dbname": self.dbname,
            "user": self.username,
            "password": self.password,
            "sslmode": self.sslmode,
        }


def login_from_dsn(conninfo: str) -> Login:
    """Parse a connection string of libpq, which takes missing values from PG* variables or a service file.

    Raises UsageError, without the password, if the string is invalid.
    """
    import psycopg

    try:
        given = {key: str(value) for key, value in psycopg.conninfo.conninfo_to_dict(conninfo).items()}
    except psycopg.Error:
        raise UsageError(
            "--dsn is not a PostgreSQL connection string",
            'use --dsn "host=HOST port=5432 dbname=orders user=NAME", or postgresql://NAME@HOST:5432/orders',
        ) from None
    return Login(
        host=given.get("host", ""),
        port=int(given["port"]) if given.get("port", "").isdigit() else 0,
        dbname=given.get("dbname", ""),
        sslmode=given.get("sslmode", ""),
        username=given.get("user", ""),
        password=given.get("password", ""),
        given=given,
    )


@dataclass(frozen=True)
class EndpointShape:
    """Where a database is: the pointer secret."""

    host: str
    port: Port
    dbname: str
    credentials: str
    """The secret of the services."""
    sslmode: str = "verify-full"
    master: str = ""
    """The secret of the master user; empty where services log in as that user too."""


@dataclass(frozen=True)
class CredentialsShape:
    """The secret of a login: of the master user's, which RDS manages, or of the services'."""

    username: str
    password: str = field(repr=False)


def login_from_secret(aws: Aws, pointer: str) -> Login:
    """Read the pointer and the credentials that it names. Raises OrderopsError if a secret is missing or broken."""
    return _login(aws, _secret(aws, pointer, EndpointShape, f"orderops infra apply --env {aws.environment or 'NAME'}"))


def login_at_endpoint(aws: Aws, endpoint: Mapping[str, Any]) -> Login:
    """Read the credentials for an endpoint: host, port, dbname, sslmode, and the name of the credentials' secret."""
    try:
        return _login(aws, validated(dict(endpoint), EndpointShape))
    except Malformed as error:
        raise OrderopsError(f"the endpoint of the database {error}", "re-run this command") from None


def credentials_in(aws: Aws, secret: str, repair: str) -> CredentialsShape:
    """Read a secret with user name and password; `repair` is the command that writes a broken one again."""
    return _secret(aws, secret, CredentialsShape, repair)


def _login(aws: Aws, endpoint: EndpointShape) -> Login:
    secret = endpoint.master or endpoint.credentials
    credentials = credentials_in(aws, secret, f"aws secretsmanager rotate-secret --secret-id {shlex.quote(secret)}")
    return Login(
        host=endpoint.host,
        port=endpoint.port,
        dbname=endpoint.dbname,
        sslmode=endpoint.sslmode,
        username=credentials.username,
        password=credentials.password,
    )


Tunnel = Callable[[Login], AbstractContextManager[Login]]
"""Opens a tunnel to a database that this machine cannot reach, and yields the login through it."""


@contextmanager
def connect_by_access(
    aws: Aws, pointer: str, *, access: str, name: str, tunnel: Tunnel | None = None
) -> Iterator[Login]:
    """Yield a login to the database of an environment, by `[database] access` of its file.

    `direct` needs nothing and `tunnel` the given tunnel. With `task` this machine cannot connect, and an OrderopsError
    is raised before any call.
    """
    with route_to(lambda: login_from_secret(aws, pointer), access=access, name=name, tunnel=tunnel) as login:
        yield login


@contextmanager
def route_to(to: Callable[[], Login], *, access: str, name: str, tunnel: Tunnel | None = None) -> Iterator[Login]:
    """Yield a login to any database in the environment's network; `to` is called only if access is possible."""
    if access == "task" or (access == "tunnel" and tunnel is None):
        route = "a task inside the VPC" if access == "task" else "a tunnel through a running task"
        raise OrderopsError(
            f"the database of {name} is reached by {route} (access = {access!r}), but this command connects directly",
            f'on a machine inside the VPC: access = "direct" in [database] of {name}.toml, '
            'or --dsn "host=… dbname=… user=…"',
        )
    if access == "direct" or tunnel is None:
        yield to()
        return
    with tunnel(to()) as login:
        yield login


@contextmanager
def connect(to: Login, *, name: str = "orderops") -> Iterator[psycopg.Connection]:
    """Open an autocommit connection; `name` is its application_name in pg_stat_activity.

    Retries for CONNECT_PATIENCE seconds, except for untrusted certificates and rejected logins. Raises OrderopsError.
    """
    import psycopg

    retrying = Retrying(
        retry=retry_if_exception(
            lambda error: (
                isinstance(error, psycopg.OperationalError) and not (about_certificate(error) or is_refused(error))
            )
        ),
        stop=stop_after_delay(CONNECT_PATIENCE),
        wait=wait_random_exponential(multiplier=0.2, max=2),
        reraise=True,
    )
    try:
        connection = retrying(_connect, to, name)
    except psycopg.OperationalError as error:
        if about_certificate(error):
            raise why_untrusted(error, to.host, to.port, _roots(to)) from None
        reason = str(error).strip().splitlines()[-1]
        if is_refused(error):
            raise OrderopsError(f"database {to.describe} cannot be opened: {reason}", _login_hint(reason)) from None
        raise OrderopsError(
            f"no connection to database {to.describe} within {CONNECT_PATIENCE} s: {reason}",
            "close some of its connections; list them: select * from pg_stat_activity"
            if "too many" in reason or "connection slots" in reason
            else "check that it runs and that this machine can reach it: orderops status",
        ) from None
    try:
        with connection:
            try:
                yield connection
            except psycopg.errors.ReadOnlySqlTransaction as error:
                raise _refused_write(error, to, connection) from None
    except psycopg.Error as error:
        raise _failed(error, to) from None


def _refused_write(error: psycopg.Error, to: Login, connection: psycopg.Connection) -> OrderopsError:
    """Translate the refusal of a write while the session is open, which knows why."""
    from orderops.database.read_only import why_read_only

    return OrderopsError(_failed(error, to).message, why_read_only(connection))


def _failed(error: psycopg.Error, to: Login) -> OrderopsError:
    """Translate an error of a statement: the connection was lost, or the server's message."""
    state = error.sqlstate or ""
    reason = error.diag.message_primary or " ".join(str(error).split()) or "no answer"
    if not state or state.startswith(GONE):
        return OrderopsError(
            f"the connection to database {to.describe} was lost: {reason}",
            "re-run this command once the database is available again",
        )
    detail = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
    known = {
        "42501": f"{to.username} needs this privilege; the owner of the schema orderops_ledger has it",
        "42703": "if orderops did not create the schema orderops_ledger, rename that schema: alter schema … rename",
    }
    return OrderopsError(f"database {to.describe}: {reason}{detail}", known.get(state) or error.diag.message_hint or "")


def _login_hint(reason: str) -> str:
    if "SSL" in reason:
        return "the server may lack TLS; for one on this machine: sslmode=disable"
    if "invalid" in reason or "service" in reason:
        return "fix the connection string"
    return "check user, password and database, then re-run this command"


def is_refused(error: Exception) -> bool:
    """Whether the server is reachable and rejects the login."""
    return any(words in str(error) for words in REFUSALS)


def _connect(to: Login, name: str) -> psycopg.Connection:
    import psycopg

    fixed = {"client_encoding": "utf8", "application_name": name, "sslrootcert": _roots(to)}
    given: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT, **to.parameters, **fixed}
    # Autocommit: statements such as CREATE INDEX CONCURRENTLY cannot run in a transaction.
    connection = psycopg.connect(autocommit=True, **{key: value for key, value in given.items() if value is not None})
    for setting, value in READABLE.items():
        if not (connection.info.parameter_status(setting) or value).startswith(value):
            connection.execute("select set_config(%s, %s, false)", [setting, value])
    return connection


def _roots(to: Login) -> str | None:
    """Return the root certificates that the connection string names, else those for the host."""
    return (to.given or {}).get("sslrootcert") or trusted_roots(to.host, to.sslmode)


def _secret(aws: Aws, name: str, shape: type[T], repair: str) -> T:
    """Read a secret. No error repeats its value, since that may be a password."""
    try:
        response = aws.secretsmanager.get_secret_value(SecretId=name)
    except AwsError as error:
        if error.code == "ResourceNotFoundException":
            raise OrderopsError(
                f"the secret {name} does not exist", "create it with the infrastructure: orderops up"
            ) from None
        raise
    try:
        return validated(json_object(response.get("SecretString", "")), shape)
    except Malformed as error:
        raise OrderopsError(f"the secret {name} {error}", f"write it again: {repair}") from None
