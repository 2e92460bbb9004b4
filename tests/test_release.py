"""Which image runs, and how a builder is asked; the builder here is a script that writes down what it hears."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orderops.aws import Aws
from orderops.environment import Environment, load_environment
from orderops.errors import OrderopsError, UsageError
from orderops.release import Build, Copy, build_and_push, image_of, images, pinned, ready
from orderops.release_builder import builder
from orderops.release_content import content_tag

REPOSITORY = "orderops-dev-orders"
HOST = "123456789012.dkr.ecr.ap-southeast-2.amazonaws.com"
PASSWORD = "123456789012-auth-token"  # what the emulator's token holds
SCRIPT = f"""#!{sys.executable}
import json, os, sys
from pathlib import Path
name, arguments = Path(sys.argv[0]).name, sys.argv[1:]
folder = Path(sys.argv[0]).parent
given = sys.stdin.read()
with (folder / "heard").open("a") as log:
    log.write(json.dumps([name, arguments, given]) + "\\n")
verb = next(each for each in arguments if each in ("version", "info", "build", "tag", "login", "push"))
if "--config" in arguments:
    (folder / f"config-at-{{verb}}").write_text((Path(arguments[1]) / "config.json").read_text())
print({{"version": "28.2.2"}}.get(verb, f"{{verb}} done"))
print(f"the password is {{given}}" if given else "", file=sys.stderr)
broken = folder / f"{{name}}-{{verb}}-fails"
if broken.exists():
    print(broken.read_text(), file=sys.stderr)
    sys.exit(125)
"""


class Bench:
    """A folder that is the whole PATH, with builders that only write down what they hear."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str) -> None:
        (self.folder / name).write_text(SCRIPT)
        (self.folder / name).chmod(0o755)

    def breaks(self, name: str, verb: str, saying: str) -> None:
        (self.folder / f"{name}-{verb}-fails").write_text(saying)

    @property
    def heard(self) -> list[tuple[str, list[str], str]]:
        log = self.folder / "heard"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    @property
    def verbs(self) -> list[str]:
        known = ("build", "tag", "login", "push")
        return [each for _, arguments, _ in self.heard for each in arguments if each in known]


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


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a Dockerfile and something to put into the image."""
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY orders /orders\n")
    (folder / "orders").write_text("1")
    monkeypatch.chdir(folder)
    return folder


def environment(tmp_path: Path, service: str = "", name: str = "dev", more: str = "") -> Environment:
    (tmp_path / f"{name}.toml").write_text(f"{more}\n[services.orders]\n{service}\n")
    return load_environment(name, tmp_path)


def put(aws: Aws, repository: str, *tags: str, content: str = "1") -> str:
    """An image in the emulator's repository, which is made when it is not there; answers its digest."""
    config = {"mediaType": "application/json", "size": 1, "digest": f"sha256:{content * 64}"}
    kind = "application/vnd.oci.image.manifest.v1+json"
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": []}
    known = [each["repositoryName"] for each in aws.ecr.describe_repositories()["repositories"]]
    if repository not in known:
        aws.ecr.create_repository(repositoryName=repository, imageTagMutability="IMMUTABLE")
    for tag in tags:
        aws.ecr.put_image(repositoryName=repository, imageTag=tag, imageManifest=json.dumps(manifest))
    told = aws.ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": tags[0]}]) if tags else None
    return str(told["imageDetails"][0]["imageDigest"]) if told else ""


def silent(_line: str) -> None:
    pass


def test_an_image_is_pinned_to_its_digest(aws: Aws) -> None:
    digest = put(aws, REPOSITORY, "1.4")

    assert pinned(aws, REPOSITORY, "1.4") == f"{HOST}/{REPOSITORY}@{digest}"
    assert pinned(aws, REPOSITORY, digest) == f"{HOST}/{REPOSITORY}@{digest}"
    assert pinned(aws, REPOSITORY, "1.5") is None
    assert pinned(aws, "orderops-dev-absent", "1.4") is None


def test_an_image_that_is_named_goes_before_the_environments_and_that_before_the_sources(
    aws: Aws, tmp_path: Path, sources: Path
) -> None:
    declared = environment(tmp_path, 'image = "registry.example.com/orders@sha256:' + "a" * 64 + '"')
    from_sources = environment(tmp_path, 'dockerfile = "Dockerfile"', name="staging")

    given = images(aws, declared, {"orders": f"registry.example.com/orders@sha256:{'b' * 64}"})

    assert given["orders"].uri.endswith("b" * 64)
    assert images(aws, declared, {})["orders"].uri.endswith("a" * 64)
    assert isinstance(images(aws, from_sources, {})["orders"].pending, Build)


def test_a_tag_in_the_services_repository_is_pinned(aws: Aws, tmp_path: Path) -> None:
    digest = put(aws, REPOSITORY, "1.4")

    choice = images(aws, environment(tmp_path), {"orders": f"{HOST}/{REPOSITORY}:1.4"})["orders"]

    assert (choice.uri, choice.pending, choice.note) == (f"{HOST}/{REPOSITORY}@{digest}", None, "")


def test_a_tag_that_is_not_there_is_refused_with_the_newest_that_are(aws: Aws, tmp_path: Path) -> None:
    put(aws, REPOSITORY, "1.3", "1.4")

    with pytest.raises(OrderopsError, match=f"{REPOSITORY}:1.5 is not there") as refusal:
        images(aws, environment(tmp_path), {"orders": f"{HOST}/{REPOSITORY}:1.5"})

    assert "1.3" in refusal.value.hint
    assert "1.4" in refusal.value.hint


def test_a_repository_that_is_not_there_is_named(aws: Aws, tmp_path: Path) -> None:
    with pytest.raises(OrderopsError) as refusal:
        images(aws, environment(tmp_path), {"orders": f"{HOST}/absent:1"})

    assert refusal.value.hint == "no repository is named absent"


def test_a_tag_in_another_registry_is_taken_and_said_not_to_be_pinned(aws: Aws, tmp_path: Path) -> None:
    choice = images(aws, environment(tmp_path), {"orders": "registry.example.com/orders:1.4"})["orders"]

    assert choice.uri == "registry.example.com/orders:1.4"
    assert "not pinned" in choice.note


def test_an_image_of_another_repository_is_to_be_copied_once(aws: Aws, tmp_path: Path) -> None:
    digest = put(aws, "orderops-staging-orders", "src-1")
    dev = environment(tmp_path)

    choice = images(aws, dev, {"orders": f"{HOST}/orderops-staging-orders:src-1"})["orders"]

    copy = Copy("dev", REPOSITORY, f"{HOST}/orderops-staging-orders", digest)
    assert choice.pending == copy
    assert "to be copied" in choice.uri
    put(aws, REPOSITORY, copy.tag)
    assert images(aws, dev, {"orders": f"{HOST}/orderops-staging-orders@{digest}"})["orders"].uri == (
        f"{HOST}/{REPOSITORY}@{digest}"
    )


def test_an_image_of_another_region_is_refused(aws: Aws, tmp_path: Path) -> None:
    there = "123456789012.dkr.ecr.us-east-1.amazonaws.com/orders:1"

    with pytest.raises(OrderopsError, match="is in us-east-1, and dev in ap-southeast-2"):
        images(aws, environment(tmp_path), {"orders": there})


def test_a_process_runs_only_where_aws_is_emulated(aws: Aws, tmp_path: Path) -> None:
    given = {"orders": "process://orderops.service"}
    local = environment(tmp_path, name="local", more="emulated = true")

    assert images(aws, local, given)["orders"].uri == "process://orderops.service"
    with pytest.raises(UsageError, match="runs on this machine only"):
        images(aws, environment(tmp_path), given)


def test_an_emulated_environment_without_a_registry_says_how_to_run_the_service(
    aws: Aws, tmp_path: Path, sources: Path
) -> None:
    local = environment(tmp_path, 'dockerfile = "Dockerfile"', name="local", more="emulated = true")

    with pytest.raises(OrderopsError, match="has no registry") as refusal:
        images(aws, local, {})

    assert "process://" in refusal.value.hint


@pytest.mark.parametrize("given", ["Example Com", "", "orders:1@latest", "https://example.com/orders"])
def test_what_is_no_image_is_refused(aws: Aws, tmp_path: Path, given: str) -> None:
    with pytest.raises(UsageError, match="is no image"):
        image_of(aws, environment(tmp_path), "orders", given)


def test_sources_that_were_pushed_before_are_not_built_again(aws: Aws, tmp_path: Path, sources: Path) -> None:
    dev = environment(tmp_path, 'dockerfile = "Dockerfile"')
    digest = put(aws, REPOSITORY, content_tag(sources, sources / "Dockerfile"))

    choices = images(aws, dev, {})

    assert ready(aws, choices, silent) == {"orders": f"{HOST}/{REPOSITORY}@{digest}"}


def test_a_folder_or_a_dockerfile_that_is_not_there_is_refused(aws: Aws, tmp_path: Path, sources: Path) -> None:
    dev = environment(tmp_path, 'dockerfile = "docker/Dockerfile"')

    with pytest.raises(UsageError, match="the Dockerfile of orders is not there"):
        images(aws, dev, {})
    with pytest.raises(UsageError, match="is no folder"):
        images(aws, dev, {}, context=tmp_path / "absent")


def test_the_services_own_sources_are_found_in_a_checkout(aws: Aws, tmp_path: Path) -> None:
    build = images(aws, environment(tmp_path), {})["orders"].pending

    assert isinstance(build, Build)
    assert build.dockerfile == build.context / "src/orderops/service/Dockerfile"


def test_an_installed_orderops_without_sources_says_what_to_name(tmp_path: Path) -> None:
    package = Path(sys.modules["orderops"].__file__ or "").parent
    installed = tmp_path / "site"
    shutil.copytree(package, installed / "orderops", ignore=shutil.ignore_patterns("__pycache__"))
    program = (
        "from orderops import release\n"
        "try: release._sources('orders', None, None)\n"
        "except release.OrderopsError as error: print(error.message, error.hint)\n"
        "print(release._sources('orders', None, release.Path('.'))[1])"
    )

    told = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(installed)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert "there are no sources here" in told
    assert "--context DIR" in told
    assert str(installed / "orderops/service/Dockerfile") in told


def test_a_docker_client_without_an_engine_is_passed_over(bench: Bench) -> None:
    for name in ("docker", "buildah"):
        bench.add(name)
    bench.breaks("docker", "version", "Cannot connect to the Docker daemon")

    assert builder().name == "buildah"


def test_when_no_builder_works_each_says_why(bench: Bench) -> None:
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
    with pytest.raises(UsageError, match="'kaniko' is no image builder"):
        builder()


@pytest.fixture
def build(aws: Aws, tmp_path: Path, sources: Path) -> Build:
    """What is to be built, with the repository there."""
    put(aws, REPOSITORY)
    pending = images(aws, environment(tmp_path, 'dockerfile = "Dockerfile"'), {})["orders"].pending
    assert isinstance(pending, Build)
    return pending


class Registry:
    """Listens to what is said, and has the image from a certain line on."""

    def __init__(self, aws: Aws, build: Build, arrives: str) -> None:
        self.lines: list[str] = []
        self._aws, self._build, self._arrives = aws, build, arrives

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        if line.startswith(self._arrives):
            put(self._aws, REPOSITORY, self._build.tag)


@pytest.mark.parametrize("name", ["docker", "podman", "buildah"])
def test_an_image_is_built_for_the_platform_of_the_tasks_and_pushed(
    aws: Aws, build: Build, bench: Bench, name: str
) -> None:
    bench.add(name)
    say = Registry(aws, build, "push done")

    uri = build_and_push(aws, build, say)

    assert uri == pinned(aws, REPOSITORY, build.tag)
    assert "build done" in say.lines
    (asked,) = (arguments for _, arguments, _ in bench.heard if "build" in arguments)
    assert asked[asked.index("--platform") + 1] == "linux/amd64"
    assert bench.verbs == ["build", *(["tag"] if name == "docker" else []), "login", "push"]
    assert f"{HOST}/{REPOSITORY}:{build.tag}" in bench.heard[-1][1][-1]


@pytest.mark.parametrize("name", ["docker", "podman", "buildah"])
def test_the_registrys_password_goes_through_standard_input_and_nowhere_else(
    aws: Aws, build: Build, bench: Bench, name: str
) -> None:
    bench.add(name)
    bench.breaks(name, "login", f"denied: {PASSWORD}")
    lines: list[str] = []

    with pytest.raises(OrderopsError) as refusal:
        build_and_push(aws, build, lines.append)

    assert [given for _, _, given in bench.heard if given] == [PASSWORD]
    assert "denied" in refusal.value.message
    said = json.dumps([lines, refusal.value.message, refusal.value.hint, [each for _, each, _ in bench.heard]])
    assert PASSWORD not in said
    assert base64.b64encode(f"AWS:{PASSWORD}".encode()).decode() not in said


def test_docker_pushes_with_the_operators_engine_and_none_of_their_logins(
    aws: Aws, build: Build, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "docker-config"
    (own / "contexts").mkdir(parents=True)
    (own / "config.json").write_text(json.dumps({"currentContext": "colima", "credsStore": "keychain"}))
    monkeypatch.setenv("DOCKER_CONFIG", str(own))
    bench.add("docker")

    build_and_push(aws, build, Registry(aws, build, "push done"))

    private: dict[str, Any] = json.loads((bench.folder / "config-at-push").read_text())
    assert private == {"currentContext": "colima", "auths": {HOST: {}}}
    folders = {each[each.index("--config") + 1] for _, each, _ in bench.heard if "--config" in each}
    assert not any(Path(folder).exists() for folder in folders)


def test_an_image_that_is_there_is_neither_built_nor_pushed(aws: Aws, build: Build, bench: Bench) -> None:
    digest = put(aws, REPOSITORY, build.tag)

    assert build_and_push(aws, build, silent) == f"{HOST}/{REPOSITORY}@{digest}"
    assert bench.heard == []


def test_a_push_that_somebody_else_won_is_as_good(aws: Aws, build: Build, bench: Bench) -> None:
    bench.add("podman")
    bench.breaks("podman", "push", "tag invalid: the image tag already exists and is immutable")

    assert build_and_push(aws, build, Registry(aws, build, "pushing to")) == pinned(aws, REPOSITORY, build.tag)


def test_a_failed_build_shows_the_last_lines_and_the_command(aws: Aws, build: Build, bench: Bench) -> None:
    bench.add("buildah")
    bench.breaks("buildah", "build", "no such file: orders")

    with pytest.raises(OrderopsError, match="buildah ended with 125") as refusal:
        build_and_push(aws, build, silent)

    assert "no such file: orders" in refusal.value.message
    assert refusal.value.hint.startswith("it was asked: buildah build")


def test_sources_that_change_under_the_build_are_not_pushed(aws: Aws, build: Build, bench: Bench) -> None:
    bench.add("podman")

    def edit(line: str) -> None:
        if line == "build done":
            (build.context / "orders").write_text("2")

    with pytest.raises(OrderopsError, match="the sources changed"):
        build_and_push(aws, build, edit)

    assert "push" not in bench.verbs


def test_a_push_that_nobody_sees_is_not_taken_for_done(aws: Aws, build: Build, bench: Bench) -> None:
    bench.add("podman")

    with pytest.raises(OrderopsError, match="is not seen yet"):
        build_and_push(aws, build, silent)


def test_without_its_repository_an_image_is_not_even_built(
    aws: Aws, tmp_path: Path, sources: Path, bench: Bench
) -> None:
    bench.add("podman")
    choices = images(aws, environment(tmp_path, 'dockerfile = "Dockerfile"'), {})

    with pytest.raises(OrderopsError, match=f"ecr-repository/{REPOSITORY} is not there") as refusal:
        ready(aws, choices, silent)

    assert refusal.value.hint == "create it first: orderops infra apply --env dev"
    assert bench.heard == []
