"""Connections to the environment's PostgreSQL, credentials included.

The way in is the pointer, a secret that says where the database is and which secret opens it. A password is read
when a connection is made and kept nowhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from orderops.aws.client import Aws
from orderops.database.tls import about_certificate, trusted_roots, why_untrusted
from orderops.errors import AwsError, OrderopsError, UsageError

if TYPE_CHECKING:
    import psycopg

REFUSALS = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "is not permitted to log in",
    "does not exist",
    "server does not support SSL",
    "invalid ",
    "definition of service",
)
READABLE = {"DateStyle": "ISO", "IntervalStyle": "postgres"}
"""How dates and intervals are written so that they can be read; the order of day and month stays."""
GONE = ("08", "57P")
"""The classes of errors that end a connection."""
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
    given: Mapping[str, str] | None = field(default=None, repr=False)
    """The parameters of a connection string, where one was given: then nothing else is said to libpq."""
    by: tuple[str, int] | None = None
    """Address and port at which it is reached in truth, where that is a tunnel; its certificate names `host`."""

    @property
    def describe(self) -> str:
        """Which database it is, without what opens it."""
        if self.given is None:
            return f"{self.dbname} on {self.host}:{self.port}"
        where = self.given.get("host") or self.given.get("hostaddr") or "this machine"
        port = f":{self.given['port']}" if "port" in self.given else ""
        named = self.dbname or self.given.get("service") or "of this user"
        return f"{named} on {where}{port}"

    @property
    def parameters(self) -> dict[str, str | int | None]:
        """What libpq is told."""
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
    """Read a connection string of libpq's; what it leaves out is libpq's own to find, in the environment or a service.

    Raises UsageError where it is none; the password in it is never repeated.
    """
    import psycopg

    try:
        given = {key: str(value) for key, value in psycopg.conninfo.conninfo_to_dict(conninfo).items()}
    except psycopg.Error:
        raise UsageError(
            "--dsn is no connection string of PostgreSQL's",
            'the form is --dsn "host=HOST port=5432 dbname=orders user=NAME", or postgresql://NAME@HOST:5432/orders',
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


def login_from_secret(aws: Aws, pointer: str) -> Login:
    """Read the pointer and the credentials that it names; raises OrderopsError when there are none."""
    return login_at_endpoint(aws, _secret(aws, pointer))


def login_at_endpoint(aws: Aws, where: Mapping[str, Any]) -> Login:
    """The login to what a pointer tells: host, port, dbname, sslmode, and the secret that holds the credentials."""
    credentials = _secret(aws, where["credentials"])
    return Login(
        host=where["host"],
        port=int(where["port"]),
        dbname=where["dbname"],
        sslmode=where.get("sslmode", "verify-full"),
        username=credentials["username"],
        password=credentials["password"],
    )


Tunnel = Callable[[Login], AbstractContextManager[Login]]
"""Opens a way to a database that this machine does not reach, and answers the login that leads through it."""


@contextmanager
def connect_by_access(
    aws: Aws, pointer: str, *, access: str, name: str, tunnel: Tunnel | None = None
) -> Iterator[Login]:
    """The way into the database of an environment, for as long as it is open; by `[database] access` of its file.

    `direct` needs nothing, `tunnel` the one that is given; `task` is no way in from this machine but a command that
    runs elsewhere, which is settled before anything is reached.
    """
    with route_to(lambda: login_from_secret(aws, pointer), access=access, name=name, tunnel=tunnel) as through:
        yield through


@contextmanager
def route_to(to: Callable[[], Login], *, access: str, name: str, tunnel: Tunnel | None = None) -> Iterator[Login]:
    """The same to any database that stands where the environment's does; its login is read once there is a way."""
    if access == "task" or (access == "tunnel" and tunnel is None):
        by = "a task inside the VPC" if access == "task" else "a tunnel through a running task"
        raise OrderopsError(
            f"the database of {name} is reached by {by} (access = {access!r}), and this command opens it from here",
            f'from a machine inside the VPC: access = "direct" in [database] of {name}.toml, '
            'or --dsn "host=… dbname=… user=…"',
        )
    if access == "direct" or tunnel is None:
        yield to()
        return
    with tunnel(to()) as through:
        yield through


@contextmanager
def connect(to: Login, *, name: str = "orderops") -> Iterator[psycopg.Connection]:
    """An autocommit connection, tried for a while; `name` is what pg_stat_activity shows.

    Raises OrderopsError where there is none, and at once for a certificate that is not to be trusted.
    """
    import psycopg

    tries = Retrying(
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
        connection = tries(_connect, to, name)
    except psycopg.OperationalError as error:
        if about_certificate(error):
            raise why_untrusted(error, to.host, to.port, _roots(to)) from None
        said = str(error).strip().splitlines()[-1]
        if is_refused(error):
            raise OrderopsError(f"database {to.describe} cannot be opened: {said}", _way_in(said)) from None
        raise OrderopsError(
            f"no connection to database {to.describe} within {CONNECT_PATIENCE} s: {said}",
            "end some of its connections; who they are: select * from pg_stat_activity"
            if "too many" in said or "connection slots" in said
            else "is it running, and can this machine reach it? orderops status",
        ) from None
    try:
        with connection:
            yield connection
    except psycopg.Error as error:
        raise _failed(error, to) from None


def _failed(error: psycopg.Error, to: Login) -> OrderopsError:
    """What the server said to a statement of ours, or that it says nothing any more."""
    state = error.sqlstate or ""
    said = error.diag.message_primary or " ".join(str(error).split()) or "no answer"
    if not state or state.startswith(GONE):
        return OrderopsError(
            f"the connection to database {to.describe} was lost: {said}",
            "the same command goes on once it is there again",
        )
    detail = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
    known = {
        "42501": f"may {to.username} do that there? The owner of the schema orderops may",
        "25006": "this server is read-only: is it a replica, or in recovery?",
        "42703": "is the schema orderops what orderops has made? Move it away if it is not: alter schema … rename",
    }
    return OrderopsError(f"database {to.describe}: {said}{detail}", known.get(state) or error.diag.message_hint or "")


def _way_in(said: str) -> str:
    if "SSL" in said:
        return "does this server speak TLS? One on this machine: sslmode=disable"
    if "invalid" in said or "service" in said:
        return "mend the connection string"
    return "is it the right user, password and database? They are read anew each time"


def is_refused(error: Exception) -> bool:
    """Whether the server is there and does not let us in; libpq gives no code for it while connecting."""
    return any(words in str(error) for words in REFUSALS)


def _connect(to: Login, name: str) -> psycopg.Connection:
    import psycopg

    settled = {"client_encoding": "utf8", "application_name": name, "sslrootcert": _roots(to)}
    given: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT, **to.parameters, **settled}
    connection = psycopg.connect(autocommit=True, **{key: value for key, value in given.items() if value is not None})
    for setting, value in READABLE.items():
        if not (connection.info.parameter_status(setting) or value).startswith(value):
            connection.execute("select set_config(%s, %s, false)", [setting, value])
    return connection


def _roots(to: Login) -> str | None:
    """The certificates that the connection string names, else those that fit the host."""
    return (to.given or {}).get("sslrootcert") or trusted_roots(to.host, to.sslmode)


def _secret(aws: Aws, name: str) -> dict[str, Any]:
    try:
        told = aws.secretsmanager.get_secret_value(SecretId=name)["SecretString"]
    except AwsError as error:
        if error.code == "ResourceNotFoundException":
            raise OrderopsError(f"no secret is named {name}", "make the infrastructure first: orderops up") from None
        raise
    return dict(json.loads(told))
