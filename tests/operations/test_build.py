"""`orderops service build` and `service sbom` on images that a registry holds; the builder has tests of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orderops.images.content_hash import content_tag
from support.command_line import Orderops
from support.faulty_proxy import Proxy
from support.git_checkout import GitCheckout, git_checkout
from support.small_registry import SmallRegistry, small_registry

NAME, OTHER = "orderops-dev-orders", "orderops-staging-orders"
HOST = "123456789012.dkr.ecr.ap-southeast-2.amazonaws.com"
LABELS = {"org.opencontainers.image.version": "1.4.0", "com.orderops.schema": "3-4"}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitCheckout:
    """The working directory: the sources of a service, their commit tagged v1.4.0."""
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY orders /orders\n")
    (folder / ".dockerignore").write_text("*\n!orders\n")
    (folder / "orders").write_text("1")
    monkeypatch.chdir(folder)
    found = git_checkout(folder)
    found.commit("v1.4.0")
    return found


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallRegistry]:
    with small_registry() as served:
        monkeypatch.setenv("ORDEROPS_REGISTRY", served.host)
        yield served


@pytest.fixture
def built(checkout: GitCheckout, registry: SmallRegistry) -> str:
    """The digest of the image of these sources, which `orderops up` has built."""
    tag = content_tag(checkout.folder, checkout.folder / "Dockerfile")
    return registry.put_image(NAME, labels=LABELS, tag=tag)


@pytest.fixture
def orderops(
    capsys: pytest.CaptureFixture[str], proxy: Proxy, client: Callable[[str], Any], tmp_path: Path
) -> Orderops:
    """The command line, on an account with the repository of dev's service."""
    client("ecr").create_repository(repositoryName=NAME, imageTagMutability="IMMUTABLE")
    (tmp_path / "dev.toml").write_text('[database]\n[services.orders]\ndockerfile = "Dockerfile"\n')
    return Orderops(capsys, "--env", "dev", "--environments", str(tmp_path))


def test_an_image_of_the_registry_gets_its_version_and_its_bill_once(
    orderops: Orderops, registry: SmallRegistry, built: str
) -> None:
    first, second = orderops("service", "build", "--json"), orderops("service", "build", "--json")

    assert (first.code, second.code) == (0, 0), first.err + second.err
    done = {"built": False, "tagged": True, "attached": True}
    assert first.json == {
        "environment": "dev",
        "service": "orders",
        "image": f"{HOST}/{NAME}@{built}",
        "repository": NAME,
        "digest": built,
        "version": "1.4.0",
        "tags": [next(tag for _, tag in registry.tags if tag.startswith("src-")), "1.4.0"],
        "built_as": "1.4.0",
        "revision": None,
        "schema": "3-4",
        "sbom": registry.tags[NAME, f"sbom-{built[7:23]}"],
        **done,
    }
    assert second.json == {**first.json, "tagged": False, "attached": False}


def test_a_second_build_says_in_one_line_that_nothing_is_to_do_and_prints_the_uri(
    orderops: Orderops, registry: SmallRegistry, built: str
) -> None:
    orderops("service", "build")
    registry.requests.clear()

    again = orderops("service", "build")

    assert again.out == f"{HOST}/{NAME}@{built}\n"
    line, following = again.err.splitlines()
    assert line == f"{NAME}:1.4.0 is in the repository, with its bill of materials; nothing to do"
    assert following.startswith("next: orderops service deploy orders --env dev")
    assert {request.partition(" ")[0] for request in registry.requests} <= {"GET", "HEAD"}


def test_a_build_that_another_one_overtook_is_refused_with_the_next_version(
    orderops: Orderops, registry: SmallRegistry, built: str
) -> None:
    registry.put_image(NAME, b"another", tag="1.4.0")

    refused = orderops("service", "build")

    assert refused.code == 1
    assert f"error: {NAME} has another image as 1.4.0: sha256:" in refused.err
    assert "--version 1.4.1" in refused.err


def test_a_version_that_is_none_is_refused_before_anything_is_sent(
    orderops: Orderops, registry: SmallRegistry, built: str
) -> None:
    refused = orderops("service", "build", "--version", "latest")

    assert (refused.code, refused.out) == (2, "")
    assert "never called latest" in refused.err
    assert registry.requests == []


def test_a_declared_image_is_not_built_under_a_version(orderops: Orderops, tmp_path: Path) -> None:
    image = f"registry.example.com/orders@sha256:{'1' * 64}"
    (tmp_path / "dev.toml").write_text(f'[database]\n[services.orders]\nimage = "{image}"\n')

    refused, printed = orderops("service", "build", "--version", "1.4.0"), orderops("service", "build", "--json")

    assert refused.code == 2
    assert "there is nothing to build" in refused.err
    assert printed.json == {"environment": "dev", "service": "orders", "image": image}


def test_the_bill_of_a_version_a_digest_and_a_uri_is_printed(
    orderops: Orderops, registry: SmallRegistry, built: str
) -> None:
    orderops("service", "build")

    for image in ("1.4.0", built, f"{HOST}/{NAME}:1.4.0", f"{HOST}/{NAME}@{built}"):
        printed = orderops("service", "sbom", image)
        assert printed.code == 0, printed.err
        assert json.loads(printed.out)["metadata"]["component"]["bom-ref"] == built


def test_the_bill_of_an_image_in_another_repository_is_printed(orderops: Orderops, registry: SmallRegistry) -> None:
    layers = [registry.put_blob(OTHER, b"theirs") | {"mediaType": "application/vnd.cyclonedx+json"}]
    image = registry.put_image(OTHER, tag="1.4.0")
    subject = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": image, "size": 1}
    registry.put_manifest(OTHER, {"schemaVersion": 2, "layers": layers, "subject": subject}, f"sbom-{image[7:23]}")

    assert orderops("service", "sbom", f"{HOST}/{OTHER}:1.4.0").out.strip() == "theirs"


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (["9.9"], f"{NAME} has no image 9.9"),
        ([f"{HOST}/{OTHER}:9.9"], f"{HOST}/{OTHER} has no image {HOST}/{OTHER}:9.9"),
        ([], "orders does not run in dev"),
    ],
    ids=["version", "URI", "running"],
)
def test_an_image_that_does_not_exist_has_no_bill(
    orderops: Orderops, registry: SmallRegistry, image: list[str], words: str
) -> None:
    refused = orderops("service", "sbom", *image)

    assert (refused.code, refused.out) == (1, "")
    assert f"error: {words}\n" in refused.err


def test_an_image_without_a_bill_leads_to_the_command_that_attaches_one(
    orderops: Orderops, registry: SmallRegistry, built: str
) -> None:
    refused = orderops("service", "sbom", built)

    assert refused.code == 1
    assert f"error: {HOST}/{NAME}@{built} has no bill of materials\n" in refused.err
    assert "orderops service build --env dev" in refused.err
