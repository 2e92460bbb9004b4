"""JWT authorizers of an HTTP API."""

from __future__ import annotations

import pytest

from orderops.aws.client import Aws
from orderops.engine.step import Action
from orderops.frozen import replace
from support.contract import Up, keeps_its_promises
from support.declared_api import AUTHORIZER


@pytest.fixture
def aws(strict_aws: Aws) -> Aws:
    return strict_aws


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(AUTHORIZER, aws, up, issuer="https://other.example.com/", audience=("orders", "reports"))


def test_the_order_of_audiences_is_no_difference(aws: Aws, up: Up) -> None:
    up(replace(AUTHORIZER, audience=("a", "b")))

    assert up(replace(AUTHORIZER, audience=("b", "a")))[AUTHORIZER.address].action is Action.NO_OP
