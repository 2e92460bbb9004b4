"""Fixtures: the environment dev, with a database that has been backed up for days.

A test module loads them with `pytest_plugins = ["support.recorded_history_fixtures"]` and uses `dev`, or `restored` and
`promoted`, which have a second instance. Each test starts from the same state.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest

from orderops.infra.apply import Apply
from orderops.local.strict.delays import Delays
from support.command_line import Orderops
from support.faulty_proxy import Proxy, served
from support.recorded_history import IMAGES, Dev
from support.repository import ENVIRONMENTS
from support.shared_accounts import made_once

SWIFT = Delays(database=0.05, backup_lag=0.1, task=0.02, secret=0.05)


@pytest.fixture(scope="session")
def swift() -> Iterator[Proxy]:
    """An emulated AWS with short delays."""
    with served(SWIFT) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def _made(swift: Proxy) -> bytes:
    kept = made_once("recorded-history", swift.url, lambda: _make(swift))
    # Without it, the garbage collector goes through all objects again and again, which costs more than most tests.
    gc.freeze()
    return kept


@pytest.fixture(scope="session")
def _restored(swift: Proxy, _made: bytes) -> bytes:
    swift.bring_back(_made)
    Dev(swift).restore()
    return swift.keep()


@pytest.fixture(scope="session")
def _promoted(swift: Proxy, _restored: bytes) -> bytes:
    swift.bring_back(_restored)
    Dev(swift).promote()
    return swift.keep()


def _make(swift: Proxy) -> bytes:
    dev = Dev(swift)
    swift.reset()
    run = Apply(dev.workspace, IMAGES)
    assert len([*run.infra(), *run.release()]) > 40
    dev.age()
    return swift.keep()


@pytest.fixture
def brought(swift: Proxy, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], Dev]:
    """Restore the state of an account, for commands as well."""

    def bring(state: bytes) -> Dev:
        monkeypatch.setenv("AWS_ENDPOINT_URL", swift.url)
        swift.bring_back(state)
        return Dev(swift)

    return bring


@pytest.fixture
def dev(brought: Callable[[bytes], Dev], _made: bytes) -> Dev:
    """The environment with its database only."""
    return brought(_made)


@pytest.fixture
def restored(brought: Callable[[bytes], Dev], _restored: bytes) -> Dev:
    """The environment with an instance that was restored to YESTERDAY."""
    return brought(_restored)


@pytest.fixture
def promoted(brought: Callable[[bytes], Dev], _promoted: bytes) -> Dev:
    """The environment with that instance as the primary, and the original as the former one."""
    return brought(_promoted)


@pytest.fixture
def orderops(capsys: pytest.CaptureFixture[str]) -> Orderops:
    """The command line, on dev."""
    return Orderops(capsys, "--env", "dev", "--environments", str(ENVIRONMENTS))
