"""Client of an image registry's HTTP API: digests, and copies of images without a builder.

`ORDEROPS_REGISTRY=host:port` replaces ECR's host by another registry, for emulators and mirrors. Images keep ECR's
names. A registry on this machine is used without TLS.
"""

from __future__ import annotations

import base64
import io
import json
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.client import HTTPException, HTTPResponse
from typing import IO, Any
from urllib.parse import urljoin

from orderops.errors import OrderopsError
from orderops.frozen import Frozen

INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
# Seconds without a byte from the registry.
SILENCE = 60.0


class Manifest(Frozen):
    """A manifest as the registry holds it: the digest of an image is that of these bytes."""

    raw: bytes
    kind: str

    @property
    def digest(self) -> str:
        """The digest under which the registry has it."""
        return digest_of(self.raw)

    @property
    def document(self) -> dict[str, Any]:
        """What it says."""
        return _parsed(self.raw, f"the manifest {self.digest}")


@dataclass(frozen=True)
class Repository:
    """A repository of a registry, with credentials."""

    host: str
    name: str
    user: str
    password: str = field(repr=False)

    @property
    def plain(self) -> bool:
        """Whether the registry is on this machine, and so used without TLS."""
        name = self.host.rpartition(":")[0] or self.host
        return name in ("localhost", "[::1]") or name.startswith("127.")

    def digest(self, reference: str) -> str | None:
        """Return the digest of the image with this tag or digest; None if the repository has no such image."""
        with self._request("HEAD", f"manifests/{reference}", accept=(*INDEXES, *MANIFESTS)) as answer:
            return None if answer is None else str(answer.headers["Docker-Content-Digest"])

    def manifest(self, reference: str) -> Manifest:
        """Return the manifest with this tag or digest. Raises OrderopsError if the repository has none."""
        found = self.manifest_if_any(reference)
        if found is None:
            raise OrderopsError(f"{self._named(reference)} does not exist", "choose an existing image")
        return found

    def manifest_if_any(self, reference: str) -> Manifest | None:
        """Return the manifest with this tag or digest; None if the repository has none."""
        with self._request("GET", f"manifests/{reference}", accept=(*INDEXES, *MANIFESTS)) as answer:
            return None if answer is None else Manifest(answer.read(), answer.headers.get_content_type())

    def put(self, manifest: Manifest, reference: str) -> None:
        """Store a manifest under a tag or its digest."""
        with self._request("PUT", f"manifests/{reference}", body=manifest.raw, kind=manifest.kind):
            pass

    def put_blob(self, content: bytes) -> None:
        """Store a blob, unless the repository has it."""
        digest = digest_of(content)
        with self._request("HEAD", f"blobs/{digest}") as existing:
            if existing is not None:
                return
        self._upload(digest, io.BytesIO(content), len(content))

    @contextmanager
    def blob(self, digest: str) -> Iterator[IO[bytes]]:
        """Open a blob for reading. Raises OrderopsError if the repository does not hold it."""
        with self._request("GET", f"blobs/{digest}") as answer:
            if answer is None:
                raise OrderopsError(f"{self.host}/{self.name} does not hold layer {digest}")
            yield answer

    def referrers(self, digest: str) -> list[dict[str, Any]] | None:
        """List the artifacts that refer to an image; None if the registry has no API for them.

        Whether there is one is asked of that API. The header OCI-Subject does not tell: ECR sent it before it had the
        API (sigstore/sigstore-js#1183).
        """
        with self._request("GET", f"referrers/{digest}", accept=INDEXES[:1]) as answer:
            if answer is None or answer.headers.get_content_type() != INDEXES[0]:
                return None
            return list(_parsed(answer.read(), f"referrers/{digest}").get("manifests") or ())

    def copy(self, source: Repository, digest: str, tag: str, say: Callable[[str], None]) -> None:
        """Copy an image byte for byte, so that its digest stays the same; existing layers are not sent again."""
        if self.digest(tag) == digest:
            return
        # The manifest stays unparsed bytes for the upload: its digest is computed over exactly these bytes.
        manifest = source.manifest(digest)
        document = manifest.document
        for inner in document["manifests"] if manifest.kind in INDEXES else ():
            self.copy(source, inner["digest"], inner["digest"], say)
        for blob in () if manifest.kind in INDEXES else (document["config"], *document["layers"]):
            self._copy_blob(source, blob["digest"], say)
        # Last: a registry rejects a manifest that refers to a layer which it does not hold yet.
        self.put(manifest, tag)

    def _named(self, reference: str) -> str:
        return f"{self.host}/{self.name}{'@' if reference.startswith('sha256:') else ':'}{reference}"

    def _copy_blob(self, source: Repository, digest: str, say: Callable[[str], None]) -> None:
        with self._request("HEAD", f"blobs/{digest}") as existing:
            if existing is not None:
                return
        with tempfile.TemporaryFile() as file:
            with source.blob(digest) as content:
                shutil.copyfileobj(content, file)
            size = file.tell()
            say(f"copying {digest} ({size / 1e6:.1f} MB)")
            file.seek(0)
            self._upload(digest, file, size)

    def _upload(self, digest: str, content: IO[bytes], size: int) -> None:
        location = self._next_location("POST", "blobs/uploads/")
        # Every response may move the upload to another URL.
        location = self._next_location("PATCH", location, body=content, kind="application/octet-stream", size=size)
        end = f"{location}{'&' if '?' in location else '?'}digest={digest}"
        with self._request("PUT", end):
            pass

    def _next_location(self, method: str, path: str, **more: Any) -> str:
        """Send a request and return the URL for the next one, from the Location header."""
        with self._request(method, path, **more) as answer:
            if answer is None:
                raise OrderopsError(f"{self.host} does not know {self.name}/{path}")
            return urljoin(answer.url, str(answer.headers["Location"]))

    @property
    def _opener(self) -> urllib.request.OpenerDirector:
        # Builders bypass the proxy for a registry on this machine too.
        return urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if self.plain else []))

    @contextmanager
    def _request(
        self,
        method: str,
        path: str,
        *,
        accept: tuple[str, ...] = (),
        body: bytes | IO[bytes] | None = None,
        kind: str = "",
        size: int | None = None,
    ) -> Iterator[HTTPResponse | None]:
        """Send one request; None if a GET or HEAD finds nothing."""
        headers = {
            "Accept": ", ".join(accept),
            "Content-Type": kind,
            "Content-Length": "" if size is None else str(size),
        }
        url = urljoin(f"{'http' if self.plain else 'https'}://{self.host}/v2/{self.name}/", path)
        request = urllib.request.Request(url, body, _nonempty(headers), method=method)
        # The registry redirects a layer's URL to a store (S3 for ECR), which rejects a request with a foreign login.
        login = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {login}")
        try:
            with self._opener.open(request, timeout=SILENCE) as answer:
                yield answer
        except urllib.error.HTTPError as error:
            if error.code == 404 and method in ("GET", "HEAD"):
                yield None
                return
            raise OrderopsError(
                f"{self.host}/{self.name}: {method} {path}: {error.code} {_reason(error)}",
                "check that these credentials may push to it, then re-run this command",
            ) from None
        except (OSError, HTTPException) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
            raise OrderopsError(
                f"the registry {self.host} does not answer: {reason}",
                "check the registry and the network, then re-run this command",
            ) from None


def digest_of(content: bytes) -> str:
    """Return the digest of a blob or a manifest."""
    return f"sha256:{sha256(content).hexdigest()}"


def _parsed(raw: bytes, what: str) -> dict[str, Any]:
    try:
        document = json.loads(raw)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise OrderopsError(f"{what} is not a JSON object", "check the registry, then re-run this command")
    return document


def _nonempty(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if value}


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        first = json.loads(error.read())["errors"][0]
        return f"{first['code']}: {first.get('message', '')}"
    except (OSError, ValueError, LookupError, TypeError):
        return str(error.reason)
