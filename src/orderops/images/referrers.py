"""Software bills of materials in a registry: artifacts that refer to their image, as the OCI specifications 1.1 say.

A registry without an API for referrers gets the index under the tag `sha256-HEX` instead (OCI Distribution
Specification, "Referrers Tag Schema"), where other programs look. Besides, the tag of a bill begins with `sbom-`: a
repository in ECR expires what has no tag, and that tag, put last, says that everything before it is done.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from orderops.errors import OrderopsError
from orderops.images.registry import INDEXES, MANIFESTS, Manifest, Repository, digest_of
from orderops.resources.ecr_repository import SBOM

CYCLONEDX = "application/vnd.cyclonedx+json"
# OCI Image Specification 1.1, "Guidance for an Empty Descriptor".
EMPTY = b"{}"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"


def sbom_tag(image: str) -> str:
    """Return the tag of the bill of the image with this digest."""
    return f"{SBOM}{image.removeprefix('sha256:')[:16]}"


def attach_sbom(repository: Repository, image: Manifest, content: bytes) -> str:
    """Attach a bill of materials to an image and return the digest of its artifact. Repeating it changes nothing."""
    artifact = _artifact(image, content)
    repository.put_blob(EMPTY)
    repository.put_blob(content)
    _put(repository, image.digest, artifact)
    return artifact.digest


def find_sbom(repository: Repository, image: str) -> Manifest | None:
    """Return the artifact with the bill of the image with this digest: that of orderops, else another program's."""
    own = repository.manifest_if_any(sbom_tag(image))
    if own and (own.document.get("subject") or {}).get("digest") == image:
        return own
    for descriptor in _referrers(repository, image):
        if descriptor.get("artifactType") == CYCLONEDX:
            return repository.manifest_if_any(str(descriptor.get("digest")))
    return None


def read_sbom(repository: Repository, artifact: Manifest) -> bytes:
    """Return the bill that an artifact holds. Raises OrderopsError if it is not what its manifest says."""
    for layer in artifact.document.get("layers") or ():
        if layer.get("mediaType") == CYCLONEDX:
            with repository.blob(layer["digest"]) as stream:
                content = stream.read()
            if digest_of(content) == layer["digest"]:
                return content
    raise OrderopsError(
        f"{repository.host}/{repository.name}@{artifact.digest} holds no readable bill of materials",
        "delete that artifact, then attach a new bill: orderops service build",
    )


def copy_sbom(source: Repository, target: Repository, image: str, say: Callable[[str], None]) -> None:
    """Copy the bill of an image, if it has one, to another repository that has the image."""
    artifact = find_sbom(source, image)
    if artifact:
        target.copy(source, artifact.digest, artifact.digest, say)
        _put(target, image, artifact)


def _artifact(image: Manifest, content: bytes) -> Manifest:
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFESTS[0],
        "artifactType": CYCLONEDX,
        "config": _descriptor(EMPTY_TYPE, EMPTY),
        "layers": [_descriptor(CYCLONEDX, content)],
        "subject": {"mediaType": image.kind, "digest": image.digest, "size": len(image.raw)},
    }
    return Manifest(json.dumps(document).encode(), MANIFESTS[0])


def _descriptor(kind: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest_of(content), "size": len(content)}


def _put(repository: Repository, image: str, artifact: Manifest) -> None:
    repository.put(artifact, artifact.digest)
    if repository.referrers(image) is None:
        _add_to_index(repository, image, artifact)
    if repository.digest(sbom_tag(image)) != artifact.digest:
        repository.put(artifact, sbom_tag(image))


def _referrers(repository: Repository, image: str) -> list[dict[str, Any]]:
    listed = repository.referrers(image)
    return _in_index(repository, image) if listed is None else listed


def _in_index(repository: Repository, image: str) -> list[dict[str, Any]]:
    """The referrers by tag."""
    index = repository.manifest_if_any(_index_tag(image))
    # GitLab takes the tag for the digest and answers with the image itself (oras-project/oras-go#1396).
    if index is None or index.kind != INDEXES[0] or index.digest == image:
        return []
    return list(index.document.get("manifests") or ())


def _add_to_index(repository: Repository, image: str, artifact: Manifest) -> None:
    entry: Mapping[str, Any] = {
        "mediaType": artifact.kind,
        "digest": artifact.digest,
        "size": len(artifact.raw),
        "artifactType": CYCLONEDX,
    }
    others = [other for other in _in_index(repository, image) if other.get("digest") != artifact.digest]
    document = {"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": [*others, entry]}
    repository.put(Manifest(json.dumps(document).encode(), INDEXES[0]), _index_tag(image))


def _index_tag(image: str) -> str:
    return image.replace(":", "-", 1)
