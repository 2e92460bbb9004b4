"""Mode of the local environment: set by an option and kept until set again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from orderops import local
from orderops.local.users import scratch
from support.command_line import Orderops


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with scratch("orderops-local-") as folder:
        monkeypatch.setenv("ORDEROPS_LOCAL_DIRECTORY", str(folder))
        yield folder
        local.reset(folder)


@pytest.fixture
def orderops(capsys: pytest.CaptureFixture[str]) -> Orderops:
    return Orderops(capsys)


def strict(orderops: Orderops) -> bool:
    return bool(json.loads(orderops("local", "status", "--json").out)["strict"])


@pytest.mark.slow
def test_the_mode_is_strict_at_first_and_changes_only_by_an_option(orderops: Orderops, directory: Path) -> None:
    assert strict(orderops)
    assert orderops("local", "start").code == 0
    assert strict(orderops)
    assert "mode      strict: " in orderops("local", "status").out

    assert orderops("local", "stop").code == 0
    assert orderops("local", "start", "--plain").code == 0
    assert not strict(orderops)
    assert "mode      plain: " in orderops("local", "status").out

    assert orderops("local", "stop").code == 0
    local.start("ap-southeast-2", directory)  # without a mode, like `orderops up`
    assert not strict(orderops)

    assert orderops("local", "stop").code == 0
    assert orderops("local", "start", "--strict").code == 0
    assert strict(orderops)


def test_a_running_environment_refuses_another_mode(orderops: Orderops, directory: Path) -> None:
    assert orderops("local", "start").code == 0

    refused = orderops("local", "start", "--plain")

    assert refused.code == 1
    assert refused.err == (
        "error: the local environment is already running in strict mode\n hint: stop it first: orderops local stop\n"
    )
    assert orderops("local", "start", "--strict").code == 0
    assert orderops("local", "start").code == 0
