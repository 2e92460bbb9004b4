from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from orderops import local
from orderops.local.users import scratch
from support.laptop import Laptop
from support.repository import ROOT

os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "tests" / "support"), os.environ.get("PYTHONPATH", "")])


@pytest.fixture(scope="session")
def laptop() -> Iterator[Laptop]:
    """One local environment for all tests that need it to stay up."""
    with scratch("orderops-local-") as directory:
        yield Laptop(directory, local.start(Laptop.region, directory))
        local.reset(directory)


@pytest.fixture
def own_laptop() -> Iterator[Laptop]:
    """A local environment of this test's own, to be killed and started again."""
    with scratch("orderops-local-") as directory:
        yield Laptop(directory, local.start(Laptop.region, directory))
        local.reset(directory)
