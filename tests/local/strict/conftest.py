"""Two emulators of one account, plain moto and the strict one, with a client for each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from botocore.exceptions import ClientError
from moto.moto_api._internal import moto_api_backend

from orderops.local.emulator.server import Emulator
from orderops.local.strict import make_strict
from orderops.local.strict.delays import Delays
from support.strict_clients import Client, Refused, served

LONG_DELAYS = Delays(
    network=2.0,
    balancer=2.0,
    interfaces=2.0,
    task=0.6,
    role=1.5,
    secret=1.5,
    alarm=1.5,
    certificate=1.5,
    queue_name=2.0,
    schedule_group=1.0,
    web_acl=1.0,
    link=0.5,
)
"""Long enough to see pending states on a busy machine."""


@pytest.fixture(scope="package")
def plain_server() -> Iterator[Client]:
    with served(Emulator()) as client:
        yield client


@pytest.fixture(scope="package")
def strict_server() -> Iterator[Client]:
    emulator = Emulator()
    make_strict(emulator, LONG_DELAYS)
    with served(emulator) as client:
        yield client


@pytest.fixture(autouse=True)
def _empty_account() -> None:
    moto_api_backend.reset()


@pytest.fixture
def moto(plain_server: Client) -> Client:
    """`moto("ec2")`: client of plain moto."""
    return plain_server


@pytest.fixture
def strict(strict_server: Client) -> Client:
    """`strict("ec2")`: client of the same account in the strict emulator."""
    return strict_server


@pytest.fixture
def refused() -> Refused:
    """`with refused("DependencyViolation"):` expects an error with this code in its block."""

    @contextmanager
    def expect(code: str) -> Iterator[None]:
        with pytest.raises(ClientError) as caught:
            yield
        assert caught.value.response["Error"]["Code"] == code

    return expect
