"""The image of each service: named by the operator, declared, or built from sources."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orderops.aws.client import Aws
from orderops.config.environment import Environment, load_environment
from orderops.errors import OrderopsError, UsageError
from orderops.images.build import ImageBuild
from orderops.images.content_hash import content_tag
from orderops.images.ecr import pinned
from orderops.images.resolve import ImageCopy, check_can_build, image_of, images, images_of, materialize, sources_of
from support.fake_builders import HOST, REPOSITORY, put, silent
from support.git_checkout import GitCheckout, git_checkout
from support.small_registry import small_registry


@pytest.fixture(autouse=True)
def _nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ORDEROPS_BUILDER", "ORDEROPS_REGISTRY"):
        monkeypatch.delenv(name, raising=False)


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
    (tmp_path / f"{name}.toml").write_text(f"{more}\n[database]\n[services.orders]\n{service}\n")
    return load_environment(name, tmp_path)


def test_an_image_is_pinned_to_its_digest(aws: Aws) -> None:
    digest = put(aws, REPOSITORY, "1.4")

    assert pinned(aws, REPOSITORY, "1.4") == f"{HOST}/{REPOSITORY}@{digest}"
    assert pinned(aws, REPOSITORY, digest) == f"{HOST}/{REPOSITORY}@{digest}"
    assert pinned(aws, REPOSITORY, "1.5") is None
    assert pinned(aws, "orderops-dev-absent", "1.4") is None


def test_a_named_image_precedes_the_declared_one_and_that_the_sources(aws: Aws, tmp_path: Path, sources: Path) -> None:
    declared = environment(tmp_path, 'image = "registry.example.com/orders@sha256:' + "a" * 64 + '"')
    from_sources = environment(tmp_path, 'dockerfile = "Dockerfile"', name="staging")

    given = images(aws, declared, {"orders": f"registry.example.com/orders@sha256:{'b' * 64}"})

    assert given["orders"].uri.endswith("b" * 64)
    assert images(aws, declared, {})["orders"].uri.endswith("a" * 64)
    assert isinstance(images(aws, from_sources, {})["orders"].pending, ImageBuild)


WORKER = '[services.worker]\nrole = "worker"\nworks_for = "orders"\nmax_tasks = 2\n'


def test_a_worker_gets_the_image_of_the_service_that_it_works_for(aws: Aws, tmp_path: Path, sources: Path) -> None:
    declared = environment(tmp_path, f'image = "registry.example.com/orders:1"\n{WORKER}')
    built = environment(tmp_path, f'dockerfile = "Dockerfile"\n{WORKER}', name="staging")

    for found, given in ((declared, {}), (declared, {"orders": "registry.example.com/orders:2"}), (built, {})):
        chosen = images(aws, found, given)
        assert chosen["worker"] == chosen["orders"]
    assert images(aws, declared, {"worker": "registry.example.com/orders:3"})["worker"].uri.endswith(":3")


def test_a_service_is_released_with_its_workers_and_a_worker_alone(aws: Aws, tmp_path: Path) -> None:
    found = environment(tmp_path, f'image = "registry.example.com/orders:1"\n{WORKER}')

    assert list(images_of(aws, found, ["orders"], {})) == ["orders", "worker"]
    (alone,) = images_of(aws, found, ["worker"], {}).items()
    assert alone == ("worker", images(aws, found, {})["orders"])


def test_an_image_for_a_worker_alone_is_copied_to_the_repository_of_its_service(aws: Aws, tmp_path: Path) -> None:
    put(aws, "another", "1.4")
    found = environment(tmp_path, f'image = "registry.example.com/orders:1"\n{WORKER}')

    pending = images_of(aws, found, ["worker"], {"worker": f"{HOST}/another:1.4"})["worker"].pending

    assert isinstance(pending, ImageCopy)
    assert pending.repository == REPOSITORY


def test_a_tag_in_the_services_repository_is_pinned(aws: Aws, tmp_path: Path) -> None:
    digest = put(aws, REPOSITORY, "1.4")

    choice = images(aws, environment(tmp_path), {"orders": f"{HOST}/{REPOSITORY}:1.4"})["orders"]

    assert (choice.uri, choice.pending, choice.note) == (f"{HOST}/{REPOSITORY}@{digest}", None, "")


def test_the_error_for_a_missing_tag_lists_the_newest_tags(aws: Aws, tmp_path: Path) -> None:
    # The tag that keeps a released image names no version.
    put(aws, REPOSITORY, "1.3", "1.4", "released-0123456789abcdef")

    with pytest.raises(OrderopsError, match=f"{REPOSITORY}:1.5 does not exist") as refusal:
        images(aws, environment(tmp_path), {"orders": f"{HOST}/{REPOSITORY}:1.5"})

    assert "1.3" in refusal.value.hint
    assert "1.4" in refusal.value.hint
    assert "released-" not in refusal.value.hint


def test_the_hint_names_a_missing_repository(aws: Aws, tmp_path: Path) -> None:
    with pytest.raises(OrderopsError) as refusal:
        images(aws, environment(tmp_path), {"orders": f"{HOST}/absent:1"})

    assert refusal.value.hint == "the repository absent does not exist"


def test_a_tag_in_another_registry_is_used_with_a_note_that_the_tag_may_move(aws: Aws, tmp_path: Path) -> None:
    choice = images(aws, environment(tmp_path), {"orders": "registry.example.com/orders:1.4"})["orders"]

    assert choice.uri == "registry.example.com/orders:1.4"
    assert "not pinned" in choice.note


def test_an_image_of_another_repository_is_copied_once(aws: Aws, tmp_path: Path) -> None:
    digest = put(aws, "orderops-staging-orders", "src-1")
    dev = environment(tmp_path)

    choice = images(aws, dev, {"orders": f"{HOST}/orderops-staging-orders:src-1"})["orders"]

    copy = ImageCopy("dev", REPOSITORY, f"{HOST}/orderops-staging-orders", digest)
    assert choice.pending == copy
    assert "to be copied" in choice.uri
    put(aws, REPOSITORY, copy.tag)
    assert images(aws, dev, {"orders": f"{HOST}/orderops-staging-orders@{digest}"})["orders"].uri == (
        f"{HOST}/{REPOSITORY}@{digest}"
    )


def test_an_image_in_another_region_is_an_error(aws: Aws, tmp_path: Path) -> None:
    there = "123456789012.dkr.ecr.us-east-1.amazonaws.com/orders:1"

    with pytest.raises(OrderopsError, match="is in us-east-1, but dev is in ap-southeast-2"):
        images(aws, environment(tmp_path), {"orders": there})


def test_a_process_runs_only_where_aws_is_emulated(aws: Aws, tmp_path: Path) -> None:
    given = {"orders": "process://orderops.service"}
    local = environment(tmp_path, name="local", more="emulated = true")

    assert images(aws, local, given)["orders"].uri.partition("@")[0] == "process://orderops.service"
    with pytest.raises(UsageError, match="runs only in an emulated environment"):
        images(aws, environment(tmp_path), given)


def test_changed_sources_of_a_process_are_another_image(
    aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "lib" / "shop" / "service"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("raise SystemExit('imported')")
    (package / "__init__.py").touch()
    (package / "page.html").write_text("old")
    (tmp_path / "lib" / "single.py").write_text("old")
    monkeypatch.syspath_prepend(tmp_path / "lib")
    local = environment(tmp_path, name="local", more="emulated = true")

    def image_of(module: str) -> str:
        return images(aws, local, {"orders": f"process://{module}"})["orders"].uri

    before = image_of("shop.service"), image_of("single")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "page.pyc").touch()
    (package / ".page.html.swp").touch()
    assert (image_of("shop.service"), image_of("single")) == before
    (package / "page.html").write_text("new")
    (tmp_path / "lib" / "single.py").write_text("new")
    after = image_of("shop.service"), image_of("single")

    assert all(re.fullmatch(r"process://[a-z.]+@src-[0-9a-f]{16}", image) for image in (*before, *after))
    assert not set(before) & set(after)


def test_a_process_that_is_not_installed_has_no_tag(aws: Aws, tmp_path: Path) -> None:
    local = environment(tmp_path, name="local", more="emulated = true")

    for module in ("no_such_module", "orderops.no_such_module", "json.decoder.deeper"):
        assert images(aws, local, {"orders": f"process://{module}"})["orders"].uri == f"process://{module}"


def test_the_hint_without_a_registry_shows_how_to_run_the_service_as_a_process(
    aws: Aws, tmp_path: Path, sources: Path
) -> None:
    local = environment(tmp_path, 'dockerfile = "Dockerfile"', name="local", more="emulated = true")

    with pytest.raises(OrderopsError, match="has no registry") as refusal:
        images(aws, local, {})

    assert "process://" in refusal.value.hint


@pytest.mark.parametrize("given", ["Example Com", "", "orders:1@latest", "https://example.com/orders"])
def test_an_invalid_image_uri_is_an_error(aws: Aws, tmp_path: Path, given: str) -> None:
    with pytest.raises(UsageError, match="is not an image"):
        image_of(aws, environment(tmp_path), "orders", given)


def test_sources_pushed_before_are_not_built_again(aws: Aws, tmp_path: Path, sources: Path) -> None:
    dev = environment(tmp_path, 'dockerfile = "Dockerfile"')
    digest = put(aws, REPOSITORY, content_tag(sources, sources / "Dockerfile"))

    choices = images(aws, dev, {})

    assert materialize(aws, choices, silent) == {"orders": f"{HOST}/{REPOSITORY}@{digest}"}


def test_a_missing_folder_or_dockerfile_is_an_error(aws: Aws, tmp_path: Path, sources: Path) -> None:
    dev = environment(tmp_path, 'dockerfile = "docker/Dockerfile"')

    with pytest.raises(UsageError, match="the Dockerfile of orders does not exist"):
        images(aws, dev, {})
    with pytest.raises(UsageError, match="is not a folder"):
        images(aws, dev, {}, context=tmp_path / "absent")


def test_the_services_own_sources_are_found_in_a_checkout(aws: Aws, tmp_path: Path) -> None:
    build = images(aws, environment(tmp_path), {})["orders"].pending

    assert isinstance(build, ImageBuild)
    assert build.dockerfile == build.context / "src/orderops/service/Dockerfile"


def test_the_hint_without_sources_names_the_options(tmp_path: Path) -> None:
    package = Path(sys.modules["orderops"].__file__ or "").parent
    installed = tmp_path / "site"
    shutil.copytree(package, installed / "orderops", ignore=shutil.ignore_patterns("__pycache__"))
    program = (
        "from orderops.images import resolve as release\n"
        "try: release._sources('orders', None, None)\n"
        "except release.OrderopsError as error: print(error.message, error.hint)\n"
        "print(release._sources('orders', None, release.Path('.'))[1])"
    )

    output = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(installed)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert "no sources found for the image" in output
    assert "--context DIR" in output
    assert str(installed / "orderops/service/Dockerfile") in output


@pytest.mark.parametrize(
    "uri",
    [
        "123456789012.dkr.ecr.ap-southeast-2.amazonaws.com.cn/orders:1",
        "123456789012.dkr.ecr.ap-southeast-2.amazonaws.eu/orders:1",
    ],
)
def test_a_registry_with_the_hosts_of_another_partition_is_refused(aws: Aws, tmp_path: Path, uri: str) -> None:
    with pytest.raises(
        OrderopsError, match=r"is not a registry of ap-southeast-2, whose hosts end with amazonaws\.com$"
    ):
        images(aws, environment(tmp_path), {"orders": uri})


@pytest.fixture
def checkout(sources: Path) -> GitCheckout:
    """The sources in a checkout whose commit is v1.4.0, with a change that no commit holds."""
    found = git_checkout(sources)
    found.commit("v1.4.0")
    (sources / "orders").write_text("tried out")
    return found


def test_a_release_of_sources_that_no_commit_holds_is_refused_on_aws(
    aws: Aws, tmp_path: Path, checkout: GitCheckout
) -> None:
    declared = environment(tmp_path, 'dockerfile = "Dockerfile"')

    choices = images(aws, declared, {})

    with pytest.raises(OrderopsError, match="the sources of orderops-dev-orders are not committed: orders") as refused:
        check_can_build(choices)
    assert "--allow-dirty" in refused.value.hint


def test_sources_that_no_commit_holds_are_released_if_the_operator_says_so(
    aws: Aws, tmp_path: Path, checkout: GitCheckout
) -> None:
    declared = environment(tmp_path, 'dockerfile = "Dockerfile"')

    build = images(aws, declared, {}, allow_dirty=True)["orders"].pending

    assert isinstance(build, ImageBuild)
    assert build.uncommitted == ()
    assert build.recipe.version == f"1.4.0-dirty-{build.tag[4:12]}"


def test_the_laptop_runs_sources_that_no_commit_holds(
    aws: Aws, tmp_path: Path, checkout: GitCheckout, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = environment(tmp_path, 'dockerfile = "Dockerfile"', more="emulated = true")

    with small_registry() as registry:
        monkeypatch.setenv("ORDEROPS_REGISTRY", registry.host)
        build = images(aws, declared, {})["orders"].pending

    assert isinstance(build, ImageBuild)
    assert build.uncommitted == ()


def test_an_image_that_exists_is_released_whatever_was_changed_since(
    aws: Aws, tmp_path: Path, checkout: GitCheckout, sources: Path
) -> None:
    put(aws, REPOSITORY, content_tag(sources, sources / "Dockerfile"))

    check_can_build(images(aws, environment(tmp_path, 'dockerfile = "Dockerfile"'), {}))


def test_a_checkout_that_git_refuses_to_read_stops_no_release(
    aws: Aws, tmp_path: Path, checkout: GitCheckout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")

    choice = images(aws, environment(tmp_path, 'dockerfile = "Dockerfile"'), {})["orders"]

    assert isinstance(choice.pending, ImageBuild)
    assert "names no version and no commit: git cannot read the checkout" in choice.note


def test_the_declared_base_image_makes_another_image(aws: Aws, tmp_path: Path, sources: Path) -> None:
    (sources / "Dockerfile").write_text("ARG BASE=scratch\nFROM $BASE\n")
    mirror = "mirror.example.com/python@sha256:" + "a" * 64
    plain = environment(tmp_path, 'dockerfile = "Dockerfile"')
    mirrored = environment(tmp_path, f'dockerfile = "Dockerfile"\nbase = "{mirror}"')

    first, second = sources_of(plain, "orders", None), sources_of(mirrored, "orders", None)

    assert (first.base, second.base) == ("", mirror)
    assert first.tag != second.tag
