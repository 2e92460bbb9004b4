"""TLS of an HTTPS listener: the certificate that fits the name a client asks for (SNI), else the default one."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence

from orderops.local.elb.authority import Authority

Names = tuple[str, ...]


class ListenerTls:
    """Chooses among the certificates that the listener has at the moment, for each new connection."""

    def __init__(self, authority: Authority, certificates: Callable[[], Sequence[Names]]) -> None:
        """`certificates` returns the names on each certificate, the default one first."""
        self._authority = authority
        self._certificates = certificates
        self._contexts: dict[Names, ssl.SSLContext] = {}
        self.context = authority.context(certificates()[0])
        self.context.sni_callback = self._chosen

    def _chosen(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _context: ssl.SSLContext) -> None:
        available = self._certificates()
        names = next((names for names in available if name and _covers(names, name.lower())), available[0])
        if names not in self._contexts:
            self._contexts[names] = self._authority.context(names)
        connection.context = self._contexts[names]


def _covers(names: Names, name: str) -> bool:
    """Whether a certificate with these names is for this one; a wildcard stands for one label."""
    wildcard = f"*.{name.partition('.')[2]}"
    return name in names or wildcard in names
