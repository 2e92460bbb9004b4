"""A registry in this process, as the OCI Distribution Specification 1.1 describes one, with the habits of ECR.

Unlike docker-registry it has the API for referrers, and its tags are immutable. Both can be switched off.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from orderops.images.registry import Repository

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass
class SmallRegistry:
    """What the registry holds, by repository and name."""

    host: str = ""
    referrers_api: bool = True
    tags_for_digests: bool = False
    """Whether `sha256-HEX` is answered with the manifest `sha256:HEX`, as GitLab does."""
    blobs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], tuple[bytes, str]] = field(default_factory=dict)
    tags: dict[tuple[str, str], str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def repository(self, name: str) -> Repository:
        """The client of one of its repositories."""
        return Repository(self.host, name, "AWS", "password")

    def put_manifest(self, name: str, document: dict[str, Any], *tags: str) -> str:
        """Store a manifest and return its digest."""
        raw = json.dumps(document).encode()
        digest = digest_of(raw)
        self.manifests[name, digest] = (raw, document.get("mediaType", OCI_MANIFEST))
        for tag in tags:
            self.tags[name, tag] = digest
        return digest

    def put_blob(self, name: str, content: bytes) -> dict[str, Any]:
        """Store a blob and return its descriptor, without a media type."""
        self.blobs[name, digest_of(content)] = content
        return {"digest": digest_of(content), "size": len(content)}

    def put_image(self, name: str, *layers: bytes, labels: dict[str, str] | None = None, tag: str = "1") -> str:
        """Store an image of these layers and return its digest."""
        config = {"created": "2026-03-01T12:00:00Z", "config": {"Labels": labels or {}}}
        kind = "application/vnd.oci.image.layer.v1.tar+gzip"
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                **self.put_blob(name, json.dumps(config).encode()),
            },
            "layers": [{"mediaType": kind, **self.put_blob(name, layer)} for layer in layers],
        }
        return self.put_manifest(name, document, tag)

    def resolve(self, name: str, reference: str) -> tuple[bytes, str] | None:
        """The manifest with this tag or digest."""
        digest = self.tags.get((name, reference), reference)
        if self.tags_for_digests and digest.startswith("sha256-"):
            digest = digest.replace("-", ":")
        return self.manifests.get((name, digest))

    def referring(self, name: str, subject: str) -> dict[str, Any]:
        """The index of what refers to an image."""
        found = []
        for (repository, digest), (raw, kind) in self.manifests.items():
            document = json.loads(raw)
            if repository == name and document.get("subject", {}).get("digest") == subject:
                artifact = document.get("artifactType", "")
                found.append({"mediaType": kind, "digest": digest, "size": len(raw), "artifactType": artifact})
        return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}


def digest_of(content: bytes) -> str:
    """The digest of a blob or a manifest."""
    return f"sha256:{sha256(content).hexdigest()}"


@contextmanager
def small_registry() -> Iterator[SmallRegistry]:
    """Serve an empty registry."""
    registry = SmallRegistry()

    class Handler(_Handler):
        content = registry

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        registry.host = f"127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield registry
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    content: SmallRegistry

    def do_GET(self) -> None:
        name, what, reference = self._target()
        if what == "blobs":
            self._found(self.content.blobs.get((name, reference)), "application/octet-stream")
        elif what == "manifests":
            raw, kind = self.content.resolve(name, reference) or (None, "")
            self._found(raw, kind)
        elif what == "referrers" and self.content.referrers_api:
            self._found(json.dumps(self.content.referring(name, reference)).encode(), OCI_INDEX)
        else:
            self._answer(404)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self._answer(202, Location=f"{self.path}session")

    def do_PATCH(self) -> None:
        name = self._target()[0]
        self.content.blobs[name, "session"] = self._body()
        self._answer(202, Location=self.path)

    def do_PUT(self) -> None:
        name, what, reference = self._target()
        if what == "blobs":
            (digest,) = parse_qs(urlsplit(self.path).query)["digest"]
            content = self.content.blobs.pop((name, "session"))
            self.content.blobs[name, digest] = content
            self._answer(201 if digest_of(content) == digest else 400)
            return
        raw, kind = self._body(), self.headers["Content-Type"]
        digest = digest_of(raw)
        if reference != digest and self.content.tags.get((name, reference), digest) != digest:
            error = {"code": "TAG_INVALID", "message": f"The image tag '{reference}' already exists and is immutable"}
            self._answer(400, json.dumps({"errors": [error]}).encode())
            return
        self.content.manifests[name, digest] = (raw, kind)
        if reference != digest:
            self.content.tags[name, reference] = digest
        # ECR sent this header before it had the API (sigstore/sigstore-js#1183).
        self._answer(201, **{"OCI-Subject": json.loads(raw).get("subject", {}).get("digest", "")})

    def log_message(self, format: str, *args: Any) -> None:
        self.content.requests.append(f"{self.command} {urlsplit(self.path).path}")

    def _target(self) -> tuple[str, str, str]:
        path = urlsplit(self.path).path.removeprefix("/v2/")
        for what in ("manifests", "blobs", "referrers"):
            name, found, reference = path.partition(f"/{what}/")
            if found:
                return name, what, reference
        raise AssertionError(self.path)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _found(self, raw: bytes | None, kind: str) -> None:
        if raw is None:
            self._answer(404)
        else:
            self._answer(200, raw, **{"Content-Type": kind, "Docker-Content-Digest": digest_of(raw)})

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for header, value in headers.items():
            self.send_header(header.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
