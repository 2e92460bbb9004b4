"""Images with a version and a bill of materials, built by a real builder and pushed to a real registry."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.config.environment import Environment, load_environment
from orderops.errors import OrderopsError
from orderops.images.publish import Published, plan_build, publish
from orderops.images.referrers import find_sbom, read_sbom
from orderops.images.resolve import images, materialize, sources_of
from support.fake_builders import silent
from support.git_checkout import COMMITTED_AT, GitCheckout, git_checkout
from support.registry_fixtures import ask, document, needs_registry, opened

NAME = "orderops-dev-orders"
OTHER = "orderops-dev-billing"
HOST = "123456789012.dkr.ecr.ap-southeast-2.amazonaws.com"
CYCLONEDX = "application/vnd.cyclonedx+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKERFILE = """FROM scratch
COPY files /
ARG VERSION
ENV RELEASE=$VERSION
USER 10001
CMD ["/orders"]
"""
METADATA = "Metadata-Version: 2.4\nName: starlette\nVersion: 0.47.0\nLicense-Expression: BSD-3-Clause\n\nA framework.\n"
DPKG = """Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u13
Description: GNU C Library
 with more lines: here

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0
"""
SYSTEM = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n'

pytest_plugins = ["support.registry_fixtures"]
pytestmark = [needs_registry, pytest.mark.usefixtures("registry")]

Publish = Callable[..., Published]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitCheckout:
    """The working directory: a checkout of a small service, its commit tagged v1.4.0."""
    folder = tmp_path / "sources"
    for path, text in {
        "Dockerfile": DOCKERFILE,
        ".dockerignore": "*\n!files\n!sql\n",
        "README.md": "not in the image",
        "files/orders": "the service",
        "files/var/lib/dpkg/status": DPKG,
        "files/etc/os-release": SYSTEM,
        "files/opt/lib/python3.12/site-packages/starlette-0.47.0.dist-info/METADATA": METADATA,
        "sql/V001__create_users.sql": "",
        "sql/V002__create_orders.sql": "",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    monkeypatch.chdir(folder)
    found = git_checkout(folder)
    found.commit("v1.4.0")
    return found


@pytest.fixture
def dev(aws: Aws, tmp_path: Path) -> Environment:
    (tmp_path / "dev.toml").write_text('[database]\n[services.orders]\ndockerfile = "Dockerfile"\n')
    for name in (NAME, OTHER):
        aws.ecr.create_repository(repositoryName=name)
    return load_environment("dev", tmp_path)


@pytest.fixture
def build(aws: Aws, dev: Environment, checkout: GitCheckout, with_builder: str) -> Publish:
    """What `orderops service build` does."""

    def run(
        version: str = "", *, repository: str = NAME, allow_dirty: bool = False, output: list[str] | None = None
    ) -> Published:
        say = (output if output is not None else []).append
        sources = sources_of(dev, "orders", None)
        return publish(aws, plan_build("dev", repository, sources, version, allow_dirty=allow_dirty, say=say), say)

    return run


def labels(registry: str, digest: str) -> dict[str, str]:
    manifest = document(registry, f"{NAME}/manifests/{digest}")
    config = document(registry, f"{NAME}/blobs/{manifest['config']['digest']}")
    found = config["config"]["Labels"]
    assert isinstance(found, dict)
    return found


def test_an_image_is_pushed_under_its_content_and_its_version(
    build: Publish, checkout: GitCheckout, registry: str
) -> None:
    published = build()

    repository = opened(registry)
    assert published.version == "1.4.0"
    assert published.uri == f"{HOST}/{NAME}@{published.digest}"
    assert {repository.digest("1.4.0"), repository.digest(published.tag)} == {published.digest}
    assert (published.built, published.tagged, published.attached) == (True, True, True)
    told = labels(registry, published.digest)
    assert told["org.opencontainers.image.version"] == "1.4.0"
    assert told["org.opencontainers.image.revision"] == checkout.git("rev-parse", "HEAD")
    assert told["com.orderops.schema"] == "2-2"
    assert told["com.orderops.sources"] == published.tag


def test_an_image_carries_the_time_of_its_commit_its_version_and_its_user(build: Publish, registry: str) -> None:
    manifest = document(registry, f"{NAME}/manifests/{build().digest}")

    config = document(registry, f"{NAME}/blobs/{manifest['config']['digest']}")

    assert datetime.fromisoformat(config["created"]).timestamp() == COMMITTED_AT
    assert "RELEASE=1.4.0" in config["config"]["Env"]
    assert config["config"]["User"] == "10001"


def test_the_second_build_sends_nothing_and_runs_no_builder(
    build: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build()
    only_git = tmp_path / "bin"
    only_git.mkdir()
    (only_git / "git").symlink_to(str(shutil.which("git")))
    monkeypatch.setenv("PATH", str(only_git))
    output: list[str] = []

    second = build(output=output)

    assert not second.changed
    assert (second.uri, second.sbom, output) == (first.uri, first.sbom, [])


def test_the_same_commit_gives_the_same_image_on_another_machine(
    build: Publish, checkout: GitCheckout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build()
    storage = tmp_path / "other.conf"
    storage.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{tmp_path}/g2"\nrunroot = "{tmp_path}/r2"\n')
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(storage))
    os.utime(checkout.folder / "files/orders", (1, 1))

    second = build(repository=OTHER)

    assert second.built
    assert second.digest == first.digest


def test_a_new_version_of_the_same_sources_is_a_tag_and_no_build(
    build: Publish, checkout: GitCheckout, registry: str
) -> None:
    first = build()
    (checkout.folder / "README.md").write_text("other words")
    checkout.commit("v1.4.1")

    second = build()

    assert (second.version, second.built_as, second.digest) == ("1.4.1", "1.4.0", first.digest)
    assert (second.built, second.tagged, second.attached) == (False, True, False)
    assert opened(registry).digest("1.4.1") == first.digest


def test_a_version_of_another_image_is_refused_before_the_build_with_the_next_one(
    build: Publish, checkout: GitCheckout, registry: str
) -> None:
    first = build()
    build("1.4.1")
    (checkout.folder / "files/orders").write_text("another service")
    checkout.commit()
    output: list[str] = []

    with pytest.raises(OrderopsError) as refused:
        build("1.4.0", output=output)

    assert refused.value.message == f"{NAME} has another image as 1.4.0: {first.digest}"
    assert refused.value.hint.endswith("--version 1.4.2")
    assert output == []
    assert opened(registry).digest("1.4.0") == first.digest


def test_sources_that_are_not_committed_are_refused_by_name(build: Publish, checkout: GitCheckout) -> None:
    (checkout.folder / "files/orders").write_text("tried out")

    with pytest.raises(OrderopsError) as refused:
        build()

    assert refused.value.message == f"the sources of {NAME} are not committed: files/orders"
    assert "--allow-dirty" in refused.value.hint


def test_an_uncommitted_image_has_a_version_that_says_so_and_differs_each_time(
    build: Publish, checkout: GitCheckout
) -> None:
    versions = []
    for text in ("tried out", "tried again"):
        (checkout.folder / "files/orders").write_text(text)
        published = build(allow_dirty=True)
        assert published.version == f"1.4.0-dirty-{published.tag[4:12]}"
        assert published.tag.endswith("-dirty")
        versions.append(published.version)

    assert len(set(versions)) == 2


def test_sources_that_were_built_before_they_were_committed_are_built_again(
    build: Publish, checkout: GitCheckout, registry: str
) -> None:
    (checkout.folder / "files/orders").write_text("tried out")
    tried = build(allow_dirty=True)
    commit = checkout.commit("v1.5.0")

    published = build()

    assert (published.version, published.built_as, published.revision) == ("1.5.0", "1.5.0", commit)
    assert published.digest != tried.digest


def test_an_interrupted_build_gets_its_version_and_its_bill_by_a_re_run(
    aws: Aws, build: Publish, dev: Environment, registry: str
) -> None:
    # `up` builds without either, as does a build that was killed after its push.
    uri = materialize(aws, images(aws, dev, {}), silent)["orders"]
    assert opened(registry).digest("1.4.0") is None

    published = build()

    assert (published.uri, published.built_as) == (uri, "1.4.0")
    assert (published.built, published.tagged, published.attached) == (False, True, True)


def bill(registry: str, published: Published) -> Any:
    repository = opened(registry)
    artifact = find_sbom(repository, published.digest)
    assert artifact is not None
    return json.loads(read_sbom(repository, artifact))


def test_the_bill_of_materials_names_what_is_in_the_image(build: Publish, registry: str) -> None:
    told = bill(registry, build())

    assert told["metadata"]["component"]["version"] == "1.4.0"
    assert {component["name"] for component in told["components"]} == {"starlette", "libc6", "debian"}


def test_other_programs_find_the_bill_through_the_tag_of_its_image(build: Publish, registry: str) -> None:
    """OCI Distribution Specification 1.1, "Referrers Tag Schema": docker-registry has no API for referrers."""
    published = build()

    index = document(registry, f"{NAME}/manifests/sha256-{published.digest.removeprefix('sha256:')}")

    (entry,) = index["manifests"]
    assert (index["mediaType"], entry["artifactType"], entry["digest"]) == (OCI_INDEX, CYCLONEDX, published.sbom)
    raw = ask(registry, f"{NAME}/manifests/{published.sbom}")
    assert (f"sha256:{sha256(raw).hexdigest()}", len(raw)) == (entry["digest"], entry["size"])
    artifact = json.loads(raw)
    assert artifact["subject"]["digest"] == published.digest
    assert artifact["artifactType"] == artifact["layers"][0]["mediaType"] == CYCLONEDX
    # The empty descriptor of the OCI Image Specification 1.1.
    assert artifact["config"] == {
        "mediaType": "application/vnd.oci.empty.v1+json",
        "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "size": 2,
    }


def test_the_bill_joins_what_other_programs_have_attached(build: Publish, registry: str) -> None:
    digest = build(repository=OTHER).digest
    other = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 1}
    raw = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [other]}).encode()
    opened(registry).copy(opened(registry, OTHER), digest, "first", silent)
    fallback = f"{NAME}/manifests/sha256-{digest.removeprefix('sha256:')}"
    ask(registry, fallback, method="PUT", body=raw, kind=OCI_INDEX)

    published = build()

    assert [entry["digest"] for entry in document(registry, fallback)["manifests"]] == [digest, published.sbom]


def test_a_promoted_image_brings_its_bill_along(aws: Aws, build: Publish, registry: str, tmp_path: Path) -> None:
    published = build()
    aws.ecr.create_repository(repositoryName="orderops-staging-orders")
    (tmp_path / "staging.toml").write_text('[database]\n[services.orders]\ndockerfile = "Dockerfile"\n')
    staging = load_environment("staging", tmp_path)

    materialize(aws, images(aws, staging, {"orders": published.uri}), silent)

    copied = find_sbom(opened(registry, "orderops-staging-orders"), published.digest)
    assert copied is not None
    assert copied.digest == published.sbom
