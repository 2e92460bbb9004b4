"""Which certificates a database server is trusted by, and what is wrong with one that is not.

RDS signs with roots of its own, which no system's store holds. They are kept in the user's data folder, and asked for
again once they are a month old: AWS adds new ones years before it uses them.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from orderops.errors import OrderopsError

if TYPE_CHECKING:
    import ssl

    import psycopg

SOURCE = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
CHOSEN = "ORDEROPS_RDS_CA_BUNDLE"
# In a remote job: the certificates that the service's image holds.
OF_THE_SERVICE = "DATABASE_CA"
RDS = ".rds.amazonaws.com"
SYSTEM = "system"
"""libpq's word for the certificates that the machine trusts anyway."""
FRESH = timedelta(days=30)
OFFLINE = timedelta(hours=1)
"""How long an old copy serves before the next try to get a new one."""
PATIENCE = 10
"""Seconds without an answer."""
SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
"""What a client of PostgreSQL begins with: eight bytes long, and the number that stands for TLS."""
ABOUT_CERTIFICATES = re.compile(
    r"SSL error: [^\n]*(?:certificate|signature failure)|server certificate for |root certificate file"
)
"""libpq's words. The word alone is not enough: a database may be called so."""
EXPIRED, NOT_YET_VALID = 10, 9  # OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED and X509_V_ERR_CERT_NOT_YET_VALID


def trusted_roots(host: str, sslmode: str) -> str | None:
    """libpq's `sslrootcert` for a host; raises OrderopsError when the certificates of RDS cannot be had."""
    if sslmode != "verify-full":
        return None
    return str(ca_bundle()) if host.endswith(RDS) else SYSTEM


def ca_bundle(source: str = SOURCE, folder: Path | None = None) -> Path:
    """A file with the CA certificates of RDS: the chosen one, a kept one, or one fetched now; else an OrderopsError."""
    if chosen := os.environ.get(CHOSEN) or os.environ.get(OF_THE_SERVICE):
        return _chosen(Path(os.path.expanduser(chosen)))  # noqa: PTH111  # Path's raises where there is no home
    kept = (folder or _data_folder()) / "rds-global-bundle.pem"
    usable = _unusable(kept) is None
    if usable and time.time() - kept.stat().st_mtime < FRESH.total_seconds():
        return kept
    try:
        _keep(_fetched(source), kept)
    except (OSError, ValueError) as error:
        if not usable:
            raise OrderopsError(
                f"no CA certificates of RDS, which verify-full needs: {source}: {_said(error)}", _by_hand(source)
            ) from None
        _ask_again_later(kept)
    return kept


def about_certificate(error: BaseException) -> bool:
    """Whether a connection failed for a certificate, so that no second try will do better."""
    return bool(ABOUT_CERTIFICATES.search(str(error)))


def why_untrusted(error: psycopg.OperationalError, host: str, port: int, roots: str | None) -> OrderopsError:
    """The refusal for a server whose certificate libpq did not take; it is asked for its certificate once more.

    libpq says only "certificate verify failed", be it expired or signed by a stranger.
    """
    said = str(error).strip().splitlines()[0].rpartition("failed: ")[2]
    whose = f"the certificate of {host}:{port}"
    if "does not match host name" in said:
        return OrderopsError(
            f"no trust in {host}:{port}: {said}",
            "connect to the endpoint itself, not to an alias or address (orderops infra outputs);"
            " after a rename AWS takes some minutes to renew it",
        )
    address = (error.pgconn.hostaddr.decode() if error.pgconn else "") or host
    code, reason = _verified(address, port, host, roots)
    if code in (EXPIRED, NOT_YET_VALID):
        return OrderopsError(
            f"{whose} {'has expired' if code == EXPIRED else 'is not valid yet'}",
            f"compare this machine's clock: date -u; if it is right, have a new one made: {_renewal(host)}",
        )
    if not code:
        return OrderopsError(f"no trust in {host}:{port}: {said}", f"see it: {_shown(host, port)}")
    if roots == SYSTEM:
        return OrderopsError(
            f"{whose} is signed by no CA that this machine trusts: {reason}", f"see it: {_shown(host, port)}"
        )
    return OrderopsError(f"{whose} is signed by no CA in {roots}: {reason}", _by_hand(SOURCE))


def _chosen(path: Path) -> Path:
    if wrong := _unusable(path):
        raise OrderopsError(f"{CHOSEN}={path}: {wrong}", f"{_by_hand(SOURCE)}; or unset {CHOSEN}")
    return path.absolute()


def _data_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir("orderops")) / "trust"


def _unusable(path: Path) -> str | None:
    """Why TLS could not trust by this file; nothing where it can."""
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:  # also for a file without any certificate
        return "it holds no certificates in PEM"
    except OSError as error:
        return _said(error)
    return None


def _fetched(source: str) -> bytes:
    """What stands there now; raises OSError."""
    import urllib.request
    from http.client import HTTPException

    class Here(urllib.request.HTTPRedirectHandler):
        """Roots come from where they are said to come from, and from nowhere else."""

        def redirect_request(self, *_: object) -> None:
            return None

    try:
        with urllib.request.build_opener(Here).open(source, timeout=PATIENCE) as answer:
            told: bytes = answer.read()
            return told
    except HTTPException as error:  # half of an answer, or none in HTTP
        raise OSError(str(error) or type(error).__name__) from None


def _keep(bundle: bytes, path: Path) -> None:
    """Put it where the kept one stands, whole or not at all; raises OSError, or ValueError for what is none."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=path.parent)
    half = Path(name)
    try:
        with open(number, "wb") as file:  # noqa: PTH123  # a number is no Path
            file.write(bundle)
        if wrong := _unusable(half):
            raise ValueError(wrong)
        half.replace(path)
    except BaseException:
        half.unlink(missing_ok=True)
        raise


def _ask_again_later(kept: Path) -> None:
    """Make the copy look fresh for an hour more: else every connection would wait for what cannot be reached."""
    due = time.time() - (FRESH - OFFLINE).total_seconds()
    with suppress(OSError):
        os.utime(kept, (due, due))


def _verified(address: str, port: int, host: str, roots: str | None) -> tuple[int, str]:
    """What OpenSSL finds wrong with the certificate that a PostgreSQL shows, as number and words; 0 for nothing."""
    import socket
    import ssl

    try:
        context = _context(roots)
        with socket.create_connection((address, port), timeout=PATIENCE) as plain:
            plain.sendall(SSL_REQUEST)
            if plain.recv(1) == b"S":
                context.wrap_socket(plain, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        return error.verify_code, error.verify_message
    except OSError:
        pass
    return 0, ""


def _context(roots: str | None) -> ssl.SSLContext:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if roots and roots != SYSTEM:
        context.load_verify_locations(roots)
    else:
        context.load_default_certs()
    return context


def _said(error: Exception) -> str:
    """The system's words where there are some: urllib wraps them, and adds brackets."""
    reason = getattr(error, "reason", None)
    inner = reason if isinstance(reason, OSError) else error
    words = inner.strerror if isinstance(inner, OSError) else ""
    return str(words or inner).strip()


def _by_hand(source: str) -> str:
    fetch = f"curl -o rds-ca.pem {source}"
    return f'fetch them where you can, and say where they are: {fetch} && export {CHOSEN}="$PWD/rds-ca.pem"'


def _renewal(host: str) -> str:
    return (
        f"aws rds modify-db-instance --db-instance-identifier {host.partition('.')[0]}"
        " --ca-certificate-identifier rds-ca-rsa2048-g1 --apply-immediately"
        if host.endswith(RDS)
        else "it is the server's ssl_cert_file"
    )


def _shown(host: str, port: int) -> str:
    return f"openssl s_client -starttls postgres -connect {host}:{port} -verify_return_error </dev/null"
