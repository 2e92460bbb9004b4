"""Root certificates that a database server is verified with, and the reason why a server is not trusted.

RDS has its own root certificates, which no system's store contains. `roots/` holds AWS's bundle of each partition as
far as it comes with orderops; the image of the service holds the same files. A bundle is part of the sources and not
of a build or a run: AWS changes the file behind its URL whenever it opens a region, and equal sources have to make
equal images. Only for a region that `roots/` lacks is a bundle downloaded, into the user's data folder.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orderops.aws.partition import dns_suffix_of, partition_of
from orderops.aws.user_directory import user_directory
from orderops.errors import OrderopsError, UsageError

if TYPE_CHECKING:
    import ssl

    import psycopg

# Each partition has certificates of its own (RDS User Guide, "Using SSL/TLS to encrypt a connection to a DB instance").
SOURCES = {
    "aws": "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem",
    "aws-cn": "https://rds-truststore.s3.cn-north-1.amazonaws.com.cn/global/global-bundle.pem",
    "aws-us-gov": "https://truststore.pki.us-gov-west-1.rds.amazonaws.com/global/global-bundle.pem",
}
ROOTS = Path(__file__).parent / "roots"
"""A file for each partition, named like it."""
CHOSEN = "ORDEROPS_RDS_CA_BUNDLE"
# In a remote job: the certificates that the service's image holds, a file or a folder with a file for each partition.
OF_THE_SERVICE = "DATABASE_CA"
# NAME.HASH.ap-southeast-2.rds.amazonaws.com, and in China NAME.HASH.rds.cn-north-1.amazonaws.com.cn.
ENDPOINT = re.compile(
    r"[.](?:(?P<region>[a-z]+(?:-[a-z]+)+-[0-9]+)[.]rds|rds[.](?P<china>cn-[a-z]+-[0-9]+))[.](?P<suffix>[a-z0-9.-]+)"
)
SYSTEM = "system"
"""libpq's name for the machine's own certificate store."""
# AWS publishes new root certificates years before using them, so a month-old bundle still verifies every instance.
FRESH = timedelta(days=30)
# Without a pause, every connection of an offline machine would wait for a download that fails.
OFFLINE = timedelta(hours=1)
"""Time after a failed download during which the old bundle is used without another attempt."""
PATIENCE = 10
"""Timeout in seconds of a download or connection."""
SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
"""PostgreSQL's SSLRequest message: the length, eight bytes, and the request code 80877103."""
# Matches libpq's messages. The word "certificate" alone is not enough: a database or host may be named like that.
ABOUT_CERTIFICATES = re.compile(
    r"SSL error: [^\n]*(?:certificate|signature failure)|server certificate for |root certificate file"
)
EXPIRED, NOT_YET_VALID = 10, 9  # OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED and X509_V_ERR_CERT_NOT_YET_VALID


def trusted_roots(host: str, sslmode: str) -> str | None:
    """Return libpq's `sslrootcert` for a host. Raises OrderopsError if RDS's certificates are not available."""
    if sslmode != "verify-full":
        return None
    region = rds_region(host)
    return str(ca_bundle(region)) if region else SYSTEM


def ca_bundle(region: str, source: str = "", folder: Path | None = None) -> Path:
    """Return a file with RDS's CA certificates: configured, included, cached or downloaded. Raises OrderopsError."""
    name = bundle_name(region)
    if chosen := os.environ.get(CHOSEN) or os.environ.get(OF_THE_SERVICE):
        return _chosen(Path(os.path.expanduser(chosen)), name)  # noqa: PTH111  # Path.expanduser raises without a home
    if holds_roots(ROOTS / name, region):
        return ROOTS / name
    source = source or bundle_source(region)
    if not source:
        raise OrderopsError(
            "the CA certificates of RDS in this partition have no public address",
            f"name a file with them: export {CHOSEN}=FILE",
        )
    cached = (folder or _data_folder()) / f"rds-{name}"
    usable = _unusable(cached) is None
    if usable and time.time() - cached.stat().st_mtime < FRESH.total_seconds():
        return cached
    try:
        _store(_downloaded(source), cached)
    except (OSError, ValueError) as error:
        if not usable:
            raise OrderopsError(
                f"cannot download the CA certificates of RDS in {region}, which verify-full needs:"
                f" {source}: {_reason(error)}",
                _manual_download(source),
            ) from None
        _postpone_download(cached)
    return cached


def bundle_name(region: str) -> str:
    """Return the name of the file with the certificates of a region's partition."""
    return f"{partition_of(region)}.pem"


def bundle_source(region: str) -> str:
    """Return the URL at which AWS publishes that file; "" for a partition without one."""
    return SOURCES.get(partition_of(region), "")


def rds_region(host: str) -> str:
    """Return the region of an RDS endpoint; "" for another server."""
    match = ENDPOINT.search(host)
    if match is None:
        return ""
    region = match["region"] or match["china"]
    try:
        return region if host[match.start("suffix") :] == dns_suffix_of(region) else ""
    except UsageError:
        return ""


def holds_roots(file: Path, region: str) -> bool:
    """Whether a file has root certificates of RDS in this region."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(file)
    except (OSError, ssl.SSLError):
        return False
    names = [dict(pair for part in root["subject"] for pair in part).get("commonName", "") for root in _roots(context)]
    return any(name.startswith(f"Amazon RDS {region} Root CA") for name in names)


def about_certificate(error: BaseException) -> bool:
    """Whether a connection failed because of a certificate, so that a retry is useless."""
    return bool(ABOUT_CERTIFICATES.search(str(error)))


def why_untrusted(error: psycopg.OperationalError, host: str, port: int, roots: str | None) -> OrderopsError:
    """Explain why libpq rejected the certificate of a server, with a second connection to the server."""
    # libpq reports "certificate verify failed" both for an expired certificate and for an unknown issuer.
    libpq_reason = str(error).strip().splitlines()[0].rpartition("failed: ")[2]
    certificate = f"the certificate of {host}:{port}"
    if "does not match host name" in libpq_reason:
        return OrderopsError(
            f"{host}:{port} is not trusted: {libpq_reason}",
            "connect to the endpoint itself, not to an alias or address (orderops infra outputs);"
            " after a rename AWS needs some minutes to renew the certificate",
        )
    address = (error.pgconn.hostaddr.decode() if error.pgconn else "") or host
    code, reason = _verified(address, port, host, roots)
    if code in (EXPIRED, NOT_YET_VALID):
        return OrderopsError(
            f"{certificate} {'has expired' if code == EXPIRED else 'is not valid yet'}",
            f"compare this machine's clock: date -u; if the clock is right, renew the certificate: {_renewal(host)}",
        )
    if not code:
        return OrderopsError(
            f"{host}:{port} is not trusted: {libpq_reason}", f"show the certificate: {_show_command(host, port)}"
        )
    if roots == SYSTEM:
        return OrderopsError(
            f"{certificate} is not signed by a CA that this machine trusts: {reason}",
            f"show the certificate: {_show_command(host, port)}",
        )
    region = rds_region(host)
    source = (bundle_source(region) if region else "") or SOURCES["aws"]
    return OrderopsError(f"{certificate} is not signed by a CA in {roots}: {reason}", _manual_download(source))


def _roots(context: ssl.SSLContext) -> list[dict[str, Any]]:
    return context.get_ca_certs()


def _chosen(path: Path, name: str) -> Path:
    file = path / name if path.is_dir() else path
    if problem := _unusable(file):
        source = SOURCES.get(name.removesuffix(".pem")) if path.is_dir() else None
        source = source or SOURCES["aws"]
        raise OrderopsError(f"{CHOSEN}={file}: {problem}", f"{_manual_download(source)}; or unset {CHOSEN}")
    return file.absolute()


def _data_folder() -> Path:
    import platformdirs

    return user_directory(platformdirs.user_data_dir("orderops")) / "trust"


def _unusable(path: Path) -> str | None:
    """Return why this file cannot serve as root certificates, or None."""
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        # Also raised for a file without any certificate.
        return "the file has no PEM certificates"
    except OSError as error:
        return _reason(error)
    return None


def _downloaded(source: str) -> bytes:
    """Download the bundle. Raises OSError."""
    import urllib.request
    from http.client import HTTPException

    class NoRedirect(urllib.request.HTTPRedirectHandler):
        """Root certificates are accepted only from the documented URL."""

        def redirect_request(self, *_: object) -> None:
            return None

    try:
        with urllib.request.build_opener(NoRedirect).open(source, timeout=PATIENCE) as answer:
            bundle: bytes = answer.read()
            return bundle
    except HTTPException as error:
        # An incomplete response, or one that is not HTTP.
        raise OSError(str(error) or type(error).__name__) from None


def _store(bundle: bytes, path: Path) -> None:
    """Replace the cached bundle atomically. Raises OSError, or ValueError for an unusable bundle."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=path.parent)
    partial = Path(name)
    try:
        with open(number, "wb") as file:  # noqa: PTH123  # a file descriptor is not a path
            file.write(bundle)
        if problem := _unusable(partial):
            raise ValueError(problem)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _postpone_download(cached: Path) -> None:
    """Set the file's time so that the bundle counts as fresh for one more hour."""
    due = time.time() - (FRESH - OFFLINE).total_seconds()
    with suppress(OSError):
        os.utime(cached, (due, due))


def _verified(address: str, port: int, host: str, roots: str | None) -> tuple[int, str]:
    """Verify a PostgreSQL server's certificate; return OpenSSL's error code (0 for none) and message."""
    import socket
    import ssl

    try:
        context = _context(roots)
        with socket.create_connection((address, port), timeout=PATIENCE) as plain:
            # Servers before PostgreSQL 17 start TLS only after this request.
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


def _reason(error: Exception) -> str:
    """Return the system's message for an error."""
    # urllib wraps the system's error and adds brackets to its message.
    reason = getattr(error, "reason", None)
    inner = reason if isinstance(reason, OSError) else error
    words = inner.strerror if isinstance(inner, OSError) else ""
    return str(words or inner).strip()


def _manual_download(source: str) -> str:
    fetch = f"curl -o rds-ca.pem {source}"
    return f'download them on any machine and set {CHOSEN}: {fetch} && export {CHOSEN}="$PWD/rds-ca.pem"'


def _renewal(host: str) -> str:
    return (
        f"aws rds modify-db-instance --db-instance-identifier {host.partition('.')[0]}"
        " --ca-certificate-identifier rds-ca-rsa2048-g1 --apply-immediately"
        if rds_region(host)
        else "replace the server's ssl_cert_file"
    )


def _show_command(host: str, port: int) -> str:
    return f"openssl s_client -starttls postgres -connect {host}:{port} -verify_return_error </dev/null"
