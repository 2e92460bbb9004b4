"""An issuer of JSON web tokens on this machine: it serves its keys, and signs what a test asks for."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

Claims = Mapping[str, Any]


class TokenIssuer:
    """Signs tokens with RS256."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.key = generate_private_key(65537, 2048)

    def token(self, *, key: RSAPrivateKey | None = None, header: Claims | None = None, **claims: Any) -> str:
        """Return a token for the audience `orders` that is valid for a minute; claims of None are left out."""
        now = time.time()
        stated = {"iss": self.url, "aud": "orders", "exp": now + 60, "iat": now - 1, **claims}
        payload = {name: value for name, value in stated.items() if value is not None}
        signed = f"{_encoded({'alg': 'RS256', 'kid': 'one', **(header or {})})}.{_encoded(payload)}"
        signature = (key or self.key).sign(signed.encode(), PKCS1v15(), SHA256())
        return f"{signed}.{_base64(signature)}"

    @property
    def documents(self) -> Mapping[str, Claims]:
        """What it serves, by path."""
        numbers = self.key.public_key().public_numbers()
        modulus, exponent = (_base64(value.to_bytes(size, "big")) for value, size in ((numbers.n, 256), (numbers.e, 3)))
        key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "one", "n": modulus, "e": exponent}
        return {
            "/.well-known/openid-configuration": {"issuer": self.url, "jwks_uri": f"{self.url}/keys"},
            "/keys": {"keys": [key]},
        }


@contextmanager
def token_issuer() -> Iterator[TokenIssuer]:
    """Serve an issuer on a port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(issuer.documents[self.path]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = TokenIssuer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _encoded(document: Claims) -> str:
    return _base64(json.dumps(document).encode())


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
