"""Fixtures: dev with a database that has a past.

A test module asks for them with `pytest_plugins =
["support.recorded_history_fixtures"]`, and takes `dev`, or dev with something beside it:
`restored`, `promoted`. Each test has it as it was made.
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

SWIFT = Delays(
    database=0.05,
    backup_lag=0.1,
    task=0.02,
    secret=0.05,
)


@pytest.fixture(scope="session")
def swift() -> Iterator[Proxy]:
    """An emulated AWS that is quick about databases."""
    with served(SWIFT) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def _made(swift: Proxy) -> bytes:
    dev = Dev(swift)
    swift.reset()
    run = Apply(dev.workspace, IMAGES)
    assert len([*run.infra(), *run.release()]) > 40
    dev.age()
    gc.freeze()  # what is there by now stays: looked through again and again, it costs more than most of these tests
    return swift.keep()


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


@pytest.fixture
def brought(swift: Proxy, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], Dev]:
    """Bring an account back, for commands too."""

    def bring(kept: bytes) -> Dev:
        monkeypatch.setenv("AWS_ENDPOINT_URL", swift.url)
        swift.bring_back(kept)
        return Dev(swift)

    return bring


@pytest.fixture
def dev(brought: Callable[[bytes], Dev], _made: bytes) -> Dev:
    """Nothing beside the database."""
    return brought(_made)


@pytest.fixture
def restored(brought: Callable[[bytes], Dev], _restored: bytes) -> Dev:
    """A copy as of YESTERDAY beside the database."""
    return brought(_restored)


@pytest.fixture
def promoted(brought: Callable[[bytes], Dev], _promoted: bytes) -> Dev:
    """That copy in the place of the database, which is still there."""
    return brought(_promoted)


@pytest.fixture
def orderops(capsys: pytest.CaptureFixture[str]) -> Orderops:
    """The command line, on dev."""
    return Orderops(capsys, "--env", "dev", "--environments", str(ENVIRONMENTS))
