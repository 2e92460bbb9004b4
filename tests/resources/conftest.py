"""The strict emulator, for kinds of which moto can neither list all nor change all."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from moto.moto_api._internal import moto_api_backend

from orderops.aws.client import Aws
from orderops.local.emulator.server import Emulator
from orderops.local.strict import make_strict
from orderops.local.strict.delays import Delays
from support.call_checker import check_strictly
from support.faults import Faults
from support.shared_parts import share_parts
from support.strict_clients import Client, served

NONE = Delays(network=0, balancer=0, interfaces=0, role=0, listing=0, secret=0, link=0.05)


@pytest.fixture(scope="package")
def server() -> Iterator[Client]:
    emulator = Emulator()
    make_strict(emulator, NONE)
    with served(emulator) as client:
        yield client


@pytest.fixture
def strict_aws(server: Client, the_faults: Faults) -> Aws:
    """An empty account in the strict emulator, whose answers the test may lose."""
    moto_api_backend.reset()
    share_parts()
    session = boto3.Session("testing", "testing", region_name="ap-southeast-2")
    check_strictly(session)
    the_faults.install(session)
    return Aws("ap-southeast-2", endpoint_url=server("sts").meta.endpoint_url, session=session)
