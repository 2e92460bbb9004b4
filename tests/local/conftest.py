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
    """Local environment shared by all tests that leave it running."""
    with scratch("orderops-local-") as directory:
        started = Laptop(directory, local.start(Laptop.region, directory))
        started.give_rds_its_role()
        yield started
        # A daemon that ends in order shuts every database down in order, which takes a minute.
        started.kill()
        local.reset(directory)


@pytest.fixture
def own_laptop() -> Iterator[Laptop]:
    """Local environment of one test, which may kill and restart it."""
    with scratch("orderops-local-") as directory:
        started = Laptop(directory, local.start(Laptop.region, directory))
        started.give_rds_its_role()
        yield started
        local.reset(directory)
