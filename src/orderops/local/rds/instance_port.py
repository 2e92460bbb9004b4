"""The port of a database instance: the server itself, or the gateway where logins by tokens of IAM are on."""

from __future__ import annotations

import threading
from collections.abc import Collection

from orderops.local.emulator.moto_models import DBInstance
from orderops.local.ports import HOST, free_port
from orderops.local.rds.certificates import certificate_file
from orderops.local.rds.directory import InstanceDirectory
from orderops.local.rds.gateway import Gateway
from orderops.local.rds.tokens import Endpoint, TokenCheck


class InstancePort:
    """Puts the server of an instance on the port of the instance, or behind it."""

    def __init__(
        self, instance: DBInstance, home: InstanceDirectory, region: str, lock: threading.RLock, tokens: TokenCheck
    ) -> None:
        self._instance = instance
        self._home = home
        self._region = region
        self._lock = lock
        self._tokens = tokens
        self._certificate = home.folder / "certificate.pem"
        self._gateway = Gateway(home.server, self._certificate, self._problem)

    @property
    def taken(self) -> set[int]:
        """The ports that the instance has."""
        return {self._gateway.port, self._home.server.port, self._instance.endpoint_port or 0} - {0}

    @property
    def lacks_gateway(self) -> bool:
        """True where clients need a gateway and have none: tokens were just turned on, or a daemon was killed."""
        return self._needs_gateway(self._instance.endpoint_port or 0) and not self._gateway.port

    def place(self, port: int, taken: Collection[int]) -> None:
        """Make the server, once it is started, answer on this port; other ports are `taken`. Raises PortTaken.

        AWS turns tokens on without a restart. Here the server moves, since it listens on the port itself before.
        """
        server = self._home.server
        if not self._needs_gateway(port):
            self._gateway.close()
            server.move_to(port)
            return
        if server.port in (0, port):
            server.stop()
            server.move_to(free_port(excluded={port, *taken}))
        certificate_file(self._certificate)
        self._gateway.open(port)

    def close(self) -> None:
        """Let clients find nobody at the port, as at an instance that is stopped."""
        self._gateway.close()

    def _needs_gateway(self, port: int) -> bool:
        server = self._home.server
        # Turned off, a server that runs elsewhere stays there until its next start, and its sessions with it.
        return self._takes_tokens or (server.port not in (0, port) and server.running)

    @property
    def _takes_tokens(self) -> bool:
        # moto keeps what a restore was given as text.
        return str(self._instance.iam_database_authentication_enabled).lower() == "true"

    def _problem(self, token: str, user: str) -> str:
        """Say why a token does not open the instance for a user; empty if it does."""
        with self._lock:
            resource = self._instance.dbi_resource_id
            at = Endpoint(HOST, self._gateway.port, self._region, resource, self._takes_tokens)
        return self._tokens.problem(token, user, at)
