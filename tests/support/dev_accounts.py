"""Accounts that hold the environment dev, made once for a run and brought back for each test.

A test module loads them with `pytest_plugins = ["support.dev_accounts"]`.
"""

from __future__ import annotations

import pickle

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.config.environment import load_environment
from orderops.infra.apply import Apply
from orderops.infra.workspace import Workspace
from support.faulty_proxy import Proxy
from support.repository import ENVIRONMENTS
from support.shared_accounts import made_once

REGION = "ap-southeast-2"
IMAGES = {"order-processor": "123456789012.dkr.ecr.ap-southeast-2.amazonaws.com/orderops-dev-order-processor:1"}


@pytest.fixture(scope="session")
def _dev_accounts(account: Proxy) -> tuple[bytes, bytes]:
    before_release, released = pickle.loads(
        made_once("dev-accounts", account.url, lambda: pickle.dumps(_make(account)))
    )
    return before_release, released


def _make(account: Proxy) -> tuple[bytes, bytes]:
    account.reset()
    session = boto3.Session("testing", "testing", region_name=REGION)
    aws = Aws(REGION, endpoint_url=account.url, session=session)
    run = Apply(Workspace(load_environment("dev", ENVIRONMENTS), aws), IMAGES)
    infra = list(run.infra())
    before_release = account.keep()
    assert len([*infra, *run.release()]) > 40
    return before_release, account.keep()


@pytest.fixture(scope="session")
def dev_infra(_dev_accounts: tuple[bytes, bytes]) -> bytes:
    """An account with the infrastructure of dev, before its first release."""
    return _dev_accounts[0]


@pytest.fixture(scope="session")
def dev_released(_dev_accounts: tuple[bytes, bytes]) -> bytes:
    """An account with the environment dev, released and running."""
    return _dev_accounts[1]
