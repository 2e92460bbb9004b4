"""Broken files in the data directory of the laptop: each counts as missing, and none ends in a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from orderops.local.directories import DataDirectory
from orderops.local.ecs.processes import kill_orphans
from support.broken_documents import NOT_JSON


@pytest.mark.parametrize(
    "body", [*NOT_JSON.values(), b"{}", b'{"pid": "1", "message": 1}'], ids=[*NOT_JSON, "{}", "types"]
)
def test_a_broken_file_counts_as_missing(tmp_path: Path, body: bytes) -> None:
    files = DataDirectory(tmp_path)
    (tmp_path / "tasks" / "1").mkdir(parents=True)
    for name in ("key.json", "daemon.json", "start_error.json", "last_save.json", "port", "tasks/1/web.process"):
        (tmp_path / name).write_bytes(body)

    assert (files.key, files.announced(), files.start_error(), files.last_save(), files.port) == (
        None,
        {},
        None,
        None,
        None,
    )
    kill_orphans(files.tasks)


@pytest.mark.parametrize("text", ["0", "-1", "65536", "99999999999", "eighty"])
def test_a_number_that_is_no_port_counts_as_missing(tmp_path: Path, text: str) -> None:
    (tmp_path / "port").write_text(text)

    assert DataDirectory(tmp_path).port is None
