"""The content tag of an image, and which files .dockerignore excludes from it."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from orderops.errors import OrderopsError, UsageError
from orderops.images.builder import builder
from orderops.images.content_hash import Ignore, content_tag, context_files

FILES = [
    ".env",
    "README.md",
    "a",
    "b.py",
    "d/e/f/g.txt",
    "d/e/h.md",
    "docs/README.md",
    "docs/x.md",
    "foo[1].txt",
    "src/.env",
    "src/__pycache__/k",
    "src/a.py",
    "src/x/__pycache__/a.pyc",
    "src/x/a.py",
    "we ird/file",
]
NEVER_COPIED = {"Dockerfile", ".dockerignore"}
IGNORED = {
    "nothing": [],
    "a list of what may in": ["*", "!src", "!README.md", "**/__pycache__"],
    "the last match wins": ["!a", "*", "!docs", "docs/*.md", "!docs/x.md"],
    "a folder takes all below": ["d", "!d/e/h.md", "src/"],
    "stars stay in a folder": ["*/a.py", "d/*/f", "*.md"],
    "two stars cross folders": ["**/*.md", "src/**/a.py", "**/x/**"],
    "spelled in other ways": ["/a", "./b.py", "src/../README.md", "  ", "# d", "../docs"],
    "signs with a meaning": ["foo\\[1\\].txt", "[ab]", "we ird", "?.py"],
    "hidden files anywhere": ["**/.env"],
    "an exception below": ["**/__pycache__", "!src/x/__pycache__/a.pyc"],
}


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A folder with files of all sorts and a Dockerfile."""
    folder = tmp_path / "context"
    for name in FILES:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(name)
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    return folder


def tag(context: Path) -> str:
    return content_tag(context, context / "Dockerfile")


def files(context: Path) -> set[str]:
    return set(context_files(context, context / "Dockerfile"))


def test_the_same_sources_in_another_folder_have_the_same_tag(context: Path, tmp_path: Path) -> None:
    elsewhere = shutil.copytree(context, tmp_path / "elsewhere")

    assert tag(elsewhere) == tag(context)
    assert tag(context).startswith("src-")


def test_the_modification_time_of_a_file_does_not_change_the_tag(context: Path) -> None:
    before = tag(context)

    (context / "a").touch()

    assert tag(context) == before


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda folder: (folder / "a").write_text("other"), id="content"),
        pytest.param(lambda folder: (folder / "a").rename(folder / "a2"), id="name"),
        pytest.param(lambda folder: (folder / "a").chmod(0o755), id="may be run"),
        pytest.param(lambda folder: (folder / "new").write_text(""), id="a new file"),
        pytest.param(lambda folder: (folder / "new").symlink_to("a"), id="a new link"),
        pytest.param(lambda folder: (folder / "Dockerfile").write_text("FROM scratch\n"), id="the Dockerfile"),
    ],
)
def test_a_change_of_the_image_changes_the_tag(context: Path, change: object) -> None:
    before = tag(context)

    assert callable(change)
    change(context)

    assert tag(context) != before


def test_a_change_of_an_ignored_file_keeps_the_tag(context: Path) -> None:
    (context / ".dockerignore").write_text("*\n!src\n**/__pycache__\n")
    before = tag(context)

    (context / "src/__pycache__/k").write_text("other")
    (context / "README.md").write_text("other")

    assert tag(context) == before


def test_the_target_of_a_link_changes_the_tag_even_if_the_target_is_missing(context: Path) -> None:
    (context / "link").symlink_to("nowhere")
    before = tag(context)

    (context / "link").unlink()
    (context / "link").symlink_to("somewhere")

    assert "link" in files(context)
    assert tag(context) != before


def test_the_ignore_file_of_a_dockerfile_replaces_that_of_the_context(context: Path) -> None:
    (context / ".dockerignore").write_text("*\n")
    (context / "Dockerfile.dockerignore").write_text("*\n!a\n")

    assert files(context) == {"a"}


def test_an_excluded_folder_is_read_only_if_an_exception_may_include_its_files(context: Path) -> None:
    ignore = Ignore(["*", "!src", "!docs/*.md"])

    assert not ignore.may_include_below(".venv")
    assert ignore.may_include_below("docs")


def test_an_invalid_pattern_is_an_error_with_its_file(context: Path) -> None:
    (context / ".dockerignore").write_text("src\nfoo[1\n")

    with pytest.raises(UsageError, match=r"\.dockerignore: 'foo\[1' is not a valid pattern"):
        tag(context)


def test_a_missing_dockerfile_is_an_error(context: Path) -> None:
    with pytest.raises(OrderopsError, match=r"Dockerfile\.other: no such file"):
        content_tag(context, context / "Dockerfile.other")


@pytest.mark.parametrize("patterns", [pytest.param(lines, id=name) for name, lines in IGNORED.items()])
def test_the_counted_files_are_those_that_a_builder_copies(
    context: Path, tmp_path: Path, patterns: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDEROPS_BUILDER", "buildah")
    try:
        builder()
    except OrderopsError as refusal:
        pytest.skip(f"needs buildah, apt-get install buildah: {refusal.message.splitlines()[-1]}")
    (context / ".dockerignore").write_text("\n".join(patterns))

    assert files(context) - NEVER_COPIED == _copied(context, tmp_path) - NEVER_COPIED


def _copied(context: Path, work: Path) -> set[str]:
    """What a real builder puts into the image."""
    store = ["--root", f"{work}/root", "--runroot", f"{work}/run", "--storage-driver", "vfs"]
    image, out = "localhost/content:1", work / "image"
    for command in (["build", "--isolation", "chroot", "--tag", image, str(context)], ["push", image, f"dir:{out}"]):
        subprocess.run(["buildah", *store, *command], check=True, capture_output=True, timeout=60)
    (layer,) = json.loads((out / "manifest.json").read_text())["layers"]
    with tarfile.open(out / layer["digest"].removeprefix("sha256:")) as archive:
        return {member.name for member in archive if not member.isdir()}
