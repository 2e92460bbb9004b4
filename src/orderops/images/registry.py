"""A registry over HTTP: what digest it knows an image by, and copies of images without a builder.

`ORDEROPS_REGISTRY=host:port` puts another registry in the place of ECR's host, for emulators and for mirrors: images
are sent there under ECR's names and are still called by them. On this machine it is spoken to without TLS.
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
SILENCE = 60.0  # seconds


@dataclass(frozen=True)
class Repository:
    """A repository of a registry that these credentials open."""

    host: str
    name: str
    user: str
    password: str = field(repr=False)

    @property
    def plain(self) -> bool:
        """Whether its registry is on this machine, and so without TLS."""
        name = self.host.rpartition(":")[0] or self.host
        return name in ("localhost", "[::1]") or name.startswith("127.")

    def digest(self, reference: str) -> str | None:
        """The digest of the image with this tag or digest, or None when there is none."""
        with self._ask("HEAD", f"manifests/{reference}", accept=(*INDEXES, *MANIFESTS)) as answer:
            return None if answer is None else str(answer.headers["Docker-Content-Digest"])

    def copy(self, source: Repository, digest: str, tag: str, say: Callable[[str], None]) -> None:
        """Bring an image here byte for byte, so that its digest stays; what is here already is not sent again."""
        if self.digest(tag) == digest:
            return
        raw, kind = source._manifest(digest)
        told = json.loads(raw)
        for inner in told["manifests"] if kind in INDEXES else ():
            self.copy(source, inner["digest"], inner["digest"], say)
        for blob in () if kind in INDEXES else (told["config"], *told["layers"]):
            self._copy_blob(source, blob["digest"], say)
        with self._ask("PUT", f"manifests/{tag}", body=raw, kind=kind):
            pass

    def _manifest(self, digest: str) -> tuple[bytes, str]:
        with self._ask("GET", f"manifests/{digest}", accept=(*INDEXES, *MANIFESTS)) as answer:
            if answer is None:
                raise OrderopsError(f"{self.host}/{self.name}@{digest} is not there", "choose an image that is there")
            return answer.read(), answer.headers.get_content_type()

    def _copy_blob(self, source: Repository, digest: str, say: Callable[[str], None]) -> None:
        with self._ask("HEAD", f"blobs/{digest}") as there:
            if there is not None:
                return
        with tempfile.TemporaryFile() as held:
            with source._ask("GET", f"blobs/{digest}") as answer:
                if answer is None:
                    raise OrderopsError(f"{source.host}/{source.name} lacks its own layer {digest}")
                shutil.copyfileobj(answer, held)
            size = held.tell()
            say(f"copying {digest} ({size / 1e6:.1f} MB)")
            held.seek(0)
            self._upload(digest, held, size)

    def _upload(self, digest: str, content: IO[bytes], size: int) -> None:
        place = self._place("POST", "blobs/uploads/")
        place = self._place("PATCH", place, body=content, kind="application/octet-stream", size=size)
        end = f"{place}{'&' if '?' in place else '?'}digest={digest}"
        with self._ask("PUT", end):
            pass

    def _place(self, method: str, path: str, **more: Any) -> str:
        """Send a request whose answer says where the next one goes."""
        with self._ask(method, path, **more) as answer:
            if answer is None:
                raise OrderopsError(f"{self.host} does not know {self.name}/{path}")
            return urljoin(answer.url, str(answer.headers["Location"]))

    @property
    def _opener(self) -> urllib.request.OpenerDirector:
        """The way there: past any proxy on this machine, as builders go."""
        return urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if self.plain else []))

    @contextmanager
    def _ask(
        self,
        method: str,
        path: str,
        *,
        accept: tuple[str, ...] = (),
        body: bytes | IO[bytes] | None = None,
        kind: str = "",
        size: int | None = None,
    ) -> Iterator[HTTPResponse | None]:
        """One request; None when what it asks for is not there."""
        given = {"Accept": ", ".join(accept), "Content-Type": kind, "Content-Length": "" if size is None else str(size)}
        url = urljoin(f"{'http' if self.plain else 'https'}://{self.host}/v2/{self.name}/", path)
        request = urllib.request.Request(url, body, _said(given), method=method)
        # A layer's address often leads to a store that refuses a request with a login it does not know.
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
                "may these credentials push there? the same command again goes on",
            ) from None
        except (OSError, HTTPException) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
            raise OrderopsError(
                f"the registry {self.host} does not answer: {reason}",
                "is it there, and the network? the same command again goes on",
            ) from None


def _said(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if value}


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        told = json.loads(error.read())["errors"][0]
        return f"{told['code']}: {told.get('message', '')}"
    except (OSError, ValueError, LookupError, TypeError):
        return str(error.reason)
