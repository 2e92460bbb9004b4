"""What tests stand on: an emulated AWS checked strictly, the engine on it, and the faults it must survive."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any

import boto3
import botocore.handlers
import pytest
from moto import mock_aws
from moto.core.models import botocore_stubber

from orderops.aws.client import Aws
from orderops.engine.inventory import Inventory
from orderops.engine.reconcile import reconcile
from orderops.engine.resource import Resource
from orderops.engine.step import Step
from support.call_checker import check_strictly
from support.contract import Up
from support.emulated_account import MODELS, QUICK, with_needs
from support.faults import Fault, Faults

if TYPE_CHECKING:
    from xdist.scheduler import WorkStealingScheduling

    from support.faulty_proxy import Proxy

ENVIRONMENT = "dev"
logging.getLogger("werkzeug").setLevel(
    logging.WARNING
)  # a line for every call of every test is a slow way to say nothing
_one_at_a_time = threading.RLock()


def _serialised(event_name: str, request: Any, **more: Any) -> Any:
    with _one_at_a_time:  # the emulator is not made for threads
        return botocore_stubber(event_name, request, **more)


botocore.handlers.BUILTIN_HANDLERS[:] = [
    (each[0], _serialised, *each[2:]) if each[1] is botocore_stubber else each
    for each in botocore.handlers.BUILTIN_HANDLERS
]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> WorkStealingScheduling:
    """Who is done takes from who is not: the longest tests stand at the end."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more process than there are processors: many tests mostly wait."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(autouse=True)
def _no_real_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "ap-southeast-2",
        "AWS_EC2_METADATA_DISABLED": "true",
        "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
        "ORDEROPS_LOG_DIRECTORY": str(tmp_path_factory.getbasetemp() / "log"),
    }.items():
        monkeypatch.setenv(name, value)
    for name in (
        "AWS_PROFILE",
        "AWS_ENDPOINT_URL",
        "ORDEROPS_ENV",
        "ORDEROPS_ENVIRONMENTS",
        "ORDEROPS_SQL",
        "ORDEROPS_VERBOSE",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def the_faults() -> Faults:
    """What is done to the answers of `session`, and the calls that it made."""
    return Faults()


@pytest.fixture
def session(the_faults: Faults) -> Iterator[boto3.Session]:
    """A boto3 session on an empty emulated account; every call's parameters are checked against AWS's own models."""
    with mock_aws():
        made = boto3.Session(region_name="ap-southeast-2")
        made._session.register_component("data_loader", MODELS)
        check_strictly(made)
        the_faults.install(made)
        yield made


@pytest.fixture
def aws(session: boto3.Session) -> Aws:
    return Aws("ap-southeast-2", session=session)


@pytest.fixture
def survey_of(aws: Aws) -> Callable[..., Inventory]:
    """A fresh survey of the kinds of these resources."""

    def look(*resources: Resource, environment: str = ENVIRONMENT) -> Inventory:
        kinds = dict.fromkeys(type(resource) for resource in with_needs(resources))
        return Inventory(aws, environment, tuple(kinds))

    return look


@pytest.fixture
def up(survey_of: Callable[..., Inventory]) -> Up:
    """Reconcile resources and all they need, and answer the steps by address."""

    def run(
        *resources: Resource, dry_run: bool = False, adopt: Collection[str] = (), environment: str = ENVIRONMENT
    ) -> dict[str, Step]:
        inventory = survey_of(*resources, environment=environment)
        steps = reconcile(with_needs(resources), inventory, dry_run=dry_run, adopt=adopt, limits=QUICK)
        return {step.address: step for step in steps}

    return run


@pytest.fixture
def power_cut(the_faults: Faults) -> Fault:
    """`with power_cut("sqs", after=n)`: the process dies at every answer after the nth."""
    return the_faults.power_cut


@pytest.fixture
def lose_answer(the_faults: Faults) -> Fault:
    """`with lose_answer("sqs", "CreateQueue")`: the next answer to that call is lost after it took effect."""
    return the_faults.lose_answer


@pytest.fixture(scope="session")
def account() -> Iterator[Proxy]:
    """An emulated AWS over HTTP, one for all tests of this process."""
    from support.faulty_proxy import served

    with served() as proxy:
        yield proxy


@pytest.fixture
def proxy(account: Proxy, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    """An empty account over HTTP, which every command of the test reaches."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", account.url)
    monkeypatch.setattr("botocore.session.create_loader", lambda *_: MODELS)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff._BASE", 0.1)  # as often as ever, less pause
    account.reset()
    return account


@pytest.fixture
def client(proxy: Proxy) -> Callable[[str], Any]:
    """`client("sqs")`: boto3's client on the account of `proxy`."""
    session = boto3.Session(region_name="ap-southeast-2")
    return lambda service: session.client(service, endpoint_url=proxy.url)
