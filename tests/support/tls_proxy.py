"""TLS proxy in front of a PostgreSQL server without TLS, and a certificate authority for it."""

from __future__ import annotations

import select
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

HOST = "127.0.0.1"
SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
YEAR = timedelta(days=365)


class Authority:
    """Private root certificate, like RDS's own."""

    def __init__(self, folder: Path, name: str = "test root") -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(self._name, self._name, self._key, datetime.now(UTC) + YEAR)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.bundle = folder / "root.pem"
        self.bundle.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def certificate(self, host: str, *, until: datetime | None = None) -> Path:
        """Return a file with a key and the certificate for a host name."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
        builder = _builder(subject, self._name, key, until or datetime.now(UTC) + YEAR)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        path = self.folder / f"{host}.pem"
        path.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            + builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)
        )
        return path


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - 2 * YEAR)
        .not_valid_after(until)
    )


@dataclass
class Front:
    """Address of the proxy, and the connections it has seen."""

    port: int
    connections: int = 0
    """Number of connections opened."""
    let_in: list[int] = field(default_factory=list)
    """Connections that sent data to the server."""


@contextmanager
def tls_front(server_port: int, certificate: Path) -> Iterator[Front]:
    """Run a loopback port that speaks TLS and forwards to the server's port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server((HOST, 0)) as listener:
        front = Front(listener.getsockname()[1])
        acceptor = threading.Thread(target=_wait, args=(listener, front, context, server_port), daemon=True)
        acceptor.start()
        try:
            yield front
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept()
            acceptor.join(5)


def _wait(listener: socket.socket, front: Front, context: ssl.SSLContext, server_port: int) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        front.connections += 1
        threading.Thread(
            target=_serve, args=(client, front, context, server_port, front.connections), daemon=True
        ).start()


def _serve(client: socket.socket, front: Front, context: ssl.SSLContext, server_port: int, number: int) -> None:
    client.settimeout(30)
    with client, suppress(OSError):
        while _code(client) == GSS_REQUEST:
            client.sendall(b"N")
        client.sendall(b"S")
        with (
            context.wrap_socket(client, server_side=True) as encrypted,
            socket.create_connection((HOST, server_port)) as server,
        ):
            first = encrypted.recv(65536)
            if first:
                front.let_in.append(number)
                server.sendall(first)
                _pass_on(encrypted, server)


def _code(client: socket.socket) -> int:
    """Return the code of the request that a client starts with: 8 bytes, a length and a number."""
    length, code = struct.unpack("!ii", client.recv(8, socket.MSG_WAITALL))
    if length != 8 or code not in (SSL_REQUEST, GSS_REQUEST):
        raise ConnectionError("not a request for TLS")
    return int(code)


def _pass_on(encrypted: ssl.SSLSocket, server: socket.socket) -> None:
    """Copy bytes in both directions until one side closes."""
    while True:
        ready = [encrypted] if encrypted.pending() else select.select([encrypted, server], [], [], 30)[0]
        if not ready:
            return
        for source in ready:
            data = source.recv(65536)
            if not data:
                return
            (server if source is encrypted else encrypted).sendall(data)
