"""What an image contains, read from layers in a registry, and its bill of materials."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator

import pytest
from cyclonedx.schema import SchemaVersion
from packageurl import PackageURL

from orderops.errors import OrderopsError
from orderops.images.contents import Contents, contents_of
from orderops.images.sbom import bill_of_materials
from support.small_registry import OCI_INDEX, SmallRegistry, small_registry

NAME = "orderops-dev-orders"
SITE = "opt/service/lib/python3.12/site-packages"
URI = f"123456789012.dkr.ecr.ap-southeast-2.amazonaws.com/{NAME}"
DIGEST = "sha256:" + "a" * 64
BASE = "docker.io/library/python:3.12-slim"
BASE_DIGEST = "sha256:" + "b" * 64


@pytest.fixture
def registry() -> Iterator[SmallRegistry]:
    with small_registry() as served:
        yield served


def layer(files: dict[str, str], *, mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    # typeshed lists the modes one by one.
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for path, text in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def python(name: str, version: str, *more: str) -> str:
    return "\n".join(("Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *more, "", "A description."))


def read(registry: SmallRegistry, *layers: dict[str, str]) -> Contents:
    repository = registry.repository(NAME)
    digest = registry.put_image(NAME, *map(layer, layers))
    return contents_of(repository, repository.manifest(digest))


def names(contents: Contents) -> list[tuple[str, str, str]]:
    return [(package.kind, package.name, package.version) for package in contents.packages]


def test_packages_of_python_debian_and_alpine_are_found(registry: SmallRegistry) -> None:
    contents = read(
        registry,
        {
            f"./{SITE}/boto3-1.43.0.dist-info/METADATA": python("boto3", "1.43.0"),
            f"{SITE}/old-1.0.egg-info/PKG-INFO": python("old", "1.0"),
            "var/lib/dpkg/status": "Package: libc6\nStatus: install ok installed\nVersion: 2.36\n",
            # Distroless images have a file for each package, without a status.
            "var/lib/dpkg/status.d/tzdata": "Package: tzdata\nVersion: 2026a\n",
            "lib/apk/db/installed": "P:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\n\nP:zlib\nV:1.3\n",
        },
    )

    assert names(contents) == [
        ("apk", "musl", "1.2.5-r0"),
        ("apk", "zlib", "1.3"),
        ("deb", "libc6", "2.36"),
        ("deb", "tzdata", "2026a"),
        ("pypi", "boto3", "1.43.0"),
        ("pypi", "old", "1.0"),
    ]


def test_a_removed_package_of_debian_does_not_count(registry: SmallRegistry) -> None:
    status = "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n"

    assert names(read(registry, {"var/lib/dpkg/status": status})) == []


def test_an_upper_layer_replaces_and_deletes_what_is_below(registry: SmallRegistry) -> None:
    """OCI Image Specification, "Whiteouts"."""
    first = {
        f"{SITE}/a-1.dist-info/METADATA": python("a", "1"),
        f"{SITE}/b-1.dist-info/METADATA": python("b", "1"),
        f"{SITE}/c-1.dist-info/METADATA": python("c", "1"),
        "usr/lib/python3/dist-packages/d-1.dist-info/METADATA": python("d", "1"),
        "var/lib/dpkg/status": "Package: libc6\nVersion: 1\n",
    }
    second = {
        f"{SITE}/.wh.a-1.dist-info": "",
        f"{SITE}/b-1.dist-info/.wh.METADATA": "",
        "usr/lib/python3/dist-packages/.wh..wh..opq": "",
        "var/lib/dpkg/status": "Package: libc6\nVersion: 2\n",
    }

    assert names(read(registry, first, second)) == [("deb", "libc6", "2"), ("pypi", "c", "1")]


def test_of_an_image_for_several_platforms_the_one_of_the_tasks_is_read(registry: SmallRegistry) -> None:
    children = []
    for architecture in ("arm64", "amd64"):
        files = {f"{SITE}/x-1.dist-info/METADATA": python(architecture, "1")}
        digest = registry.put_image(NAME, layer(files), tag=architecture)
        platform = {"os": "linux", "architecture": architecture}
        kind = "application/vnd.oci.image.manifest.v1+json"
        children.append({"mediaType": kind, "digest": digest, "size": 1, "platform": platform})
    index = registry.put_manifest(NAME, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children})
    repository = registry.repository(NAME)

    assert names(contents_of(repository, repository.manifest(index))) == [("pypi", "amd64", "1")]


@pytest.mark.parametrize(
    "content",
    [b"(\xb5/\xfd and more of zstd", b"", b"\x1f\x8b\x08\x00 and no more of gzip"],
    ids=["zstd", "empty", "cut"],
)
def test_a_layer_that_is_no_archive_is_named(registry: SmallRegistry, content: bytes) -> None:
    repository = registry.repository(NAME)
    digest = registry.put_image(NAME, content)

    with pytest.raises(OrderopsError, match=r"layer sha256:[0-9a-f]{64} \(.*\) cannot be read"):
        contents_of(repository, repository.manifest(digest))


def bill(registry: SmallRegistry, files: dict[str, str], labels: dict[str, str]) -> bytes:
    repository = registry.repository(NAME)
    digest = registry.put_image(NAME, layer(files), labels=labels)
    return bill_of_materials(URI, DIGEST, contents_of(repository, repository.manifest(digest)))


def test_a_bill_is_valid_and_names_image_base_system_and_packages(registry: SmallRegistry) -> None:
    # Loads a grammar for every kind of address, for two seconds: not in each worker that collects this module.
    from cyclonedx.validation.json import JsonStrictValidator

    content = bill(
        registry,
        {
            f"{SITE}/starlette-1.dist-info/METADATA": python("starlette", "1.0", "License-Expression: BSD-3-Clause"),
            f"{SITE}/odd-1.dist-info/METADATA": python("odd", "1.0", "License: see the file"),
            f"{SITE}/nameless-1.dist-info/METADATA": "Metadata-Version: 2.1\n\n",
            "var/lib/dpkg/status": "Package: libc6\nArchitecture: amd64\nVersion: 2.36-9+deb12u13\n",
            "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n',
        },
        {
            "org.opencontainers.image.version": "1.4.0",
            "org.opencontainers.image.base.name": BASE,
            "org.opencontainers.image.base.digest": BASE_DIGEST,
        },
    )

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(content.decode()) is None
    document = json.loads(content)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    purl = PackageURL.from_string(document["metadata"]["component"]["purl"])
    assert (purl.type, purl.name, purl.version) == ("oci", NAME, DIGEST)
    assert purl.qualifiers == {"repository_url": URI, "tag": "1.4.0"}
    found = {component["name"]: component for component in document["components"]}
    assert found.keys() == {BASE, "debian", "libc6", "odd", "starlette"}
    assert (found[BASE]["type"], found[BASE]["version"]) == ("container", BASE_DIGEST)
    assert found["starlette"]["purl"] == "pkg:pypi/starlette@1.0"
    assert found["starlette"]["licenses"] == [{"license": {"id": "BSD-3-Clause"}}]
    assert found["odd"]["licenses"] == [{"license": {"name": "see the file"}}]
    assert found["libc6"]["purl"] == "pkg:deb/debian/libc6@2.36-9%2Bdeb12u13?arch=amd64&distro=debian-12"


def test_the_bill_of_an_image_is_the_same_every_time(registry: SmallRegistry) -> None:
    files = {f"{SITE}/a-1.dist-info/METADATA": python("a", "1"), f"{SITE}/b-1.dist-info/METADATA": python("b", "1")}

    assert bill(registry, files, {}) == bill(registry, dict(reversed(files.items())), {})
