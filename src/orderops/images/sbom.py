"""The software bill of materials of an image, in CycloneDX 1.6."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from orderops.images.contents import Contents, Package
from orderops.images.recipe import BASE_DIGEST, BASE_NAME, VERSION

# Any constant will do: it makes the serial number of a bill depend on the image alone.
NAMESPACE = uuid.UUID("6f1d2f0e-9d0a-4a53-9d6c-0f7d5f3f0c11")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def bill_of_materials(name: str, digest: str, contents: Contents) -> bytes:
    """Return the bill of the image with this digest; the same image always has the same bytes."""
    version = contents.config.labels.get(VERSION) or digest
    image = Component(
        type=ComponentType.CONTAINER, name=name, version=version, bom_ref=digest, purl=_oci(name, digest, version)
    )
    bom = Bom(
        components=_components(contents),
        metadata=BomMetaData(component=image, timestamp=_time(contents.config.created)),
        serial_number=uuid.uuid5(NAMESPACE, digest),
    )
    bom.register_dependency(image, bom.components)
    return JsonV1Dot6(bom).output_as_string(indent=2).encode()


def _components(contents: Contents) -> Iterator[Component]:
    base, digest = contents.config.labels.get(BASE_NAME), contents.config.labels.get(BASE_DIGEST)
    if base:
        yield Component(
            type=ComponentType.CONTAINER,
            name=base,
            version=digest,
            bom_ref=f"base:{base}",
            purl=_oci(base, digest, "") if digest else None,
        )
    system = contents.system
    if system.get("ID"):
        yield Component(
            type=ComponentType.OPERATING_SYSTEM,
            name=system["ID"],
            version=system.get("VERSION_ID"),
            description=system.get("PRETTY_NAME"),
            bom_ref=f"os:{system['ID']}",
        )
    for package in contents.packages:
        purl = _purl(package, system)
        yield Component(
            type=ComponentType.LIBRARY,
            name=package.name,
            version=package.version or None,
            purl=purl,
            bom_ref=purl.to_string(),
            licenses=[LicenseFactory().make_from_string(package.license)] if package.license else None,
        )


def _purl(package: Package, system: Mapping[str, str]) -> PackageURL:
    if package.kind == "pypi":
        return PackageURL("pypi", name=package.name, version=package.version or None)
    release = "-".join(part for part in (system.get("ID"), system.get("VERSION_ID")) if part)
    qualifiers = {"arch": package.architecture, "distro": release}
    return PackageURL(
        package.kind,
        namespace=system.get("ID") or None,
        name=package.name,
        version=package.version or None,
        qualifiers={name: value for name, value in qualifiers.items() if value},
    )


def _oci(name: str, digest: str | None, tag: str) -> PackageURL:
    # The type oci has no namespace: the repository is a qualifier (package-url/purl-spec, types/oci).
    qualifiers = {"repository_url": name, **({"tag": tag} if tag and tag != digest else {})}
    return PackageURL("oci", name=name.rpartition("/")[2].partition(":")[0], version=digest, qualifiers=qualifiers)


def _time(created: str) -> datetime:
    try:
        time = datetime.fromisoformat(created)
    except ValueError:
        return EPOCH
    return time if time.tzinfo else time.replace(tzinfo=UTC)
