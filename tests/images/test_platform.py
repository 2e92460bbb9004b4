"""An image that no task can start, in AWS's shapes and in a registry: it is gone, or for another platform."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.errors import OrderopsError
from orderops.images.ecr import opened_for_reading
from orderops.images.platform import why_unusable
from support.small_registry import SmallRegistry, small_registry

OK = SimpleNamespace(status_code=200)
INDEX = "application/vnd.oci.image.index.v1+json"
IMAGE = "application/vnd.oci.image.manifest.v1+json"
NAME = "orderops-dev-orders"
URI = f"123456789012.dkr.ecr.ap-southeast-2.amazonaws.com/{NAME}"
GONE = f"{URI}@sha256:" + "1" * 64


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallRegistry]:
    with small_registry() as served:
        monkeypatch.setenv("ORDEROPS_REGISTRY", served.host)
        yield served


def index(*platforms: str) -> dict[str, Any]:
    manifests = [
        {"digest": "sha256:1", "platform": dict(zip(("os", "architecture"), platform.split("/"), strict=True))}
        for platform in platforms
    ]
    return {"imageManifest": json.dumps({"manifests": manifests}), "imageManifestMediaType": INDEX}


@pytest.mark.parametrize(
    ("images", "why"),
    [
        ([], "is not in its repository any more"),
        ([index("linux/amd64", "linux/arm64")], ""),
        ([index("linux/arm64", "unknown/unknown")], "is for linux/arm64 only, and tasks run on linux/amd64"),
    ],
    ids=["deleted", "both", "arm"],
)
def test_an_image_has_to_be_there_and_for_the_platform_of_tasks(
    session: boto3.Session, aws: Aws, images: list[dict[str, Any]], why: str
) -> None:
    session.events.register("before-call.ecr.BatchGetImage", lambda **_: (OK, {"images": images}))

    assert why_unusable(aws, GONE) == why


def put(registry: SmallRegistry, config: dict[str, Any], kind: str = IMAGE) -> str:
    """An image of one platform, which only its configuration names (OCI Image Specification, "Image Configuration")."""
    described = registry.put_blob(NAME, json.dumps(config).encode())
    return f"{URI}@{registry.put_manifest(NAME, {'mediaType': kind, 'config': described, 'layers': []})}"


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"os": "linux", "architecture": "amd64"}, ""),
        (
            {"os": "linux", "architecture": "arm64", "variant": "v8"},
            "is for linux/arm64 only, and tasks run on linux/amd64",
        ),
        ({"os": "windows", "architecture": "amd64"}, "is for windows/amd64 only, and tasks run on linux/amd64"),
        ({"os": "linux", "architecture": "\x1b[31m"}, "is for linux/?[31m only, and tasks run on linux/amd64"),
        ({"created": "2026-03-01T12:00:00Z"}, ""),
        ({"os": "linux", "architecture": ""}, ""),
    ],
    ids=["amd", "arm", "windows", "hostile", "silent", "empty"],
)
@pytest.mark.parametrize("kind", [IMAGE, "application/vnd.docker.distribution.manifest.v2+json"], ids=["oci", "docker"])
def test_an_image_of_one_platform_names_it_in_its_configuration(
    aws: Aws, registry: SmallRegistry, config: dict[str, Any], why: str, kind: str
) -> None:
    assert why_unusable(aws, put(registry, config, kind)) == why


def test_a_registry_that_stands_in_for_ecr_is_asked_instead_of_it(aws: Aws, registry: SmallRegistry) -> None:
    assert why_unusable(aws, GONE) == "is not in its repository any more"
    assert why_unusable(aws, f"{URI}@{registry.put_image(NAME)}") == ""


@pytest.mark.parametrize("config", ["missing", {"digest": 3}, None, {"digest": "sha256:" + "2" * 64}])
def test_an_image_whose_configuration_cannot_be_read_is_left_to_ecs(
    aws: Aws, registry: SmallRegistry, config: object
) -> None:
    digest = registry.put_manifest(NAME, {"config": config, "layers": []})

    assert why_unusable(aws, f"{URI}@{digest}") == ""


@pytest.mark.parametrize("image", ["process://orderops.service", "registry.example.com/orders@sha256:" + "1" * 64, URI])
def test_an_image_outside_of_ecr_or_without_a_digest_is_not_looked_at(aws: Aws, image: str) -> None:
    assert why_unusable(aws, image) == ""


def test_the_registry_of_aws_is_never_asked_for_the_images_of_an_emulator() -> None:
    session = boto3.Session("testing", "testing", region_name="ap-southeast-2")
    emulated = Aws("ap-southeast-2", endpoint_url="http://127.0.0.1:5000", session=session)

    with pytest.raises(OrderopsError, match="ECR is emulated here, without a registry"):
        opened_for_reading(emulated, URI)
