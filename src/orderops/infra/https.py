"""Connections by HTTPS to the name of an environment; those of the laptop trust the laptop's own authority."""

from __future__ import annotations

import socket
import ssl
from http.client import HTTPSConnection

LAPTOP = ".localhost"


def https_connection(host: str, port: int, timeout: float) -> HTTPSConnection:
    """A connection, not yet open, that checks the certificate for this host; `timeout` is in seconds."""
    context = ssl.create_default_context()
    if not host.endswith(LAPTOP):
        return HTTPSConnection(host, port, timeout=timeout, context=context)
    # Imported only here, since a status on AWS comes by as well.
    from orderops.local.directories import data_directory

    authority = data_directory() / "authority.pem"
    if authority.is_file():
        context.load_verify_locations(authority)
    return _ToThisMachine(host, port, timeout, context)


class _ToThisMachine(HTTPSConnection):
    """For a name under localhost, which not every resolver leads to this machine (RFC 6761, section 6.3)."""

    def __init__(self, host: str, port: int, timeout: float, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=timeout, context=context)
        self._tls = context

    def connect(self) -> None:
        from orderops.local.ports import HOST

        plain = socket.create_connection((HOST, self.port), self.timeout)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)
