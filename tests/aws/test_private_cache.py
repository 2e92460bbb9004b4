"""Files that are kept to save work: what is damaged, foreign or not writable is as if it were missing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orderops.aws.private_cache import PrivateCache

CONTENT = b'{"operations":{}}'
DAY = 24 * 3600


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of the cache, which the first write creates."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "orderops" / "models" / "1.0"


@pytest.fixture
def cache(directory: Path) -> PrivateCache:
    return PrivateCache("models", "1.0")


def run(directory: Path, code: str) -> int:
    """Run code that has a `cache` in a process of its own, and return how it ended."""
    given = "from orderops.aws.private_cache import PrivateCache\ncache = PrivateCache('models', '1.0')\n"
    env = {**os.environ, "XDG_CACHE_HOME": str(directory.parents[2])}
    return subprocess.run([sys.executable, "-c", given + code], env=env, timeout=60).returncode


def test_a_file_is_read_as_it_was_written(cache: PrivateCache) -> None:
    assert cache.read("a") is None

    cache.write("a", CONTENT)

    assert cache.read("a") == CONTENT


def test_only_its_user_can_enter_the_cache_and_read_its_files(cache: PrivateCache, directory: Path) -> None:
    cache.write("a", CONTENT)

    assert directory.stat().st_mode & 0o777 == 0o700
    assert (directory / "a").stat().st_mode & 0o777 == 0o600


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def changed(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"operations", b"operationz"))


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def opened_to_others(file: Path) -> None:
    file.chmod(0o666)


def linked(file: Path) -> None:
    file.rename(file.with_suffix(".other"))
    file.symlink_to(file.with_suffix(".other"))


def made_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir(mode=0o700)


def opened_folder(file: Path) -> None:
    file.parent.chmod(0o777)


def linked_folder(file: Path) -> None:
    elsewhere = file.parent.with_name("elsewhere")
    file.parent.rename(elsewhere)
    file.parent.symlink_to(elsewhere)


@pytest.mark.parametrize(
    "spoil", [cut_off, changed, emptied, opened_to_others, linked, made_a_folder, opened_folder, linked_folder]
)
def test_a_file_that_cannot_be_trusted_counts_as_missing(
    cache: PrivateCache, directory: Path, spoil: Callable[[Path], None]
) -> None:
    cache.write("a", CONTENT)

    spoil(directory / "a")

    assert cache.read("a") is None


def test_a_damaged_file_is_replaced(cache: PrivateCache, directory: Path) -> None:
    cache.write("a", CONTENT)
    cut_off(directory / "a")

    cache.write("a", CONTENT)

    assert cache.read("a") == CONTENT


def test_the_cache_of_another_user_is_neither_read_nor_written(
    cache: PrivateCache, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.write("a", CONTENT)
    user = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: user)

    cache.write("b", CONTENT)

    assert cache.read("a") is None
    assert [file.name for file in directory.iterdir()] == ["a"]


def test_nothing_is_created_in_the_home_of_another_user(
    cache: PrivateCache, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: user)

    cache.write("a", CONTENT)

    assert not directory.exists()


def test_nothing_is_written_where_no_directory_can_be(directory: Path, cache: PrivateCache) -> None:
    directory.parents[2].write_text("a file in place of the directory")

    cache.write("a", CONTENT)

    assert cache.read("a") is None


def test_a_full_disk_leaves_the_earlier_file_and_nothing_else(cache: PrivateCache, directory: Path) -> None:
    cache.write("a", CONTENT)
    # A limit for files stands in for the end of the disk: a write fails in the middle in the same way.
    full = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
cache.write("a", b"x" * 100_000)
"""

    assert run(directory, full) == 0
    assert cache.read("a") == CONTENT
    assert [file.name for file in directory.iterdir()] == ["a"]


def test_a_process_killed_while_it_writes_leaves_the_earlier_file(cache: PrivateCache, directory: Path) -> None:
    cache.write("a", CONTENT)
    killed = """
import os, signal
os.replace = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
cache.write("a", b"another")
"""

    assert run(directory, killed) == -9
    assert cache.read("a") == CONTENT


def test_two_writers_at_once_leave_the_file_of_one_of_them(cache: PrivateCache) -> None:
    contents = [letter * 500_000 for letter in (b"a", b"b")]
    cache.write("a", contents[0])

    def written_and_read(content: bytes) -> set[bytes | None]:
        found = set()
        for _ in range(20):
            cache.write("a", content)
            found.add(cache.read("a"))
        return found

    with ThreadPoolExecutor(2) as threads:
        found = set[bytes | None]().union(*threads.map(written_and_read, contents))

    assert found <= set(contents)


def test_directories_of_replaced_versions_are_deleted_after_a_month(directory: Path) -> None:
    for version, days in {"0.8": 31, "0.9": 29}.items():
        PrivateCache("models", version).write("a", CONTENT)
        unused_since = (directory.parent / version).stat().st_mtime - days * DAY
        os.utime(directory.parent / version, (unused_since, unused_since))

    PrivateCache("models", "1.0").write("a", CONTENT)

    assert sorted(found.name for found in directory.parent.iterdir()) == ["0.9", "1.0"]
