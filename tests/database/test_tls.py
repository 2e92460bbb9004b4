"""RDS's root certificates: download, cache, and the servers that they reject."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509

from orderops.aws.partition import partition_of
from orderops.database.connection import Login, connect
from orderops.database.tls import FRESH, OFFLINE, about_certificate, ca_bundle, rds_region, trusted_roots
from orderops.errors import OrderopsError
from orderops.local.ports import free_port
from orderops.local.rds.postgres import PostgresServer
from support.tls_proxy import HOST, Authority, Front, tls_front

CHOSEN = "ORDEROPS_RDS_CA_BUNDLE"

pytest_plugins = ["support.postgres_fixtures"]

# A region of a partition whose certificates do not come with orderops.
NEW_REGION = "us-gov-west-1"
ENDPOINT = "orders.c1a2b3.ap-southeast-2.rds.amazonaws.com"
YESTERDAY = datetime.now(UTC) - timedelta(days=1)


@dataclass
class Source:
    """The next response of the download server."""

    body: bytes
    status: int = 200
    length: int | None = None
    """The Content-Length header, if not the body's length."""
    requests: int = 0
    url: str = ""


@contextmanager
def source_of(body: bytes, certificate: Path | None = None) -> Iterator[Source]:
    """A web server on loopback; with a certificate it speaks HTTPS as localhost."""
    source = Source(body)

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            source.requests += 1
            self.send_response(source.status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(source.body) if source.length is None else source.length))
            self.end_headers()
            self.wfile.write(source.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((HOST, 0), Answer) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        source.url = f"{'https://localhost' if certificate else f'http://{HOST}'}:{server.server_port}/bundle.pem"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield source
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def _nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (CHOSEN, "DATABASE_CA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "root of RDS")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "somebody else")


@pytest.fixture
def source(authority: Authority) -> Iterator[Source]:
    with source_of(authority.bundle.read_bytes()) as served:
        yield served


def test_a_configured_bundle_is_used_without_a_download(
    authority: Authority, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CHOSEN, str(authority.bundle))

    assert ca_bundle(NEW_REGION, source.url, tmp_path / "trust") == authority.bundle
    assert source.requests == 0
    assert not (tmp_path / "trust").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "No such file or directory"),
        ("", "the file has no PEM certificates"),
        ("<html>not found</html>", "the file has no PEM certificates"),
        ("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "the file has no PEM certificates"),
    ],
    ids=["missing", "empty", "a page", "a broken certificate"],
)
def test_an_unusable_configured_bundle_is_an_error(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, words: str
) -> None:
    chosen = tmp_path / "chosen.pem"
    if text is not None:
        chosen.write_text(text)
    monkeypatch.setenv(CHOSEN, str(chosen))

    with pytest.raises(OrderopsError) as refused:
        ca_bundle(NEW_REGION, source.url, tmp_path / "trust")

    assert refused.value.message == f"ORDEROPS_RDS_CA_BUNDLE={chosen}: {words}"
    assert refused.value.hint.endswith("or unset ORDEROPS_RDS_CA_BUNDLE")
    assert source.requests == 0


def test_the_bundle_is_downloaded_once_and_writable_only_by_its_owner(
    authority: Authority, source: Source, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "trust"

    kept = ca_bundle(NEW_REGION, source.url, folder)

    assert kept.read_bytes() == authority.bundle.read_bytes()
    assert ca_bundle(NEW_REGION, source.url, folder) == kept
    assert source.requests == 1
    assert (folder.stat().st_mode & 0o777, kept.stat().st_mode & 0o777) == (0o700, 0o600)


def test_a_bundle_older_than_a_month_is_downloaded_again(
    authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    with source_of(authority.bundle.read_bytes()) as source:
        kept = aged(ca_bundle(NEW_REGION, source.url, tmp_path), FRESH - timedelta(minutes=1))
        assert ca_bundle(NEW_REGION, source.url, tmp_path).read_bytes() == authority.bundle.read_bytes()

        aged(kept, FRESH + timedelta(minutes=1))
        source.body = stranger.bundle.read_bytes()

        assert ca_bundle(NEW_REGION, source.url, tmp_path).read_bytes() == stranger.bundle.read_bytes()


def test_an_old_bundle_is_used_offline_and_a_download_tried_once_an_hour(
    authority: Authority, source: Source, tmp_path: Path
) -> None:
    kept = aged(ca_bundle(NEW_REGION, source.url, tmp_path), timedelta(days=400))
    source.status = 503

    for _ in range(3):
        assert ca_bundle(NEW_REGION, source.url, tmp_path).read_bytes() == authority.bundle.read_bytes()
    assert source.requests == 2

    aged(kept, age(kept) + OFFLINE)
    ca_bundle(NEW_REGION, source.url, tmp_path)
    assert source.requests == 3


def test_a_damaged_bundle_is_downloaded_again(authority: Authority, source: Source, tmp_path: Path) -> None:
    kept = ca_bundle(NEW_REGION, source.url, tmp_path)
    kept.write_bytes(kept.read_bytes()[:200])

    assert ca_bundle(NEW_REGION, source.url, tmp_path).read_bytes() == authority.bundle.read_bytes()


def wrong_page(source: Source) -> None:
    source.body = b"<html>Sign in to this network</html>"


def half(source: Source) -> None:
    source.length = 2 * len(source.body)


def gone(source: Source) -> None:
    source.status = 404


def moved(source: Source) -> None:
    source.status = 302


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (wrong_page, "the file has no PEM certificates"),
        (half, "IncompleteRead"),
        (gone, "HTTP Error 404: Not Found"),
        (moved, "HTTP Error 302: Found"),
    ],
)
def test_a_response_other_than_the_bundle_is_an_error_and_not_stored(
    source: Source, tmp_path: Path, wrong: Callable[[Source], None], words: str
) -> None:
    wrong(source)

    with pytest.raises(OrderopsError, match=words):
        ca_bundle(NEW_REGION, source.url, tmp_path / "trust")

    assert list((tmp_path / "trust").glob("*")) == []
    assert source.requests == 1


def test_the_hint_without_a_network_and_a_bundle_shows_a_manual_download(tmp_path: Path) -> None:
    url = f"http://{HOST}:{free_port()}/bundle.pem"

    with pytest.raises(OrderopsError) as refused:
        ca_bundle(NEW_REGION, url, tmp_path)

    what = f"the CA certificates of RDS in {NEW_REGION}, which verify-full needs"
    assert refused.value.message == f"cannot download {what}: {url}: Connection refused"
    assert f'curl -o rds-ca.pem {url} && export {CHOSEN}="$PWD/rds-ca.pem"' in refused.value.hint


def test_the_error_explains_why_a_bundle_cannot_be_stored(source: Source, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(OrderopsError, match="Not a directory"):
        ca_bundle(NEW_REGION, source.url, tmp_path / "file" / "trust")


def test_the_download_server_must_have_a_trusted_certificate(
    authority: Authority, stranger: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with source_of(authority.bundle.read_bytes(), stranger.certificate("localhost")) as source:
        with pytest.raises(OrderopsError, match="certificate verify failed"):
            ca_bundle(NEW_REGION, source.url, tmp_path)
        assert source.requests == 0

        monkeypatch.setenv("SSL_CERT_FILE", str(stranger.bundle))
        assert ca_bundle(NEW_REGION, source.url, tmp_path).read_bytes() == authority.bundle.read_bytes()


def test_concurrent_downloads_leave_one_complete_bundle(authority: Authority, source: Source, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = {
            path.read_bytes() for path in pool.map(lambda _: ca_bundle(NEW_REGION, source.url, tmp_path), range(8))
        }

    assert found == {authority.bundle.read_bytes()}
    assert [path.name for path in tmp_path.iterdir()] == ["rds-aws-us-gov.pem"]


def test_the_certificates_of_a_region_in_the_package_need_no_network(tmp_path: Path) -> None:
    url = f"http://{HOST}:{free_port()}/bundle.pem"

    found = ca_bundle("ap-southeast-2", url, tmp_path / "trust")

    assert found.name == "aws.pem"
    assert not (tmp_path / "trust").exists()


def test_the_package_holds_the_three_root_certificates_that_rds_has_in_each_region() -> None:
    roots = x509.load_pem_x509_certificates(ca_bundle("us-east-1").read_bytes())

    subjects = [root.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value for root in roots]
    regions = [str(subject).removeprefix("Amazon RDS ").partition(" Root CA ")[0] for subject in subjects]
    # rds-ca-rsa2048-g1, rds-ca-rsa4096-g1 and rds-ca-ecc384-g1 (RDS User Guide, "Certificate authorities").
    assert sorted(subjects) == sorted(
        f"Amazon RDS {region} Root CA {key} G1" for region in set(regions) for key in ("RSA2048", "RSA4096", "ECC384")
    )
    for root in roots:
        root.verify_directly_issued_by(root)
        assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        assert root.not_valid_after_utc > datetime.now(UTC) + timedelta(days=3650)


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("orders.c1.us-gov-east-1.rds.amazonaws.com", "https://truststore.pki.us-gov-west-1.rds.amazonaws.com/"),
        ("orders.c1.rds.cn-north-1.amazonaws.com.cn", "https://rds-truststore.s3.cn-north-1.amazonaws.com.cn/"),
        ("orders.c1.cn-northwest-1.rds.amazonaws.com.cn", "https://rds-truststore.s3.cn-north-1.amazonaws.com.cn/"),
        ("orders.c1.ap-southeast-99.rds.amazonaws.com", "https://truststore.pki.rds.amazonaws.com/"),
    ],
)
def test_certificates_that_the_package_lacks_come_from_the_trust_store_of_the_partition(
    host: str, source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    # Nothing listens on port 1: the download fails at once and names its source.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")

    with pytest.raises(OrderopsError) as refused:
        trusted_roots(host, "verify-full")

    assert f"which verify-full needs: {source}global/global-bundle.pem: " in refused.value.message


@pytest.mark.parametrize("host", ["db.example", "localhost", "rds.amazonaws.com", "db.rds.amazonaws.com.evil.example"])
def test_a_name_outside_rds_is_not_verified_with_the_certificates_of_rds(host: str) -> None:
    assert trusted_roots(host, "verify-full") == "system"


def test_a_folder_of_certificates_is_read_by_partition(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "aws-cn.pem").write_bytes(authority.bundle.read_bytes())
    monkeypatch.setenv("DATABASE_CA", str(tmp_path))

    assert ca_bundle("cn-north-1") == tmp_path / "aws-cn.pem"
    with pytest.raises(OrderopsError, match=r"aws-us-gov\.pem: No such file"):
        ca_bundle("us-gov-west-1")


@pytest.fixture
def log_in(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Login]:
    """Logins through a TLS front; every host name resolves to this machine."""
    monkeypatch.setenv("PGHOSTADDR", HOST)
    return lambda front, host=ENDPOINT: Login(
        host, front.port, "postgres", "verify-full", postgres.administrator, postgres.password
    )


def test_verify_full_accepts_a_certificate_signed_by_the_bundle(
    authority: Authority, postgres: PostgresServer, log_in: Callable[..., Login], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CHOSEN, str(authority.bundle))
    with tls_front(postgres.port, authority.certificate(ENDPOINT)) as front, connect(log_in(front)) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("postgres",)
        assert connection.pgconn.ssl_in_use
        assert front.let_in == [1]


def test_a_server_outside_rds_is_verified_with_the_machines_own_roots(
    authority: Authority,
    stranger: Authority,
    postgres: PostgresServer,
    log_in: Callable[..., Login],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(CHOSEN, str(authority.bundle))
    monkeypatch.setenv("SSL_CERT_FILE", str(stranger.bundle))
    with (
        tls_front(postgres.port, stranger.certificate("db.example")) as front,
        connect(log_in(front, "db.example")) as connection,
    ):
        assert connection.pgconn.ssl_in_use

    with tls_front(postgres.port, authority.certificate("db.example")) as front:
        refused = refusal(front, log_in(front, "db.example"))
    assert "is not signed by a CA that this machine trusts: unable to get local issuer certificate" in refused.message
    assert refused.hint.startswith(
        f"show the certificate: openssl s_client -starttls postgres -connect db.example:{front.port}"
    )


def test_a_certificate_of_another_issuer_is_rejected(
    authority: Authority,
    stranger: Authority,
    postgres: PostgresServer,
    log_in: Callable[..., Login],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(CHOSEN, str(authority.bundle))
    with tls_front(postgres.port, stranger.certificate(ENDPOINT)) as front:
        refused = refusal(front, log_in(front))

    reason = f"is not signed by a CA in {authority.bundle}: unable to get local issuer certificate"
    assert refused.message == f"the certificate of {ENDPOINT}:{front.port} {reason}"
    assert "curl -o rds-ca.pem https://truststore.pki.rds.amazonaws.com/" in refused.hint


def test_an_issuer_with_the_same_name_and_another_key_is_rejected(
    authority: Authority,
    postgres: PostgresServer,
    log_in: Callable[..., Login],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv(CHOSEN, str(authority.bundle))
    with tls_front(postgres.port, Authority(tmp_path, "root of RDS").certificate(ENDPOINT)) as front:
        assert "certificate signature failure" in refusal(front, log_in(front)).message


def test_a_certificate_for_another_host_name_is_rejected(
    authority: Authority, postgres: PostgresServer, log_in: Callable[..., Login], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CHOSEN, str(authority.bundle))
    other = ENDPOINT.replace("orders", "orders-old")
    with tls_front(postgres.port, authority.certificate(other)) as front:
        refused = refusal(front, log_in(front))

    reason = f'server certificate for "{other}" does not match host name "{ENDPOINT}"'
    assert refused.message == f"{ENDPOINT}:{front.port} is not trusted: {reason}"
    assert "orderops infra outputs" in refused.hint


def test_the_error_for_an_expired_certificate_names_the_expiry(
    authority: Authority, postgres: PostgresServer, log_in: Callable[..., Login], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CHOSEN, str(authority.bundle))
    with tls_front(postgres.port, authority.certificate(ENDPOINT, until=YESTERDAY)) as front:
        refused = refusal(front, log_in(front))

    assert refused.message == f"the certificate of {ENDPOINT}:{front.port} has expired"
    assert "date -u" in refused.hint
    assert "aws rds modify-db-instance --db-instance-identifier orders " in refused.hint


@pytest.mark.parametrize(
    ("message", "about"),
    [
        ('connection to server at "10.0.0.1", port 5432 failed: SSL error: certificate verify failed', True),
        ('port 5432 failed: root certificate file "/gone.pem" does not exist', True),
        ('port 5432 failed: FATAL:  database "certificates" does not exist', False),
        ("failed to resolve host 'certificates.example': [Errno -2] Name or service not known", False),
        ("port 5432 failed: SSL SYSCALL error: EOF detected", False),
    ],
)
def test_only_certificate_errors_are_not_retried(message: str, about: bool) -> None:
    assert about_certificate(OSError(message)) == about


def refusal(front: Front, login: Login) -> OrderopsError:
    """The error of a connection that fails at once, without sending or showing the password."""
    with pytest.raises(OrderopsError) as refused, connect(login):
        pass
    assert front.connections <= 2, "one for libpq, one to see what is wrong"
    assert front.let_in == []
    assert login.password not in refused.value.message + refused.value.hint
    return refused.value


def aged(path: Path, by: timedelta) -> Path:
    then = datetime.now(UTC).timestamp() - by.total_seconds()
    os.utime(path, (then, then))
    return path


def age(path: Path) -> timedelta:
    return datetime.now(UTC) - datetime.fromtimestamp(path.stat().st_mtime, UTC)


# RDS user guide, "Finding the connection information", of each partition. In China, the region follows `rds`.
@pytest.mark.parametrize(
    ("host", "partition"),
    [
        ("db.c1a2b3.ap-southeast-2.rds.amazonaws.com", "aws"),
        ("db.c1a2b3.us-gov-west-1.rds.amazonaws.com", "aws-us-gov"),
        ("db.c1a2b3.rds.cn-north-1.amazonaws.com.cn", "aws-cn"),
        ("db.c1a2b3.us-iso-east-1.rds.c2s.ic.gov", "aws-iso"),
        ("db.c1a2b3.ap-southeast-2.rds.amazonaws.com.example.com", ""),
        ("db.c1a2b3.rds.cn-north-1.amazonaws.com", ""),
        ("ap-southeast-2.example.com", ""),
        ("localhost", ""),
    ],
)
def test_the_endpoint_of_an_instance_shows_its_partition(host: str, partition: str) -> None:
    region = rds_region(host)

    assert (partition_of(region) if region else "") == partition


def test_a_partition_without_a_public_bundle_needs_a_file(
    monkeypatch: pytest.MonkeyPatch, authority: Authority
) -> None:
    host = "db.c1a2b3.us-iso-east-1.rds.c2s.ic.gov"

    with pytest.raises(OrderopsError) as refused:
        trusted_roots(host, "verify-full")
    monkeypatch.setenv("ORDEROPS_RDS_CA_BUNDLE", str(authority.bundle))

    assert refused.value.hint == "name a file with them: export ORDEROPS_RDS_CA_BUNDLE=FILE"
    assert trusted_roots(host, "verify-full") == str(authority.bundle)
