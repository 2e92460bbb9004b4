"""The laptop's own certificate authority: certificates of HTTPS listeners that a client can check."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

YEAR = timedelta(days=365)
# Lifetimes of public certificates shrink, and some clients refuse longer ones: browsers, more than 398 days.
LEAF = timedelta(days=90)
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "orderops laptop authority")])


class Authority:
    """An authority whose certificate is `authority.pem` in a folder, made at the first use and then kept."""

    def __init__(self, folder: Path) -> None:
        self._file, self._key_file = folder / "authority.pem", folder / "authority.key"

    def context(self, names: Sequence[str]) -> ssl.SSLContext:
        """TLS for a server with a new certificate for these names; its first one speaks for all."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        # ssl reads keys from files alone; this one is closed to others, and gone at once.
        with NamedTemporaryFile(suffix=".pem") as chain:
            chain.write(self._issued(names))
            chain.flush()
            context.load_cert_chain(chain.name)
        return context

    def _issued(self, names: Sequence[str]) -> bytes:
        issuer, certificate = self._own()
        key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        built = (
            _builder(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])]), key, LEAF)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
            .add_extension(usage, critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False)
        )
        return _pem(key) + built.sign(issuer, hashes.SHA256()).public_bytes(Encoding.PEM) + certificate

    def _own(self) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
        """The key and the certificate of the authority."""
        if not self._file.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            # Made with its mode before the key is written.
            self._key_file.touch(mode=0o600)
            self._key_file.write_bytes(_pem(key))
            self._file.write_bytes(_self_signed(key))
        loaded = load_pem_private_key(self._key_file.read_bytes(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        return loaded, self._file.read_bytes()


def _self_signed(key: ec.EllipticCurvePrivateKey) -> bytes:
    usage = {"digital_signature", "key_cert_sign", "crl_sign"}
    others = {"content_commitment", "key_encipherment", "data_encipherment", "key_agreement"}
    flags = {flag: flag in usage for flag in usage | others | {"encipher_only", "decipher_only"}}
    built = (
        _builder(NAME, key, 10 * YEAR)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(**flags), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return built.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey, lifetime: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + lifetime)
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
