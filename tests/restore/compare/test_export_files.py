"""The files of an export: only their owner reads them, none is overwritten, and what prevents one is an error."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from orderops.errors import OrderopsError
from orderops.restore.compare.export import new_file, new_folder, write


def refused(make: Callable[[], object]) -> tuple[str, str]:
    """The message and the hint of an error."""
    with pytest.raises(OrderopsError) as error:
        make()
    return error.value.message, error.value.hint


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_files_with_rows_are_read_by_their_owner_only(tmp_path: Path) -> None:
    folder = new_folder(tmp_path / "above" / "rows")

    with new_file(folder / "orders.csv") as file:
        write(file, b"1,a\n")

    assert (mode(folder), mode(folder / "orders.csv")) == (0o700, 0o600)
    assert (folder / "orders.csv").read_bytes() == b"1,a\n"


def test_an_empty_folder_is_used_and_another_one_is_not(tmp_path: Path) -> None:
    assert new_folder(tmp_path) == tmp_path
    (tmp_path / "old.csv").touch()

    assert refused(lambda: new_folder(tmp_path)) == (
        f"{tmp_path} is not empty, and its files are never overwritten",
        "name a new folder",
    )
    assert refused(lambda: new_folder(tmp_path / "old.csv")) == (
        f"cannot write to {tmp_path / 'old.csv'}: File exists",
        "name another folder",
    )


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("kept")

    assert refused(lambda: new_file(path)) == (f"{path} exists and is not overwritten", "name a new file")
    assert path.read_text() == "kept"


def test_a_file_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "orders.csv"

    assert refused(lambda: new_file(path)) == (f"cannot write {path}: No such file or directory", "name another file")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_is_an_error() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        assert refused(lambda: write(full, b"1,a\n")) == (
            "cannot write /dev/full: No space left on device",
            "free some disk space, or name another folder",
        )
