"""The version, the commit and the uncommitted files of a checkout, as the real git has them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orderops.errors import OrderopsError
from orderops.images.build import Sources
from orderops.images.checkout import Checkout, checkout_of
from support.git_checkout import COMMITTED_AT, GitCheckout, git_checkout

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


@pytest.fixture
def repository(tmp_path: Path) -> GitCheckout:
    """A checkout with one commit; the image is made of `app` and of the Dockerfile."""
    for path, text in {
        "app/orders.py": "1",
        "app/prices.py": "1",
        "docs/index.md": "1",
        ".dockerignore": "*\n!app\n**/*.pyc\n",
        ".gitignore": "*.log\n",
        "Dockerfile": "FROM scratch\nCOPY app /\n",
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    found = git_checkout(tmp_path)
    found.commit()
    return found


def opened(repository: GitCheckout) -> Checkout:
    found = checkout_of(repository.folder)
    assert found is not None
    return found


def uncommitted(repository: GitCheckout) -> tuple[str, ...]:
    return Sources(repository.folder, repository.folder / "Dockerfile").in_checkout().uncommitted()


def test_the_version_is_the_tag_of_the_commit_without_its_v(repository: GitCheckout) -> None:
    repository.git("tag", "v1.4.0")
    assert opened(repository).version() == "1.4.0"


def test_the_version_between_tags_counts_commits_and_names_the_commit(repository: GitCheckout) -> None:
    repository.git("tag", "v1.4.0")
    repository.commit()
    commit = repository.commit()

    assert opened(repository).version() == f"1.4.0-2-g{commit[:7]}"


def test_the_version_without_a_tag_names_the_commit(repository: GitCheckout) -> None:
    repository.git("tag", "deployed-to-prod")

    assert opened(repository).version() == f"0.0.0-g{repository.git('rev-parse', 'HEAD')[:7]}"


def test_a_release_precedes_its_candidates_and_older_versions_of_the_commit(repository: GitCheckout) -> None:
    for tag in ("v1.10.0-rc.1", "v1.10.0", "v1.9.0", "zebra"):
        repository.git("tag", tag)

    assert opened(repository).version() == "1.10.0"


def test_the_commit_and_its_time_are_read(repository: GitCheckout) -> None:
    found = opened(repository)

    assert (found.revision, found.committed_at) == (repository.git("rev-parse", "HEAD"), COMMITTED_AT)
    assert not found.shallow


def test_a_clean_checkout_has_nothing_uncommitted(repository: GitCheckout) -> None:
    (repository.folder / "docs/index.md").write_text("2")
    (repository.folder / "notes.txt").write_text("not in the image")
    (repository.folder / "app/orders.pyc").write_text("not in the image")

    assert uncommitted(repository) == ()


@pytest.mark.parametrize("path", ["app/orders.py", "app/new.py", "app/debug.log", "Dockerfile", ".dockerignore"])
def test_what_the_image_holds_and_no_commit_is_named(repository: GitCheckout, path: str) -> None:
    with (repository.folder / path).open("a") as file:
        file.write("\n# more\n")

    assert uncommitted(repository) == (path,)


def test_what_git_keeps_for_itself_needs_no_commit(repository: GitCheckout) -> None:
    (repository.folder / ".dockerignore").unlink()
    repository.commit()

    assert uncommitted(repository) == ()


def test_a_change_that_is_staged_is_not_committed(repository: GitCheckout) -> None:
    (repository.folder / "app/orders.py").write_text("2")
    repository.git("add", "--all")

    assert uncommitted(repository) == ("app/orders.py",)


def test_a_deleted_file_of_the_image_is_named(repository: GitCheckout) -> None:
    (repository.folder / "app/prices.py").unlink()
    (repository.folder / "docs/index.md").unlink()

    assert uncommitted(repository) == ("app/prices.py",)


def test_a_context_below_the_root_of_the_checkout_is_compared_too(repository: GitCheckout) -> None:
    (repository.folder / "app/Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    repository.commit()
    (repository.folder / "app/ä name.py").write_text("2")
    folder = repository.folder / "app"

    assert Sources(folder, folder / "Dockerfile").in_checkout().uncommitted() == ("app/ä name.py",)


def test_a_folder_that_its_checkout_ignores_is_in_none(repository: GitCheckout) -> None:
    (repository.folder / ".gitignore").write_text("installed\n")
    folder = repository.folder / "installed"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\n")

    assert Sources(folder, folder / "Dockerfile").in_checkout().checkout is None


def test_a_folder_outside_of_git_and_a_checkout_without_a_commit_have_no_version(tmp_path: Path) -> None:
    assert checkout_of(tmp_path) is None
    git_checkout(tmp_path)
    assert checkout_of(tmp_path) is None


def test_a_machine_without_git_has_no_version(repository: GitCheckout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository.folder))

    assert checkout_of(repository.folder) is None


def test_a_checkout_that_git_refuses_to_read_is_an_error_with_its_words(
    repository: GitCheckout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that runs as root in a folder of another user (git 2.35.2, safe.directory)."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")

    with pytest.raises(OrderopsError, match="git cannot read the checkout: detected dubious ownership") as refused:
        checkout_of(repository.folder)

    assert "git config --global --add safe.directory" in refused.value.hint


def test_a_shallow_clone_is_known(repository: GitCheckout, tmp_path_factory: pytest.TempPathFactory) -> None:
    repository.commit()
    clone = tmp_path_factory.mktemp("clones") / "shallow"
    repository.git("clone", "--quiet", "--depth", "1", f"file://{repository.folder}", str(clone))

    found = checkout_of(clone)

    assert found is not None
    assert found.shallow
