"""Bills of materials in registries: attached, found, copied, whether or not a registry lists referrers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from orderops.errors import OrderopsError
from orderops.images.referrers import attach_sbom, copy_sbom, find_sbom, read_sbom
from support.fake_builders import silent
from support.small_registry import OCI_INDEX, OCI_MANIFEST, SmallRegistry, small_registry

NAME, OTHER = "orderops-dev-orders", "orderops-staging-orders"
CYCLONEDX = "application/vnd.cyclonedx+json"
BILL = b'{"bomFormat": "CycloneDX"}'


@pytest.fixture(params=[True, False], ids=["with the API", "without the API"])
def registry(request: pytest.FixtureRequest) -> Iterator[SmallRegistry]:
    """A registry that lists referrers, as ECR does, and one that does not, as docker-registry."""
    with small_registry() as served:
        served.referrers_api = request.param
        yield served


def attached(registry: SmallRegistry, image: str, content: bytes = BILL) -> str:
    repository = registry.repository(NAME)
    return attach_sbom(repository, repository.manifest(image), content)


def test_an_attached_bill_is_found_and_read(registry: SmallRegistry) -> None:
    image = registry.put_image(NAME)
    repository = registry.repository(NAME)
    assert find_sbom(repository, image) is None

    digest = attached(registry, image)

    artifact = find_sbom(repository, image)
    assert artifact is not None
    assert (artifact.digest, read_sbom(repository, artifact)) == (digest, BILL)


def test_the_tag_for_registries_without_the_api_is_put_only_there(registry: SmallRegistry) -> None:
    image = registry.put_image(NAME)

    digest = attached(registry, image)

    fallback = registry.resolve(NAME, image.replace(":", "-"))
    if registry.referrers_api:
        assert fallback is None
    else:
        assert fallback is not None
        (entry,) = json.loads(fallback[0])["manifests"]
        assert (fallback[1], entry["digest"], entry["artifactType"]) == (OCI_INDEX, digest, CYCLONEDX)


def test_attaching_the_same_bill_again_changes_nothing(registry: SmallRegistry) -> None:
    image = registry.put_image(NAME)

    assert attached(registry, image) == attached(registry, image)

    tag = f"sbom-{image.removeprefix('sha256:')[:16]}"
    assert [name for _, name in registry.tags if not name.startswith("sha256-")] == ["1", tag]


def test_a_bill_that_another_program_attached_is_found(registry: SmallRegistry) -> None:
    image = registry.put_image(NAME)
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": CYCLONEDX,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", **registry.put_blob(NAME, b"{}")},
        "layers": [{"mediaType": CYCLONEDX, **registry.put_blob(NAME, b"theirs")}],
        "subject": {"mediaType": OCI_MANIFEST, "digest": image, "size": 1},
    }
    theirs = registry.put_manifest(NAME, document)
    entry = {"mediaType": OCI_MANIFEST, "digest": theirs, "size": 1, "artifactType": CYCLONEDX}
    signature = {"mediaType": OCI_MANIFEST, "digest": image, "size": 1, "artifactType": "application/signature"}
    if not registry.referrers_api:
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [signature, entry]}
        registry.put_manifest(NAME, index, image.replace(":", "-"))
    repository = registry.repository(NAME)

    artifact = find_sbom(repository, image)

    assert artifact is not None
    assert read_sbom(repository, artifact) == b"theirs"


def test_an_image_in_place_of_its_referrers_is_no_list_of_them(registry: SmallRegistry) -> None:
    """GitLab answers the tag `sha256-HEX` with the image itself (oras-project/oras-go#1396)."""
    registry.tags_for_digests = True
    child = {"mediaType": OCI_MANIFEST, "digest": registry.put_image(NAME), "size": 1, "artifactType": CYCLONEDX}
    image = registry.put_manifest(NAME, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child]})

    assert find_sbom(registry.repository(NAME), image) is None


def test_a_bill_is_copied_with_its_digest(registry: SmallRegistry) -> None:
    image = registry.put_image(NAME)
    digest = attached(registry, image)
    source, target = registry.repository(NAME), registry.repository(OTHER)
    target.copy(source, image, "1", silent)

    copy_sbom(source, target, image, silent)

    artifact = find_sbom(target, image)
    assert artifact is not None
    assert (artifact.digest, read_sbom(target, artifact)) == (digest, BILL)


def test_nothing_is_copied_for_an_image_without_a_bill(registry: SmallRegistry) -> None:
    image = registry.put_image(NAME)

    copy_sbom(registry.repository(NAME), registry.repository(OTHER), image, silent)

    assert not any(name == OTHER for name, _ in registry.manifests)


def test_a_bill_that_is_not_what_its_manifest_says_is_refused(registry: SmallRegistry) -> None:
    image = registry.put_image(NAME)
    attached(registry, image)
    (key,) = [key for key, content in registry.blobs.items() if content == BILL]
    registry.blobs[key] = b"another"
    repository = registry.repository(NAME)
    artifact = find_sbom(repository, image)
    assert artifact is not None

    with pytest.raises(OrderopsError, match="holds no readable bill of materials"):
        read_sbom(repository, artifact)
