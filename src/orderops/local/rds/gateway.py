"""The port of a database instance, in front of its server: TLS, and logins by tokens of IAM, as RDS offers both.

RDS builds both into the server. The PostgreSQL of the wheel has neither TLS nor PAM nor LDAP, and RADIUS cuts a token
off after 128 characters. So the gateway reads the beginning of each session: it asks members of rds_iam for a token,
and signs them in to the server by a password that only the gateway knows. All else is passed on as it is.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import ssl
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from socket import socket

import psycopg

from orderops.local.ports import HOST, PortTaken, listen
from orderops.local.rds import wire
from orderops.local.rds.postgres import PostgresServer
from orderops.local.rds.roles import set_password, takes_tokens

# Seconds, the default of PostgreSQL's authentication_timeout.
LOGIN_SECONDS = 60.0
PIECE = 65_536
log = logging.getLogger(__name__)


class Refusal(Exception):
    """What a client is told, in PostgreSQL's words."""

    def __init__(self, state: str, words: str) -> None:
        super().__init__(words)
        self.message = wire.fatal(state, words)


class Gateway:
    """Listens on the port of an instance. `problem` says why a token does not open it for a user: token, user."""

    def __init__(self, server: PostgresServer, certificate: Path, problem: Callable[[str, str], str]) -> None:
        self.port = 0
        self._server = server
        self._problem = problem
        self._certificate = certificate
        self._signing = threading.Lock()
        self._known: set[str] = set()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None

    def open(self, port: int) -> None:
        """Listen on the port; a gateway that does already is left alone. Raises PortTaken."""
        if self.port == port:
            return
        self.close()
        try:
            listening = listen(port)
        except OSError:
            hint = f"stop the program that listens on port {port}, or choose another port"
            raise PortTaken(port, "the database", hint) from None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate)
        begun = threading.Event()
        serving = self._serve(listening, context, begun)
        self._thread = threading.Thread(target=asyncio.run, args=(serving,), name=f"gateway {port}", daemon=True)
        self._thread.start()
        begun.wait()
        self.port = port

    def close(self) -> None:
        """End all sessions, and listen no more."""
        if self._thread and self._loop and self._ended:
            self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join()
        self._thread, self.port = None, 0

    async def _serve(self, listening: socket, context: ssl.SSLContext, begun: threading.Event) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        sessions: set[asyncio.Task[None]] = set()

        async def session(reader: StreamReader, writer: StreamWriter) -> None:
            task = asyncio.current_task()
            assert task, "a coroutine of a loop"
            sessions.add(task)
            try:
                await self._session(reader, writer, context)
            finally:
                sessions.discard(task)

        server = await asyncio.start_server(session, sock=listening)
        begun.set()
        await self._ended.wait()
        server.close()
        for task in list(sessions):
            task.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)

    async def _session(self, reader: StreamReader, writer: StreamWriter, context: ssl.SSLContext) -> None:
        try:
            with suppress(OSError, EOFError, TimeoutError):
                async with asyncio.timeout(LOGIN_SECONDS):
                    inner = await self._begin(reader, writer, context)
                passing = (_pass_on(reader, inner[1]), _pass_on(inner[0], writer))
                await asyncio.gather(*passing, return_exceptions=True)
        except (Refusal, wire.ServerRefused) as refusal:
            writer.write(refusal.message)
            with suppress(OSError):
                await writer.drain()
        finally:
            writer.close()

    async def _begin(
        self, reader: StreamReader, writer: StreamWriter, context: ssl.SSLContext
    ) -> tuple[StreamReader, StreamWriter]:
        """Log the client in, and return the connection to the server."""
        encrypted = False
        while True:
            code, startup = await wire.read_startup(reader)
            if code == wire.TLS_REQUEST and not encrypted:
                writer.write(b"S")
                await writer.start_tls(context)
                encrypted = True
            elif code in (wire.TLS_REQUEST, wire.GSS_REQUEST):
                writer.write(b"N")
            else:
                break
        try:
            inner = await asyncio.open_connection(HOST, self._server.port)
        except OSError:
            raise Refusal("57P03", "the database system is starting up") from None
        try:
            user = wire.parameters(startup).get("user", "")
            by_token = code != wire.CANCEL_REQUEST and await asyncio.to_thread(self._takes_tokens, user)
            if by_token:
                await self._check_token(reader, writer, startup, encrypted=encrypted)
            if by_token:
                await self._sign_in(inner, startup, user)
                writer.write(wire.authentication(wire.OK))
            else:
                inner[1].write(startup)
        except BaseException:
            inner[1].close()
            raise
        return inner

    async def _check_token(
        self, reader: StreamReader, writer: StreamWriter, startup: bytes, *, encrypted: bool
    ) -> None:
        stated = wire.parameters(startup)
        user, host = stated["user"], writer.get_extra_info("peername")[0]
        if not encrypted:
            database = stated.get("database", user)
            words = f'no pg_hba.conf entry for host "{host}", user "{user}", database "{database}", no encryption'
            raise Refusal("28000", words)
        writer.write(wire.authentication(wire.CLEARTEXT))
        token = await wire.read_password(reader)
        if problem := await asyncio.to_thread(self._problem, token, user):
            log.warning("the token of %s on port %d is refused: %s", user, self.port, problem)
            raise Refusal("28000", f'PAM authentication failed for user "{user}"')

    async def _sign_in(self, inner: tuple[StreamReader, StreamWriter], startup: bytes, user: str) -> None:
        password = hmac.digest(self._server.password.encode(), f"gateway for {user}".encode(), "sha256").hex()
        await asyncio.to_thread(self._make_known, user, password)
        # The server reads the role's password when this arrives.
        inner[1].write(startup)
        try:
            await wire.sign_in(*inner, password)
        except wire.ServerRefused:
            # Another password may have been set since.
            self._known.discard(user)
            raise

    def _make_known(self, user: str, password: str) -> None:
        with self._signing:
            if user not in self._known:
                # A replica has the passwords of its source, and so that of the gateway before the source.
                with suppress(psycopg.errors.ReadOnlySqlTransaction):
                    set_password(self._server, user, password)
                self._known.add(user)

    def _takes_tokens(self, user: str) -> bool:
        try:
            return takes_tokens(self._server, user)
        except psycopg.OperationalError:
            raise Refusal("57P03", "the database system is starting up") from None


async def _pass_on(reader: StreamReader, writer: StreamWriter) -> None:
    """Copy bytes until one side closes, and close the other."""
    try:
        while data := await reader.read(PIECE):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
