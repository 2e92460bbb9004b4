"""Where files of the user go, with a home and without one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from orderops.aws import call_log
from orderops.aws.user_directory import user_directory
from orderops.errors import OrderopsError

# An absolute path that not even root can create, as below the home "/" of a user without an entry in /etc/passwd.
UNWRITABLE = "/proc/self/home/.local/state/orderops"
RELATIVE = "~/.local/state/orderops"
WITHOUT_HOME = [UNWRITABLE, RELATIVE]


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The private directory of this user below a temporary directory of the test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # Root may write everywhere, also in /proc as far as access() knows.
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).startswith("/proc") and access(path, mode))
    return tmp_path / f"orderops-{os.getuid()}"


def test_a_user_with_a_home_keeps_files_there(private: Path, tmp_path: Path) -> None:
    home = tmp_path / "home" / ".local" / "state" / "orderops"

    assert user_directory(str(home)) == home
    assert not private.exists()


@pytest.mark.parametrize("preferred", WITHOUT_HOME)
def test_a_user_without_a_home_has_a_directory_that_no_other_user_enters(private: Path, preferred: str) -> None:
    assert user_directory(preferred) == private
    assert private.stat().st_mode & 0o777 == 0o700
    assert user_directory(preferred) == private


def as_a_link(path: Path) -> None:
    (path.parent / "elsewhere").mkdir(mode=0o700)
    path.symlink_to(path.parent / "elsewhere")


def as_a_dangling_link(path: Path) -> None:
    path.symlink_to(path.parent / "elsewhere")


def as_a_file(path: Path) -> None:
    path.touch(mode=0o600)


def as_an_open_directory(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (as_a_link, "not a directory"),
        (as_a_dangling_link, "file exists"),
        (as_a_file, "file exists"),
        (as_an_open_directory, "open to other users (mode 0777)"),
    ],
)
def test_a_directory_that_another_user_may_have_made_is_refused(
    private: Path, make: Callable[[Path], None], why: str
) -> None:
    make(private)

    with pytest.raises(OrderopsError) as refused:
        user_directory(UNWRITABLE)

    assert refused.value.message == f"{private}: {why}"
    assert refused.value.hint.startswith(f"delete {private}")


def test_a_directory_of_another_user_is_refused(private: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, user = os.getuid(), os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: user)
    theirs = private.with_name(f"orderops-{user}")
    theirs.mkdir(mode=0o700)

    with pytest.raises(OrderopsError) as refused:
        user_directory(RELATIVE)

    assert refused.value.message == f"{theirs}: belongs to another user (uid {owner})"


def test_a_refused_directory_is_reported_once_and_fails_no_command(
    private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ORDEROPS_LOG_DIRECTORY")
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/self/home/.local/state")
    as_an_open_directory(private)
    reports: list[str] = []

    with call_log.logged(reports.append):
        call_log.CALLS.info("a call")

    assert reports == [f"calls are not logged: {private}: open to other users (mode 0777)"]
    assert list(private.iterdir()) == []
