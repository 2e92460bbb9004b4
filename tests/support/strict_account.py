"""An account in the strict emulator, in this process, for tests of resources and of the engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import pytest
from moto.core.models import botocore_stubber

from orderops.aws.client import Aws
from orderops.local.emulator.server import Emulator
from orderops.local.strict import make_strict
from orderops.local.strict.delays import Delays
from support.service_roles import give_rds_its_role
from support.strict_clients import Client, served

REGION = "ap-southeast-2"
SHORT = Delays(role=0.1, database=0.05, network=0.05)


@contextmanager
def strict_account(delays: Delays = SHORT) -> Iterator[Client]:
    """Serve the account; the state is moto's own, which the fixture `session` empties after each test."""
    emulator = Emulator()
    make_strict(emulator, delays)
    with served(emulator) as client:
        yield client


def strict_aws(account: Client, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """AWS as the program reaches it, in that account over HTTP, which has used RDS before."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", str(account("rds").meta.endpoint_url))
    # Else moto would answer in place of the server. Not undone: that may come after the test's session has ended, and
    # moto would then answer in later tests, too.
    botocore_stubber.enabled = False
    give_rds_its_role()
    return Aws(REGION, session=boto3.Session("testing", "testing", region_name=REGION))
