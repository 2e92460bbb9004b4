"""Domain names of APIs on ports of this machine: TLS with a certificate of the laptop's authority, then the API."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from orderops.local.apigateway.wording import BY_NAME, forbidden
from orderops.local.elb.authority import Authority
from orderops.local.elb.tls import ListenerTls
from orderops.local.ports import listen, taken_text

FindApp = Callable[[str], ASGIApp | None]
"""Finds what answers the requests of an API, by its id."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServedName:
    """A domain name, the port of its own on which it answers, and the API that it leads to."""

    name: str
    port: int
    certificate: tuple[str, ...]
    """The names on its certificate."""
    api: str
    """The id of the API; "" while no mapping leads to one."""


class NamePorts:
    """All domain names of the account, each served by a thread."""

    def __init__(self, authority: Authority, find_app: FindApp) -> None:
        self._authority, self._find_app = authority, find_app
        self._servers: dict[str, _NameServer] = {}

    def update(self, names: list[ServedName]) -> None:
        """Serve exactly these names."""
        wanted = {name.name: name for name in names}
        for gone in [key for key, server in self._servers.items() if not server.serves(wanted.get(key))]:
            self._servers.pop(gone).close()
        for key, name in wanted.items():
            if key in self._servers:
                self._servers[key].name = name
                continue
            try:
                self._servers[key] = _NameServer(name, self._authority, self._find_app)
            except OSError:
                log.error("name %s: %s", key, taken_text(name.port))

    def close(self) -> None:
        for server in self._servers.values():
            server.close()
        self._servers.clear()


class _NameServer:
    def __init__(self, name: ServedName, authority: Authority, find_app: FindApp) -> None:
        self.name = name
        self._find_app = find_app
        sockets = [listen(name.port)]
        with suppress(OSError):
            # A name under localhost may resolve to ::1 first; a machine without IPv6 refuses to bind it.
            sockets.append(listen(name.port, "::1"))
        config = uvicorn.Config(self._handle, interface="asgi3", lifespan="off", ws="none", log_config=None)
        config.access_log = config.server_header = config.date_header = config.proxy_headers = False
        config.timeout_graceful_shutdown = 3
        config.load()
        # Read for each connection: another certificate has other names.
        config.ssl = ListenerTls(authority, lambda: [self.name.certificate]).context
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": sockets}, name=f"name {name.name}", daemon=True
        )
        self._thread.start()

    def serves(self, wanted: ServedName | None) -> bool:
        return wanted is not None and wanted.port == self.name.port

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=5)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        app = self._find_app(self.name.api)
        # AWS says no more of a name without a mapping.
        await (app or forbidden())({**scope, BY_NAME: self.name.name}, receive, send)
