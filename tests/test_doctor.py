"""Doctor compares the quotas of the account with what the environment files need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.config.environment import Environment, load_environment, other_environments
from orderops.doctor import Check, diagnose
from orderops.infra.quotas import needed
from orderops.local.emulator.protocol import ApiError
from orderops.resources.service_quotas import ADDRESSES, GATEWAYS, VCPUS, Quota
from support.command_line import Orderops
from support.faulty_proxy import Proxy, served
from support.repository import ENVIRONMENTS

OWNER = "orderops:environment"


@pytest.fixture(scope="module")
def account() -> Iterator[Proxy]:
    with served() as proxy:
        yield proxy


@pytest.fixture
def aws(account: Proxy) -> Aws:
    account.reset()
    session = boto3.Session("testing", "testing", region_name="ap-southeast-2")
    return Aws("ap-southeast-2", endpoint_url=account.url, session=session)


@pytest.fixture
def findings(aws: Aws) -> Callable[..., dict[str, Check]]:
    """What doctor finds about quotas, by name."""

    def examine(name: str = "dev", folder: Path = ENVIRONMENTS) -> dict[str, Check]:
        checks = diagnose(load_environment(name, folder), lambda: aws, others=other_environments(name, folder))
        return {check.name: check for check in checks if check.name.startswith("quota")}

    return examine


def address(aws: Aws, environment: str = "") -> None:
    tags = [{"ResourceType": "elastic-ip", "Tags": [{"Key": OWNER, "Value": environment}]}] if environment else []
    aws.ec2.allocate_address(Domain="vpc", TagSpecifications=tags)


def test_the_environments_of_the_shipped_files_need_what_their_networks_and_services_have() -> None:
    def of(quota: Quota) -> list[float]:
        return [needed(load_environment(name, ENVIRONMENTS))[quota] for name in ("dev", "staging", "prod")]

    assert of(ADDRESSES) == [1, 2, 3]
    assert of(GATEWAYS) == [1, 1, 1]
    # Twice 5 tasks of a quarter vCPU, 6 of a half and 12 of one.
    assert of(VCPUS) == [2.5, 6, 24]


def test_the_environment_that_would_not_fit_is_named_with_the_request_for_more(
    findings: Callable[..., dict[str, Check]],
) -> None:
    found = findings()["quota of elastic IP addresses"]

    detail = "0 of 5 in use, dev needs 1 more, prod needs 3 more, staging needs 2 more, no room for staging"
    assert (found.ok, found.needed, found.detail) == (False, False, detail)
    assert found.hint == (
        "aws service-quotas request-service-quota-increase --service-code ec2 --quota-code L-0263D0A3"
        " --desired-value 6 --region ap-southeast-2"
    )
    assert findings()["quota of VPCs"].ok


def test_an_environment_without_room_is_a_problem_of_its_own_doctor_only(
    aws: Aws, findings: Callable[..., dict[str, Check]]
) -> None:
    for _ in range(5):
        address(aws)

    found = findings("dev")["quota of elastic IP addresses"]

    assert (found.ok, found.needed) == (False, True)
    assert found.detail.startswith("5 of 5 in use, dev needs 1 more")
    assert found.detail.endswith("no room for dev, prod, staging")


def test_what_an_environment_has_already_is_not_needed_again(
    aws: Aws, findings: Callable[..., dict[str, Check]]
) -> None:
    address(aws, "staging")
    address(aws, "staging")
    address(aws, "dev")

    found = findings()["quota of elastic IP addresses"]

    assert (found.ok, found.detail) == (False, "3 of 5 in use, prod needs 3 more, no room for prod")


def test_a_quota_of_tasks_is_compared_without_their_use(findings: Callable[..., dict[str, Check]]) -> None:
    found = findings("dev")["quota of Fargate vCPUs"]

    assert (found.ok, found.needed) == (False, False)
    assert found.detail.startswith("6 for all tasks together, dev needs 2.5, prod needs 24, staging needs 6")


def test_a_quota_that_may_not_be_read_is_reported_and_is_no_problem(
    account: Proxy, aws: Aws, findings: Callable[..., dict[str, Check]]
) -> None:
    denied = ApiError("AccessDeniedException", "User: arn:aws:iam::123456789012:user/ada is not authorized", 400)
    account.rule = lambda request: denied if request.service == "servicequotas" else None

    found = findings()

    assert len(found) == 5
    for check in found.values():
        assert (check.ok, check.needed) == (False, False)
        assert check.detail.startswith("cannot be read, so it was not compared: ")


def test_environments_elsewhere_and_broken_files_are_left_out(
    findings: Callable[..., dict[str, Check]], tmp_path: Path
) -> None:
    for name, text in {
        "dev": "",
        "far": 'region = "eu-west-1"',
        "other": 'account = "999999999999"',
        "broken": "regoin = 1",
        "near": 'account = "123456789012"',
    }.items():
        (tmp_path / f"{name}.toml").write_text(f"{text}\n[database]\n[services.orders]\n")

    found = findings("dev", tmp_path)["quota of VPCs"]

    # The account's default VPC counts too.
    assert found.detail == "1 of 5 in use, dev needs 1 more, near needs 1 more"


def test_the_laptop_has_no_quotas(aws: Aws) -> None:
    local: Environment = load_environment("local", ENVIRONMENTS)

    assert not [check for check in diagnose(local, lambda: aws) if check.name.startswith("quota")]


def test_doctor_prints_the_quotas(
    account: Proxy, aws: Aws, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", account.url)

    said = Orderops(capsys, "--environments", str(ENVIRONMENTS))("doctor", "--env", "dev")

    assert "quota of DB instances" in said.out
    assert "0 of 40 in use, dev needs 1 more, prod needs 1 more, staging needs 1 more" in said.out
