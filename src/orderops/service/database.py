"""Connections to PostgreSQL, with limits on time and number."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import psycopg

from orderops.service.address import Address, AddressBook
from orderops.service.circuit import Away, Circuit
from orderops.service.database_errors import after_login, after_query
from orderops.service.database_tokens import DatabaseTokens, LastLogin, Reconnects
from orderops.service.hurried_connection import HurriedConnection
from orderops.service.pool import Connection, Pool
from orderops.service.tracing import current

log = logging.getLogger(__name__)
Result = TypeVar("Result")
Opened = TypeVar("Opened", bound=Connection)

# Seconds. libpq accepts no shorter connect_timeout.
CONNECT_SECONDS = 2
STATEMENT_SECONDS = 5
MIGRATIONS = "select coalesce(max(version), 0), count(*) from orderops_ledger.migrations where state = 'applied'"

# Whom the database belongs to, and how many tables and views to another role; nothing of it names a role.
SCHEMA = """
SELECT pg_get_userbyid(d.datdba) = 'orderops_owner', (
  SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relowner <> d.datdba
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.deptype = 'e' AND e.classid = 'pg_class'::regclass
                  AND e.objid = c.oid))
FROM pg_database d WHERE d.datname = current_database()
"""


class OrderStore:
    """Queries with limits on time and on the number of connections."""

    def __init__(
        self,
        book: AddressBook,
        *,
        pool_size: int,
        application_name: str = "order-processor",
        ca: Path | None = None,
        tokens: DatabaseTokens | None = None,
    ) -> None:
        self._book = book
        self._tokens = tokens or DatabaseTokens(None)
        self._reconnects = Reconnects()
        self._last_login = LastLogin()
        self._application_name = application_name
        self._ca = ca
        self._pool = Pool(self._log_in, pool_size)
        self._circuit = Circuit("database")
        self._answered_at = float("-inf")

    def check(self, *, within: float = 0.0) -> None:
        """Return when the database answers, or did so within the last seconds. Raises Unavailable."""
        if time.monotonic() - self._answered_at > within:
            self.run(lambda connection: connection.execute("SELECT 1"))

    def about(self) -> tuple[str, dict[str, int] | None, dict[str, int | bool]]:
        """Return a hash that identifies the database without revealing its address, its migrations and its schema."""

        def read(connection: Connection) -> tuple[str, dict[str, int] | None, dict[str, int | bool]]:
            address_text = f"{connection.info.host}:{connection.info.port}/{connection.info.dbname}"
            identity = hashlib.sha256(address_text.encode()).hexdigest()[:12]
            return identity, _migrations(connection), _schema(connection)

        return self.run(read)

    @property
    def away(self) -> bool:
        """True while the database is known to be unreachable."""
        return self._circuit.open

    def waits(self) -> int:
        """Return how often a connection had to be waited for since the last call."""
        return self._pool.waits()

    def replicas(self) -> tuple[Address, ...]:
        """Return where replicas are said to be. Raises Away."""
        return self._known(self._book.address).replicas

    def connect_to_replica(self, host: str, port: int, *, statement_seconds: float) -> HurriedConnection:
        """Log in to a replica, outside of the pool. Raises Away."""
        address = replace(self._known(self._book.address), host=host, port=port)
        try:
            return self._open(address, HurriedConnection.connect, statement_seconds)
        except psycopg.OperationalError as error:
            raise after_login(error, address, CONNECT_SECONDS) from error

    def close(self) -> None:
        """Close all connections of the pool."""
        self._pool.close()

    def run(self, work: Callable[[Connection], Result]) -> Result:
        """Run work on a connection of the pool, outside of a transaction. Raises Unavailable or one of its kinds."""
        with current.get().asking("primary"):
            return self._circuit.call(lambda: self._borrow(work))

    def _borrow(self, work: Callable[[Connection], Result]) -> Result:
        try:
            with self._pool.connection() as connection:
                result = work(connection)
        except psycopg.Error as error:
            failure = after_query(error, STATEMENT_SECONDS)
            if isinstance(failure, Away):
                self._reconnects.lost()
            raise failure from error
        self._answered_at = time.monotonic()
        return result

    def _log_in(self) -> Connection:
        """Connect; after a rejected login, read the address again, since host and password can change."""
        address = self._known(self._book.address)
        try:
            return self._connect(address)
        except psycopg.OperationalError as error:
            new_address = self._known(lambda: self._book.after_failed_login(address))
            if new_address == address:
                return self._log_in_as_before(address, error)
        log.info("the address of the database changed: logging in at %s as %s", new_address, new_address.username)
        try:
            return self._connect(new_address)
        except psycopg.OperationalError as error:
            return self._log_in_as_before(new_address, error)

    def _log_in_as_before(self, address: Address, error: psycopg.OperationalError) -> Connection:
        """Connect by the login that was accepted last, where tokens are new and refused. Raises Away otherwise.

        IAM takes some seconds until every server knows a new permission.
        """
        self._reconnects.lost()
        reason = after_login(error, address, CONNECT_SECONDS)
        before = self._last_login.instead_of(address)
        if before is None:
            raise reason from error
        log.warning("%s; logging in as %s, as before", reason, before.username)
        try:
            return self._open(before, psycopg.connect, STATEMENT_SECONDS)
        except psycopg.OperationalError:
            raise reason from error

    def _known(self, read: Callable[[], Address]) -> Address:
        try:
            return read()
        except Away as error:
            raise Away(str(error), "its address or its login cannot be read from Secrets Manager") from None

    def _connect(self, address: Address) -> Connection:
        if address.by_token:
            self._reconnects.wait()
        connection = self._open(address, psycopg.connect, STATEMENT_SECONDS)
        self._last_login.accepted(address)
        return connection

    def _open(self, address: Address, connect: Callable[..., Opened], statement_seconds: float) -> Opened:
        """Log in to the primary or to a replica with what psycopg offers to connect."""
        if address.sslmode in ("verify-ca", "verify-full"):
            self._check_bundle(address.sslmode)
        if not address.by_token:
            return self._open_with(address, address.password, connect, statement_seconds)
        try:
            return self._open_with(address, self._tokens.token(address), connect, statement_seconds)
        except psycopg.OperationalError:
            self._tokens.forget()
            raise

    def _open_with(
        self, address: Address, password: str, connect: Callable[..., Opened], statement_seconds: float
    ) -> Opened:
        return connect(
            host=address.host,
            port=address.port,
            dbname=address.dbname,
            user=address.username,
            password=password,
            sslmode=address.sslmode,
            sslrootcert=str(self._ca) if self._ca else None,
            application_name=self._application_name,
            # Single statements need no transaction, and a connection in one cannot go back to the pool.
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            # The kernel notices a server that vanished; the statement timeout runs on the server and cannot.
            tcp_user_timeout=CONNECT_SECONDS * 1000,
            options=f"-c statement_timeout={round(statement_seconds * 1000)}ms",
        )

    def _check_bundle(self, sslmode: str) -> None:
        if not self._ca:
            reason = f"sslmode {sslmode} needs a CA bundle: set DATABASE_CA to the path of one"
            raise Away(reason, reason)
        if not self._ca.is_file():
            reason = f"sslmode {sslmode} needs a CA bundle: {self._ca} does not exist in this image"
            raise Away(reason, reason)


def _migrations(connection: Connection) -> dict[str, int] | None:
    """The newest migration that is applied, and how many are; None where this login cannot read that."""
    try:
        row = connection.execute(MIGRATIONS).fetchone()
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedTable):
        return None
    return {"version": row[0], "applied": row[1]} if row else None


def _schema(connection: Connection) -> dict[str, int | bool]:
    """Whether the database was handed over to a role that owns the schema, and how many tables it does not own."""
    row = connection.execute(SCHEMA).fetchone()
    assert row, "a session is in a database"
    return {"handed_over": row[0], "others": row[1]}
