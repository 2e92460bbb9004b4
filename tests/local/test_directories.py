"""Which data directory an operator has."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from orderops import local

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: other users have a directory in their home")


@pytest.fixture(autouse=True)
def _default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORDEROPS_LOCAL_DIRECTORY", raising=False)


def directory_with(monkeypatch: pytest.MonkeyPatch, home: str | None) -> Path:
    if home is None:
        monkeypatch.delenv("HOME", raising=False)
    else:
        monkeypatch.setenv("HOME", home)
    return local.data_directory()


@pytest.mark.parametrize("home", [pwd.getpwuid(0).pw_dir, "", None])
def test_root_keeps_the_directory_that_it_had(monkeypatch: pytest.MonkeyPatch, home: str | None) -> None:
    assert directory_with(monkeypatch, home) == Path("/var/lib/orderops/local")


def test_root_has_a_directory_for_each_home(monkeypatch: pytest.MonkeyPatch) -> None:
    homes = ["/home/ada", "/srv/ada", "/home/bob", "/", "/root"]

    directories = {directory_with(monkeypatch, home) for home in homes}

    assert len(directories) == len(homes)
    # The system user that PostgreSQL runs as can enter these, and no home with mode 0700.
    assert {directory.parent for directory in directories} == {Path("/var/lib/orderops")}
    assert directory_with(monkeypatch, "/home/ada") == directory_with(monkeypatch, "/home/ada/")
