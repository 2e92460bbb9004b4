"""The files of an export: only their owner reads them, none is overwritten, and what prevents one is an error."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from orderops.errors import OrderopsError
from orderops.restore.compare.comparison import compare
from orderops.restore.compare.export import new_file, new_folder, write
from support.two_databases import DatabasePair

pytest_plugins = ["support.postgres_fixtures", "support.two_databases"]


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


def test_a_file_is_named_after_its_table_and_begins_with_the_columns(two: DatabasePair, tmp_path: Path) -> None:
    two.both(
        'create table "a/b c" (id int primary key, "größe, cm" int, twice int generated always as (id * 2) stored)',
    )
    two.live.execute('insert into "a/b c" values (1, 7)')

    compare(two.live.login, two.restored.login, export=tmp_path)

    # A slash would be a folder.
    [path] = tmp_path.iterdir()
    assert path.name == "public.a%2Fb c.only-in-live.csv"
    assert path.read_bytes() == 'id,"größe, cm"\n1,7\n'.encode()
    assert mode(path) == 0o600


def test_more_rows_than_a_batch_are_written_once(two: DatabasePair, tmp_path: Path) -> None:
    two.both("create table t (id int primary key, v int)")
    two.live.execute("insert into t select i, i from generate_series(1, 2500) i")
    two.restored.execute(
        "insert into t select i, i from generate_series(2001, 4100) i; update t set v = 0 where id < 2100"
    )

    compare(two.live.login, two.restored.login, export=tmp_path / "rows")

    assert {path.name: sorted(path.read_text().splitlines()[1:]) for path in (tmp_path / "rows").iterdir()} == {
        "public.t.only-in-live.csv": sorted(f"{i},{i}" for i in range(1, 2001)),
        "public.t.only-in-restored.csv": sorted(f"{i},{i}" for i in range(2501, 4101)),
        "public.t.changed-live.csv": sorted(f"{i},{i}" for i in range(2001, 2100)),
        "public.t.changed-restored.csv": sorted(f"{i},0" for i in range(2001, 2100)),
    }
