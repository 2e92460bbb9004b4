"""What an image contains: its operating system and packages, read from the layers in the registry.

The layers are what runs, whichever builder made them, and no program of the image is executed.
"""

from __future__ import annotations

import re
import shlex
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from email.message import Message
from email.parser import HeaderParser
from typing import IO

from orderops.errors import OrderopsError
from orderops.frozen import Frozen
from orderops.images.builder import PLATFORM
from orderops.images.registry import INDEXES, Manifest, Repository

DPKG = re.compile(r"var/lib/dpkg/(status|status\.d/[^/]+)")
APK = re.compile(r"(usr/)?lib/apk/db/installed")
PYTHON = re.compile(r".+\.(dist-info/METADATA|egg-info/PKG-INFO)")
SYSTEM = ("etc/os-release", "usr/lib/os-release")
# In bytes; the longest file read, dpkg's, has 5 MB on a Debian with 10,000 packages.
LONGEST = 64 * 1024 * 1024
# OCI Image Specification, "Whiteouts".
WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"


class Package(Frozen, order=True):
    """A package in an image; `kind` is the type of its package URL."""

    kind: str
    name: str
    version: str
    architecture: str = ""
    license: str = ""


class Config(Frozen):
    """What the builder wrote down about an image."""

    labels: Mapping[str, str]
    created: str
    """Time, ISO 8601."""
    platform: str = ""
    """Operating system and architecture, such as linux/amd64; "" if it does not say."""


class Contents(Frozen):
    """The packages of an image."""

    packages: tuple[Package, ...]
    system: Mapping[str, str]
    """The fields of /etc/os-release."""
    config: Config


def config_of(repository: Repository, image: Manifest) -> Config:
    """Read the configuration of an image; of one for several platforms, that of the platform of the tasks."""
    manifest = _manifest_of(repository, image)
    described = manifest.document.get("config")
    if not isinstance(described, dict) or not isinstance(described.get("digest"), str):
        raise OrderopsError(f"{manifest.digest} is no image: its manifest names no configuration", "name an image")
    with repository.blob(described["digest"]) as stream:
        document = Manifest(stream.read(LONGEST), "").document
    given = document.get("config")
    labels = given.get("Labels") if isinstance(given, dict) else None
    parts = [document.get("os"), document.get("architecture")]
    platform = "/".join(str(part) for part in parts) if all(parts) else ""
    return Config(labels if isinstance(labels, dict) else {}, str(document.get("created") or ""), platform)


def contents_of(repository: Repository, image: Manifest) -> Contents:
    """Read the layers of an image; of one for several platforms, those of the platform of the tasks."""
    files: dict[str, bytes] = {}
    for layer in _manifest_of(repository, image).document["layers"]:
        with repository.blob(layer["digest"]) as stream:
            _apply(files, stream, layer)
    found = {package for path, content in files.items() for package in _packages(path, content)}
    return Contents(tuple(sorted(found)), _system(files), config_of(repository, image))


def _manifest_of(repository: Repository, image: Manifest) -> Manifest:
    return repository.manifest(_child(image)) if image.kind in INDEXES else image


def _child(image: Manifest) -> str:
    for child in image.document["manifests"]:
        platform = child.get("platform") or {}
        if f"{platform.get('os')}/{platform.get('architecture')}" == PLATFORM:
            return str(child["digest"])
    raise OrderopsError(f"the image {image.digest} has no part for {PLATFORM}", "build it for that platform")


def _apply(files: dict[str, bytes], stream: IO[bytes], layer: Mapping[str, str]) -> None:
    """Lay a layer over the files of those below it."""
    try:
        with tarfile.open(fileobj=stream, mode="r|*") as archive:
            for member in archive:
                path = member.name.removeprefix("./").strip("/")
                folder, _, name = path.rpartition("/")
                if name == OPAQUE:
                    _remove(files, folder, itself=False)
                elif name.startswith(WHITEOUT):
                    _remove(files, f"{folder}/{name.removeprefix(WHITEOUT)}".lstrip("/"), itself=True)
                elif member.isfile() and _is_read(path) and (content := archive.extractfile(member)):
                    files[path] = content.read(LONGEST)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise OrderopsError(
            f"layer {layer['digest']} ({layer.get('mediaType')}) cannot be read: {error}",
            "build the image with layers that are compressed with gzip",
        ) from None


def _is_read(path: str) -> bool:
    return path in SYSTEM or any(pattern.fullmatch(path) for pattern in (DPKG, APK, PYTHON))


def _remove(files: dict[str, bytes], path: str, *, itself: bool) -> None:
    for file in [file for file in files if file.startswith(f"{path}/") or (itself and file == path)]:
        del files[file]


def _packages(path: str, content: bytes) -> Iterator[Package]:
    text = content.decode(errors="replace")
    if DPKG.fullmatch(path):
        for entry in _paragraphs(text):
            # A removed package may stay in the list with its configuration files.
            if entry.get("Status", "ok installed").endswith(" installed") and entry.get("Package"):
                yield Package("deb", entry["Package"], entry.get("Version", ""), entry.get("Architecture", ""))
    elif APK.fullmatch(path):
        for entry in _paragraphs(text):
            if entry.get("P"):
                yield Package("apk", entry["P"], entry.get("V", ""), entry.get("A", ""), entry.get("L", ""))
    elif PYTHON.fullmatch(path):
        metadata = HeaderParser().parsestr(text)
        if metadata["Name"]:
            yield Package("pypi", metadata["Name"], metadata["Version"] or "", license=_license(metadata))


def _license(metadata: Message[str, str]) -> str:
    """The licence as an expression or a name; older packages put its whole text into the field."""
    text = str(metadata.get("License-Expression") or metadata.get("License") or "").strip()
    return text if "\n" not in text and len(text) <= 100 else ""


def _paragraphs(text: str) -> Iterator[dict[str, str]]:
    for paragraph in text.split("\n\n"):
        # A line that begins with a space continues the field before it; no field read here is longer than a line.
        lines = [line for line in paragraph.splitlines() if ":" in line and not line.startswith((" ", "\t"))]
        yield {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _system(files: Mapping[str, bytes]) -> dict[str, str]:
    text = next((files[path].decode(errors="replace") for path in SYSTEM if path in files), "")
    fields = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name: " ".join(shlex.split(value)) for name, _, value in fields}
