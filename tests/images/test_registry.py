"""Images built by real builders and pushed to a real registry in place of ECR."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from orderops.aws.client import Aws
from orderops.config.environment import Environment, load_environment
from orderops.errors import OrderopsError
from orderops.images.build import ImageBuild, build_and_push
from orderops.images.builder import builder
from orderops.images.ecr import pinned
from orderops.images.resolve import ImageChoice, ImageOrigin, images, materialize
from support.faults import PowerCut
from support.registry_fixtures import PASSWORD, ask, document, needs_registry, opened

HOST = "123456789012.dkr.ecr.ap-southeast-2.amazonaws.com"

pytest_plugins = ["support.registry_fixtures"]
pytestmark = [needs_registry, pytest.mark.usefixtures("registry")]


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with sources that no two tests have alike."""
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "Dockerfile").write_text('FROM scratch\nCOPY orders /orders\nCMD ["/orders"]\n')
    (folder / "orders").write_text(str(tmp_path))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def dev(aws: Aws, tmp_path: Path, sources: Path) -> Environment:
    """An environment whose service is built from the working directory, and its repository."""
    (tmp_path / "dev.toml").write_text('[database]\n[services.orders]\ndockerfile = "Dockerfile"\n')
    environment = load_environment("dev", tmp_path)
    aws.ecr.create_repository(repositoryName=environment.service_name("orders"))
    return environment


def release(aws: Aws, environment: Environment, output: list[str]) -> str:
    """What `up` does for an image."""
    return materialize(aws, images(aws, environment, {}), output.append)["orders"]


def test_an_image_is_built_and_pushed_once_and_pinned_to_the_registrys_digest(
    aws: Aws, dev: Environment, registry: str, with_builder: str
) -> None:
    output: list[str] = []
    build = images(aws, dev, {})["orders"].pending
    assert isinstance(build, ImageBuild)

    uri = release(aws, dev, output)

    assert uri == f"{HOST}/orderops-dev-orders@{opened(registry).digest(build.tag)}"
    assert any("COPY orders" in line for line in output)
    again: list[str] = []
    assert (release(aws, dev, again), again) == (uri, [])


def test_the_image_is_for_the_platform_of_the_tasks(
    aws: Aws, dev: Environment, registry: str, with_builder: str
) -> None:
    digest = release(aws, dev, []).partition("@")[2]

    manifest = document(registry, f"orderops-dev-orders/manifests/{digest}")
    config = document(registry, f"orderops-dev-orders/blobs/{manifest['config']['digest']}")

    assert (config["os"], config["architecture"]) == ("linux", "amd64")
    assert config["config"]["Cmd"] == ["/orders"]


@pytest.mark.parametrize("line", ["building", "pushing"])
def test_an_interrupted_push_is_completed_by_a_re_run(aws: Aws, dev: Environment, with_builder: str, line: str) -> None:
    def cut(output: str) -> None:
        if output.startswith(line):
            raise PowerCut

    with pytest.raises(PowerCut):
        materialize(aws, images(aws, dev, {}), cut)

    assert release(aws, dev, []).startswith(f"{HOST}/orderops-dev-orders@sha256:")


def test_an_interrupted_run_stops_its_builder(aws: Aws, dev: Environment, with_builder: str) -> None:
    def cut(output: str) -> None:
        if "COPY" in output:
            raise PowerCut

    with pytest.raises(PowerCut):
        materialize(aws, images(aws, dev, {}), cut)

    assert release(aws, dev, []).startswith(f"{HOST}/orderops-dev-orders@sha256:")


def test_the_error_of_a_failed_build_names_the_missing_file(
    aws: Aws, dev: Environment, sources: Path, with_builder: str
) -> None:
    (sources / "Dockerfile").write_text("FROM scratch\nCOPY absent /\n")

    with pytest.raises(OrderopsError, match=f"{with_builder} ended with") as refusal:
        release(aws, dev, [])

    assert "absent" in refusal.value.message


def test_a_login_that_the_registry_rejects_is_an_error(registry: str, sources: Path, with_builder: str) -> None:
    nobody = replace(opened(registry), user="somebody")
    builder().build("localhost/orders:1", sources / "Dockerfile", sources, lambda _line: None)

    with pytest.raises(OrderopsError, match=r"(?i)unauthorized|invalid username") as refusal:
        builder().push("localhost/orders:1", nobody, "1", lambda _line: None)

    assert PASSWORD not in refusal.value.message


def test_a_push_leaves_no_file_and_no_login(
    aws: Aws, dev: Environment, with_builder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(own / "auth.json"))
    monkeypatch.setenv("DOCKER_CONFIG", str(own))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))

    release(aws, dev, [])

    assert not list(own.rglob("*.json"))
    assert not list(scratch.glob("orderops-*"))


def test_a_promoted_image_keeps_its_digest(
    aws: Aws, dev: Environment, registry: str, with_builder: str, tmp_path: Path
) -> None:
    uri = release(aws, dev, [])
    staging = _staging(aws, tmp_path)
    output: list[str] = []

    choices = images(aws, staging, {"orders": uri})
    promoted = materialize(aws, choices, output.append)["orders"]

    assert promoted == f"{HOST}/orderops-staging-orders@{uri.partition('@')[2]}"
    assert any("copying" in line for line in output)
    assert images(aws, staging, {"orders": uri}) == {"orders": ImageChoice(promoted, origin=ImageOrigin.GIVEN)}
    manifest = ask(registry, f"orderops-staging-orders/manifests/{uri.partition('@')[2]}")
    for layer in json.loads(manifest)["layers"]:
        content = ask(registry, f"orderops-staging-orders/blobs/{layer['digest']}")
        assert f"sha256:{sha256(content).hexdigest()}" == layer["digest"]


def test_a_promoted_multi_platform_image_keeps_all_its_platforms(
    aws: Aws, dev: Environment, registry: str, with_builder: str
) -> None:
    digest = release(aws, dev, []).partition("@")[2]
    kind = "application/vnd.oci.image.index.v1+json"
    inner = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 1}
    source, target = opened(registry), opened(registry, "orderops-staging-orders")
    raw = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": [inner]}).encode()
    ask(registry, "orderops-dev-orders/manifests/all", method="PUT", body=raw, kind=kind)
    whole = source.digest("all")
    assert whole

    target.copy(source, whole, "promoted", lambda _line: None)

    assert target.digest("promoted") == whole
    assert target.digest(digest) == digest


def test_a_registry_on_this_machine_is_reached_without_the_proxy(
    registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    assert opened(registry).digest("absent") is None


def test_the_error_names_an_unreachable_registry(aws: Aws, dev: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDEROPS_REGISTRY", "127.0.0.1:9")

    with pytest.raises(OrderopsError, match=r"the registry 127\.0\.0\.1:9 does not answer"):
        images(aws, dev, {})


def test_an_image_missing_from_the_registry_has_no_digest(aws: Aws, dev: Environment, registry: str) -> None:
    assert pinned(aws, "orderops-dev-orders", "absent") is None
    with pytest.raises(OrderopsError, match="401"):
        replace(opened(registry), password="wrong").digest("absent")
    with pytest.raises(OrderopsError, match="does not exist"):
        opened(registry, "other").copy(opened(registry), f"sha256:{'a' * 64}", "1", lambda _line: None)


def test_two_builds_of_the_same_sources_end_with_the_same_image(aws: Aws, dev: Environment, with_builder: str) -> None:
    build = images(aws, dev, {})["orders"].pending
    assert isinstance(build, ImageBuild)

    assert len({build_and_push(aws, build, lambda _line: None) for _ in range(2)}) == 1


def _staging(aws: Aws, folder: Path) -> Environment:
    (folder / "staging.toml").write_text('[database]\n[services.orders]\ndockerfile = "Dockerfile"\n')
    aws.ecr.create_repository(repositoryName="orderops-staging-orders")
    return load_environment("staging", folder)
