"""How a builder is found and run; here the builder is a script that records its arguments and input."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.errors import OrderopsError, UsageError
from orderops.images.build import ImageBuild, build_and_push
from orderops.images.builder import builder
from orderops.images.content_hash import content_tag
from orderops.images.ecr import pinned
from support.fake_builders import HOST, REPOSITORY, Bench, put, silent

PASSWORD = "123456789012-auth-token"  # what the emulator's token holds


@pytest.fixture(autouse=True)
def _nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ORDEROPS_BUILDER", "ORDEROPS_REGISTRY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return Bench(folder)


def test_a_docker_client_without_an_engine_is_skipped(bench: Bench) -> None:
    for name in ("docker", "buildah"):
        bench.add(name)
    bench.breaks("docker", "version", "Cannot connect to the Docker daemon")

    assert builder().name == "buildah"


def test_the_error_names_the_problem_of_each_builder_if_none_works(bench: Bench) -> None:
    bench.add("docker")
    bench.breaks("docker", "version", "Cannot connect to the Docker daemon")

    with pytest.raises(OrderopsError) as refusal:
        builder()

    assert "docker: Cannot connect to the Docker daemon" in refusal.value.message
    assert "podman: is not installed" in refusal.value.message
    assert "--image URI" in refusal.value.hint


def test_a_builder_can_be_chosen_by_name(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("docker", "podman"):
        bench.add(name)

    assert builder().name == "docker"
    monkeypatch.setenv("ORDEROPS_BUILDER", "podman")
    assert builder().name == "podman"
    monkeypatch.setenv("ORDEROPS_BUILDER", "buildah")
    with pytest.raises(OrderopsError, match="buildah: is not installed"):
        builder()
    monkeypatch.setenv("ORDEROPS_BUILDER", "kaniko")
    with pytest.raises(UsageError, match="'kaniko' is not an image builder"):
        builder()


@pytest.fixture
def build(aws: Aws, tmp_path: Path) -> ImageBuild:
    """A build whose repository exists."""
    put(aws, REPOSITORY)
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY orders /orders\n")
    (folder / "orders").write_text("1")
    tag = content_tag(folder, folder / "Dockerfile")
    return ImageBuild("dev", REPOSITORY, tag, folder, folder / "Dockerfile")


class Registry:
    """Collects the output; the image exists from a certain line on."""

    def __init__(self, aws: Aws, build: ImageBuild, arrives: str) -> None:
        self.lines: list[str] = []
        self._aws, self._build, self._arrives = aws, build, arrives

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        if line.startswith(self._arrives):
            put(self._aws, REPOSITORY, self._build.tag)


@pytest.mark.parametrize("name", ["docker", "podman", "buildah"])
def test_an_image_is_built_for_the_platform_of_the_tasks_and_pushed(
    aws: Aws, build: ImageBuild, bench: Bench, name: str
) -> None:
    bench.add(name)
    say = Registry(aws, build, "push done")

    uri = build_and_push(aws, build, say)

    assert uri == pinned(aws, REPOSITORY, build.tag)
    assert "build done" in say.lines
    (command,) = (arguments for _, arguments, _ in bench.heard if "build" in arguments)
    assert command[command.index("--platform") + 1] == "linux/amd64"
    assert bench.verbs == ["build", *(["tag"] if name == "docker" else []), "login", "push"]
    assert f"{HOST}/{REPOSITORY}:{build.tag}" in bench.heard[-1][1][-1]


@pytest.mark.parametrize("name", ["docker", "podman", "buildah"])
def test_the_registrys_password_goes_through_standard_input_and_nowhere_else(
    aws: Aws, build: ImageBuild, bench: Bench, name: str
) -> None:
    bench.add(name)
    bench.breaks(name, "login", f"denied: {PASSWORD}")
    lines: list[str] = []

    with pytest.raises(OrderopsError) as refusal:
        build_and_push(aws, build, lines.append)

    assert [given for _, _, given in bench.heard if given] == [PASSWORD]
    assert "denied" in refusal.value.message
    output = json.dumps(
        [lines, refusal.value.message, refusal.value.hint, [arguments for _, arguments, _ in bench.heard]]
    )
    assert PASSWORD not in output
    assert base64.b64encode(f"AWS:{PASSWORD}".encode()).decode() not in output


def test_docker_pushes_with_the_operators_engine_and_none_of_their_logins(
    aws: Aws, build: ImageBuild, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "docker-config"
    (own / "contexts").mkdir(parents=True)
    (own / "config.json").write_text(json.dumps({"currentContext": "colima", "credsStore": "keychain"}))
    monkeypatch.setenv("DOCKER_CONFIG", str(own))
    bench.add("docker")

    build_and_push(aws, build, Registry(aws, build, "push done"))

    private: dict[str, Any] = json.loads((bench.folder / "config-at-push").read_text())
    assert private == {"currentContext": "colima", "auths": {HOST: {}}}
    folders = {arguments[arguments.index("--config") + 1] for _, arguments, _ in bench.heard if "--config" in arguments}
    assert not any(Path(folder).exists() for folder in folders)


def test_an_existing_image_is_neither_built_nor_pushed(aws: Aws, build: ImageBuild, bench: Bench) -> None:
    digest = put(aws, REPOSITORY, build.tag)

    assert build_and_push(aws, build, silent) == f"{HOST}/{REPOSITORY}@{digest}"
    assert bench.heard == []


def test_a_push_that_lost_to_another_push_of_the_same_tag_succeeds(aws: Aws, build: ImageBuild, bench: Bench) -> None:
    bench.add("podman")
    bench.breaks("podman", "push", "tag invalid: the image tag already exists and is immutable")

    assert build_and_push(aws, build, Registry(aws, build, "pushing to")) == pinned(aws, REPOSITORY, build.tag)


def test_a_failed_build_shows_the_last_lines_and_the_command(aws: Aws, build: ImageBuild, bench: Bench) -> None:
    bench.add("buildah")
    bench.breaks("buildah", "build", "no such file: orders")

    with pytest.raises(OrderopsError, match="buildah ended with 125") as refusal:
        build_and_push(aws, build, silent)

    assert "no such file: orders" in refusal.value.message
    assert refusal.value.hint.startswith("the command was: buildah build")


def test_an_image_is_not_pushed_if_its_sources_changed_during_the_build(
    aws: Aws, build: ImageBuild, bench: Bench
) -> None:
    bench.add("podman")

    def edit(line: str) -> None:
        if line == "build done":
            (build.context / "orders").write_text("2")

    with pytest.raises(OrderopsError, match="the sources changed"):
        build_and_push(aws, build, edit)

    assert "push" not in bench.verbs


def test_a_pushed_image_that_stays_invisible_is_an_error(aws: Aws, build: ImageBuild, bench: Bench) -> None:
    bench.add("podman")

    with pytest.raises(OrderopsError, match="is not visible yet"):
        build_and_push(aws, build, silent)


def test_an_image_is_not_built_without_its_repository(aws: Aws, build: ImageBuild, bench: Bench) -> None:
    bench.add("podman")
    aws.ecr.delete_repository(repositoryName=REPOSITORY)

    with pytest.raises(OrderopsError, match=f"ecr-repository/{REPOSITORY} does not exist") as refusal:
        build_and_push(aws, build, silent)

    assert refusal.value.hint == "create it first: orderops infra apply --env dev"
    assert bench.heard == []
