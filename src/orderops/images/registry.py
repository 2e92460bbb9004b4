"""Client of an image registry's HTTP API: digests, and copies of images without a builder.

`ORDEROPS_REGISTRY=host:port` replaces ECR's host by another registry, for emulators and mirrors. Images keep ECR's
names. A registry on this machine is used without TLS.
"""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from typing import IO, Any
from urllib.parse import urljoin

from orderops.errors import OrderopsError

INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
# Seconds without a byte from the registry.
SILENCE = 60.0


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

    def copy(self, source: Repository, digest: str, tag: str, say: Callable[[str], None]) -> None:
        """Copy an image byte for byte, so that its digest stays the same; existing layers are not sent again."""
        if self.digest(tag) == digest:
            return
        # The manifest stays unparsed bytes for the upload: its digest is computed over exactly these bytes.
        raw, kind = source._manifest(digest)
        manifest = json.loads(raw)
        for inner in manifest["manifests"] if kind in INDEXES else ():
            self.copy(source, inner["digest"], inner["digest"], say)
        for blob in () if kind in INDEXES else (manifest["config"], *manifest["layers"]):
            self._copy_blob(source, blob["digest"], say)
        # Last: a registry rejects a manifest that refers to a layer which it does not hold yet.
        with self._request("PUT", f"manifests/{tag}", body=raw, kind=kind):
            pass

    def _manifest(self, digest: str) -> tuple[bytes, str]:
        with self._request("GET", f"manifests/{digest}", accept=(*INDEXES, *MANIFESTS)) as answer:
            if answer is None:
                raise OrderopsError(f"{self.host}/{self.name}@{digest} does not exist", "choose an existing image")
            return answer.read(), answer.headers.get_content_type()

    def _copy_blob(self, source: Repository, digest: str, say: Callable[[str], None]) -> None:
        with self._request("HEAD", f"blobs/{digest}") as existing:
            if existing is not None:
                return
        with tempfile.TemporaryFile() as file:
            with source._request("GET", f"blobs/{digest}") as answer:
                if answer is None:
                    raise OrderopsError(f"{source.host}/{source.name} does not hold layer {digest}")
                shutil.copyfileobj(answer, file)
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


def _nonempty(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if value}


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        first = json.loads(error.read())["errors"][0]
        return f"{first['code']}: {first.get('message', '')}"
    except (OSError, ValueError, LookupError, TypeError):
        return str(error.reason)
