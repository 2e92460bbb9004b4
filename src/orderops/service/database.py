"""The service's door to PostgreSQL."""

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
Answer = TypeVar("Answer")

CONNECT_SECONDS = 2
STATEMENT_SECONDS = 5


@dataclass(frozen=True)
class User:
    """One row of the users table."""

    id: int
    name: str
    email: str
    created_at: datetime


class OrderStore:
    """Asks the database, within bounded time and over a bounded number of connections."""

    def __init__(
        self, book: AddressBook, *, pool_size: int, application_name: str = "order-processor", ca: Path | None = None
    ) -> None:
        self._book = book
        self._application_name = application_name
        self._ca = ca
        self._pool = Pool(self._log_in, pool_size)
        self._circuit = Circuit("database")

    def users(self, limit: int) -> list[User]:
        """List the newest users."""
        query = "SELECT id, name, email, created_at FROM users ORDER BY id DESC LIMIT %s"

        def read(connection: Connection) -> list[User]:
            with connection.cursor(row_factory=class_row(User)) as cursor:
                return cursor.execute(query, (limit,)).fetchall()

        return self._ask(read)

    def check(self) -> None:
        """Return when the database answers."""
        self._ask(lambda connection: connection.execute("SELECT 1"))

    def identity(self) -> str:
        """Tell which database answers, in a form that gives no address away: the same for the same one."""

        def read(connection: Connection) -> str:
            connection.execute("SELECT 1")
            told = f"{connection.info.host}:{connection.info.port}/{connection.info.dbname}"
            return hashlib.sha256(told.encode()).hexdigest()[:12]

        return self._ask(read)

    def close(self) -> None:
        """Give all connections back."""
        self._pool.close()

    def _ask(self, work: Callable[[Connection], Answer]) -> Answer:
        return self._circuit.call(lambda: self._borrow(work))

    def _borrow(self, work: Callable[[Connection], Answer]) -> Answer:
        try:
            with self._pool.connection() as connection:
                return work(connection)
        except psycopg.Error as error:
            raise _explained(error) from error

    def _log_in(self) -> Connection:
        """Connect; when that is refused, read the address again: password and host change under a running task."""
        address = self._book.address()
        try:
            return self._connect(address)
        except psycopg.OperationalError as error:
            renewed = self._book.after(address)
            if renewed == address:
                raise Away(_why_no_login(error, address)) from error
        log.info("the address of the database changed: logging in at %s as %s", renewed, renewed.username)
        try:
            return self._connect(renewed)
        except psycopg.OperationalError as error:
            raise Away(_why_no_login(error, renewed)) from error

    def _connect(self, address: Address) -> Connection:
        if address.sslmode in ("verify-ca", "verify-full") and not self._ca:
            raise Away(f"sslmode {address.sslmode} needs a CA bundle: set DATABASE_CA to the path of one")
        return psycopg.connect(
            host=address.host,
            port=address.port,
            dbname=address.dbname,
            user=address.username,
            password=address.password,
            sslmode=address.sslmode,
            sslrootcert=str(self._ca) if self._ca else None,
            application_name=self._application_name,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            # A server that vanished without a word is noticed by the kernel, as no statement timeout would tell.
            tcp_user_timeout=CONNECT_SECONDS * 1000,
            options=f"-c statement_timeout={STATEMENT_SECONDS}s",
        )


_LOGIN_REASONS = (
    ("password authentication failed", "the server at {address} refuses the password of {user}"),
    ("Connection refused", "no server listens at {address}"),
    ("timeout expired", "nothing answers at {address} within {seconds} s"),
    ("could not translate host name", "the host name {host} is not known"),
    ("failed to resolve host", "the host name {host} is not known"),
    ("the database system is starting up", "the server at {address} is starting up"),
    ("the database system is shutting down", "the server at {address} is shutting down"),
    ("too many clients", "the server at {address} has no free connection slot"),
    ("remaining connection slots", "the server at {address} has no free connection slot"),
    ("server does not support SSL", "the server at {address} offers no TLS, which sslmode asks for"),
    ("certificate verify failed", "the certificate of {address} is not signed by the CA bundle in DATABASE_CA"),
)


def _why_no_login(error: psycopg.Error, address: Address) -> str:
    text = str(error)
    for words, reason in _LOGIN_REASONS:
        if words in text:
            return reason.format(address=address, host=address.host, user=address.username, seconds=CONNECT_SECONDS)
    return f"{address} turns the login away: {_first_line(text)}"


def _explained(error: psycopg.Error) -> Unavailable:
    match error:
        case psycopg.errors.QueryCanceled():
            return Unavailable(f"the query took longer than {STATEMENT_SECONDS} s and was stopped")
        case psycopg.errors.UndefinedTable() | psycopg.errors.UndefinedColumn():
            return Unavailable(f"{_first_line(str(error))}: a migration is missing")
        case psycopg.errors.InsufficientPrivilege():
            return Unavailable(f"{_first_line(str(error))}: the login may not read it")
        case psycopg.OperationalError():
            return Away(f"the connection broke: {_first_line(str(error))}")
    return Unavailable(_first_line(str(error)))


def _first_line(text: str) -> str:
    line = re.split(r"[\r\n]", text.strip(), maxsplit=1)[0]
    return re.sub(r"^.*FATAL:\s+", "", line) or "no reason given"
