"""What tests stand on: an emulated AWS checked strictly, the engine on it, and the faults it must survive."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

pytest.register_assert_rewrite("support")  # before the first import of a helper, so that its asserts explain themselves

if TYPE_CHECKING:
    import boto3
    from xdist.scheduler import WorkStealingScheduling

    from orderops.aws.client import Aws
    from orderops.engine.inventory import Inventory
    from orderops.engine.resource import Resource
    from orderops.engine.step import Step
    from support.contract import Up
    from support.faults import Fault, Faults
    from support.faulty_proxy import Proxy

ENVIRONMENT = "dev"
logging.getLogger("werkzeug").setLevel(
    logging.WARNING
)  # a line for every call of every test is a slow way to say nothing


# Whatever the shell says. Otherwise each worker, and each process that a test starts, compiles every module anew, and
# pytest rewrites the asserts of all tests again: half of the time of collecting them.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def _build_grammars_late() -> None:
    from support.late_grammars import build_grammars_late

    build_grammars_late()


_build_grammars_late()


# By default Python looks for cycles after 700 new objects: a fifth of the processor's time under moto and botocore.
gc.set_threshold(50_000, 10, 10)


def pytest_collection_finish() -> None:
    """Leave out of that search what lives until the end: modules, AWS's models, and the tests themselves."""
    gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    """Create PostgreSQL's data directory once in a run. Here, since workers have to find the same copy."""
    from support.copied_clusters import copy_clusters, folder_of_clusters

    stack = ExitStack()
    config.add_cleanup(stack.close)
    stack.enter_context(folder_of_clusters())
    copy_clusters()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> WorkStealingScheduling:
    """Who is done takes from who is not: the longest tests stand at the end."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more process than there are processors: many tests mostly wait."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session", autouse=True)
def _forked_daemons() -> Iterator[None]:
    """Fork the daemons of laptop environments from a process that has loaded what they import."""
    from orderops.local import client
    from support.forked_daemons import spawn

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "_spawn", spawn)
        yield


@pytest.fixture
def daemon_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start the daemon of a laptop environment as an operator's command does."""
    from orderops.local import client
    from support.forked_daemons import AS_AN_OPERATOR

    monkeypatch.setattr(client, "_spawn", AS_AN_OPERATOR)


@pytest.fixture(autouse=True)
def _no_real_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "ap-southeast-2",
        "AWS_EC2_METADATA_DISABLED": "true",
        "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
        "ORDEROPS_LOG_DIRECTORY": str(tmp_path_factory.getbasetemp() / "log"),
        "XDG_CACHE_HOME": str(tmp_path_factory.getbasetemp() / "cache"),
        # A release is not watched for minutes by every test that makes one.
        "ORDEROPS_BAKE": "0",
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


@pytest.fixture(autouse=True)
def _no_options_to_repeat() -> Iterator[None]:
    """Forget the command line and the laptop of a test that calls an operation directly: hints would repeat them."""
    from orderops.ui.commands import repeating

    with repeating((), lambda _word: {}):
        yield


@pytest.fixture
def the_faults() -> Faults:
    """What is done to the answers of `session`, and the calls that it made."""
    from support.faults import Faults

    return Faults()


@pytest.fixture
def session(the_faults: Faults) -> Iterator[boto3.Session]:
    """A boto3 session on an empty emulated account; every call's parameters are checked against AWS's own models."""
    from support.emulated_session import emulated

    with emulated() as session:
        the_faults.install(session)
        yield session


@pytest.fixture
def aws(session: boto3.Session) -> Aws:
    from support.emulated_session import shared_aws

    return shared_aws()


@pytest.fixture
def survey_of(aws: Aws) -> Callable[..., Inventory]:
    """A fresh survey of the kinds of these resources."""
    from orderops.engine.inventory import Inventory
    from support.emulated_account import with_needs

    def look(*resources: Resource, environment: str = ENVIRONMENT) -> Inventory:
        kinds = dict.fromkeys(type(resource) for resource in with_needs(resources))
        return Inventory(aws, environment, tuple(kinds))

    return look


@pytest.fixture
def up(survey_of: Callable[..., Inventory]) -> Up:
    """Reconcile resources and all they need, and answer the steps by address."""
    from orderops.engine.reconcile import reconcile
    from orderops.engine.terms import Terms
    from support.emulated_account import QUICK, with_needs

    def run(
        *resources: Resource, dry_run: bool = False, adopt: Collection[str] = (), environment: str = ENVIRONMENT
    ) -> dict[str, Step]:
        inventory = survey_of(*resources, environment=environment)
        steps = reconcile(with_needs(resources), inventory, dry_run=dry_run, terms=Terms(adopt=adopt), limits=QUICK)
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


@pytest.fixture
def slow_answer(the_faults: Faults) -> Fault:
    """`with slow_answer("s3", "PutObject", seconds=1)`: answers to that call take so long."""
    return the_faults.slow_answer


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
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff._BASE", 0.1)  # as often as ever, less pause
    account.reset()
    return account


@pytest.fixture
def client(proxy: Proxy) -> Callable[[str], Any]:
    """`client("sqs")`: boto3's client on the account of `proxy`."""
    from support.proxy_clients import client as client_of

    return lambda service: client_of(proxy, service)
