"""Reads from PostgreSQL."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import psycopg
from psycopg.rows import class_row

from orderops.service.address import Address, AddressBook
from orderops.service.circuit import Away, Circuit, Unavailable
from orderops.service.pool import Connection, Pool

log = logging.getLogger(__name__)
Result = TypeVar("Result")

# Seconds. libpq accepts no shorter connect_timeout.
CONNECT_SECONDS = 2
STATEMENT_SECONDS = 5


@dataclass(frozen=True)
class User:
    """Row of the users table."""

    id: int
    name: str
    email: str
    created_at: datetime


class OrderStore:
    """Queries with limits on time and on the number of connections."""

    def __init__(
        self, book: AddressBook, *, pool_size: int, application_name: str = "order-processor", ca: Path | None = None
    ) -> None:
        self._book = book
        self._application_name = application_name
        self._ca = ca
        self._pool = Pool(self._log_in, pool_size)
        self._circuit = Circuit("database")

    def users(self, limit: int) -> list[User]:
        """Return the newest users."""
        query = "SELECT id, name, email, created_at FROM users ORDER BY id DESC LIMIT %s"

        def read(connection: Connection) -> list[User]:
            with connection.cursor(row_factory=class_row(User)) as cursor:
                return cursor.execute(query, (limit,)).fetchall()

        return self._run(read)

    def check(self) -> None:
        """Return when the database answers. Raises Unavailable."""
        self._run(lambda connection: connection.execute("SELECT 1"))

    def identity(self) -> str:
        """Return a hash that identifies the database without revealing its address."""

        def read(connection: Connection) -> str:
            connection.execute("SELECT 1")
            address_text = f"{connection.info.host}:{connection.info.port}/{connection.info.dbname}"
            return hashlib.sha256(address_text.encode()).hexdigest()[:12]

        return self._run(read)

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    def _run(self, work: Callable[[Connection], Result]) -> Result:
        return self._circuit.call(lambda: self._borrow(work))

    def _borrow(self, work: Callable[[Connection], Result]) -> Result:
        try:
            with self._pool.connection() as connection:
                return work(connection)
        except psycopg.Error as error:
            raise _translated(error) from error

    def _log_in(self) -> Connection:
        """Connect; after a rejected login, read the address again, since host and password can change."""
        address = self._book.address()
        try:
            return self._connect(address)
        except psycopg.OperationalError as error:
            new_address = self._book.after_failed_login(address)
            if new_address == address:
                raise Away(_login_error(error, address)) from error
        log.info("the address of the database changed: logging in at %s as %s", new_address, new_address.username)
        try:
            return self._connect(new_address)
        except psycopg.OperationalError as error:
            raise Away(_login_error(error, new_address)) from error

    def _connect(self, address: Address) -> Connection:
        if address.sslmode in ("verify-ca", "verify-full"):
            self._check_bundle(address.sslmode)
        return psycopg.connect(
            host=address.host,
            port=address.port,
            dbname=address.dbname,
            user=address.username,
            password=address.password,
            sslmode=address.sslmode,
            sslrootcert=str(self._ca) if self._ca else None,
            application_name=self._application_name,
            # Single statements need no transaction, and a connection in one cannot go back to the pool.
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            # The kernel notices a server that vanished; the statement timeout runs on the server and cannot.
            tcp_user_timeout=CONNECT_SECONDS * 1000,
            options=f"-c statement_timeout={STATEMENT_SECONDS}s",
        )

    def _check_bundle(self, sslmode: str) -> None:
        if not self._ca:
            raise Away(f"sslmode {sslmode} needs a CA bundle: set DATABASE_CA to the path of one")
        if not self._ca.is_file():
            raise Away(f"sslmode {sslmode} needs a CA bundle: {self._ca} does not exist in this image")


# libpq has no error codes for failed connections: its messages are all there is to tell them apart.
_LOGIN_REASONS = (
    ("password authentication failed", "the server at {address} rejects the password of {user}"),
    ("Connection refused", "no server listens at {address}"),
    ("timeout expired", "no answer from {address} within {seconds} s"),
    ("could not translate host name", "the host name {host} cannot be resolved"),
    ("failed to resolve host", "the host name {host} cannot be resolved"),
    ("the database system is starting up", "the server at {address} is starting up"),
    ("the database system is shutting down", "the server at {address} is shutting down"),
    ("too many clients", "the server at {address} has no free connection slot"),
    ("remaining connection slots", "the server at {address} has no free connection slot"),
    ("server does not support SSL", "the server at {address} offers no TLS, which sslmode requires"),
    ("certificate verify failed", "the certificate of {address} is not signed by the CA bundle in DATABASE_CA"),
)


def _login_error(error: psycopg.Error, address: Address) -> str:
    text = str(error)
    for pattern, reason in _LOGIN_REASONS:
        if pattern in text:
            return reason.format(address=address, host=address.host, user=address.username, seconds=CONNECT_SECONDS)
    return f"{address} rejects the login:  {_first_line(text)}"


def _translated(error: psycopg.Error) -> Unavailable:
    match error:
        case psycopg.errors.QueryCanceled():
            return Unavailable(f"the query took longer than {STATEMENT_SECONDS} s and was stopped")
        case psycopg.errors.UndefinedTable() | psycopg.errors.UndefinedColumn():
            return Unavailable(f"{_first_line(str(error))}: a migration is missing")
        case psycopg.errors.InsufficientPrivilege():
            return Unavailable(f"{_first_line(str(error))}: the login may not read it")
        case psycopg.OperationalError():
            return Away(f"the connection was lost:  {_first_line(str(error))}")
    return Unavailable(_first_line(str(error)))


def _first_line(text: str) -> str:
    line = re.split(r"[\r\n]", text.strip(), maxsplit=1)[0]
    return re.sub(r"^.*FATAL:\s+", "", line) or "no reason given"
