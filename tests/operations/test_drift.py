"""`orderops infra drift` against the emulator over HTTP: what moved, on whose behalf, and the ways on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.aws.client import Aws
from orderops.config.environment import load_environment
from orderops.drift.report import Drift, Side, drift_of
from orderops.infra.workspace import Workspace
from orderops.local.emulator.protocol import ApiError
from orderops.trail.lookup import Trail, TrailState
from support.command_line import Orderops
from support.damage import damage
from support.faulty_proxy import Proxy
from support.repository import ENVIRONMENTS

pytest_plugins = ["support.dev_accounts"]

REGION = "ap-southeast-2"
QUEUE = "sqs-queue/orderops-dev-order-processor-queue"
DATABASE = "rds-instance/orderops-dev-database"


@pytest.fixture
def orderops(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, proxy: Proxy) -> Orderops:
    # The emulator answers at any rate.
    monkeypatch.setattr("orderops.drift.report.Trail", partial(Trail, pause=0))
    return Orderops(capsys)


@pytest.fixture
def dev(proxy: Proxy, dev_released: bytes) -> Proxy:
    """The account with dev, released and running."""
    proxy.bring_back(dev_released)
    return proxy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dev.toml").write_text((ENVIRONMENTS / "dev.toml").read_text())
    return tmp_path


@pytest.fixture
def alice(dev: Proxy, client: Callable[[str], Any]) -> Callable[[str], Any]:
    """`alice("sqs")`: a client with the key of another user of the account."""
    iam = client("iam")
    iam.create_user(UserName="alice")
    key = iam.create_access_key(UserName="alice")["AccessKey"]
    session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=REGION)
    return lambda service: session.client(service, endpoint_url=dev.url)


def workspace_of(proxy: Proxy, folder: Path) -> Workspace:
    session = boto3.Session("testing", "testing", region_name=REGION)
    aws = Aws(REGION, endpoint_url=proxy.url, session=session)
    return Workspace(load_environment("dev", folder), aws, folder=folder)


def drift_in(proxy: Proxy, folder: Path) -> dict[tuple[str, str], Drift]:
    workspace = workspace_of(proxy, folder)
    report = drift_of(workspace, Trail(workspace.aws, pause=0))
    return {(drift.address, drift.key): drift for drift in report.differences}


def set_visibility(client: Callable[[str], Any], seconds: int) -> None:
    sqs = client("sqs")
    url = sqs.get_queue_url(QueueName=QUEUE.partition("/")[2])["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(seconds)})


def test_every_change_out_of_band_is_shown_with_its_mover(
    dev: Proxy, alice: Callable[[str], Any], folder: Path
) -> None:
    damaged = damage(alice, "orderops-dev")

    found = drift_in(dev, folder)

    assert {address for address, _ in found} == set(damaged)
    assert {drift.mover.last and drift.mover.last.who for drift in found.values()} == {"alice"}
    assert {drift.address: drift.mover.last and drift.mover.last.event for drift in found.values()} == {
        QUEUE: "SetQueueAttributes",
        "logs-group//orderops/dev/order-processor": "PutRetentionPolicy",
        "logs-group//orderops/dev/flow-log": "DeleteLogGroup",
        DATABASE: "ModifyDBInstance",
        "ec2-security-group/orderops-dev-database": "AuthorizeSecurityGroupIngress",
        "cloudwatch-alarm/orderops-dev-order-processor-cpu": "PutMetricAlarm",
        "ec2-subnet/orderops-dev-private-a": "DeleteTags",
        "elbv2-rule/orderops-dev-order-processor:80": "DeleteRule",
    }
    assert {drift.moved for drift in found.values() if drift.mover.certain} == {Side.ACCOUNT}


@pytest.mark.slow
def test_a_change_of_the_file_is_no_drift(orderops: Orderops, dev: Proxy, folder: Path) -> None:
    words = ("--env", "dev", "--environments", str(folder))
    assert orderops("infra", "apply", *words, "--yes").code == 0
    edit(folder, "visibility_timeout = 30", "visibility_timeout = 40")
    assert orderops("infra", "apply", *words, "--yes").code == 0
    edit(folder, "visibility_timeout = 40", "visibility_timeout = 50")
    # No run has recorded the value of this one.
    edit(folder, "backup_days = 7", "backup_days = 8")

    found = drift_in(dev, folder)

    assert found.keys() == {(QUEUE, "VisibilityTimeout"), (DATABASE, "BackupRetentionPeriod")}
    assert {(drift.moved, drift.counts) for drift in found.values()} == {(Side.FILE, False)}
    shown = orderops("infra", "drift", *words)
    assert shown.code == 0
    assert "2 to apply from the file" in shown.err


@pytest.mark.slow
def test_a_change_by_another_user_is_drift_although_the_file_was_edited_too(
    orderops: Orderops, dev: Proxy, alice: Callable[[str], Any], folder: Path
) -> None:
    words = ("--env", "dev", "--environments", str(folder))
    edit(folder, "visibility_timeout = 30", "visibility_timeout = 40")
    assert orderops("infra", "apply", *words, "--yes").code == 0
    edit(folder, "max_tasks = 5", "max_tasks = 6")
    alice("rds").modify_db_instance(
        DBInstanceIdentifier="orderops-dev-database", BackupRetentionPeriod=3, ApplyImmediately=True
    )

    assert drift_in(dev, folder)[DATABASE, "BackupRetentionPeriod"].moved is Side.ACCOUNT


@pytest.mark.slow
def test_a_change_after_a_run_of_the_same_file_names_the_run(
    orderops: Orderops, dev: Proxy, alice: Callable[[str], Any], folder: Path
) -> None:
    words = ("--env", "dev", "--environments", str(folder))
    edit(folder, "visibility_timeout = 30", "visibility_timeout = 40")
    assert orderops("infra", "apply", *words, "--yes").code == 0
    (run, *_) = orderops("history", *words, "--json").json

    set_visibility(alice, 99)
    database = alice("rds").modify_db_instance(
        DBInstanceIdentifier="orderops-dev-database", BackupRetentionPeriod=3, ApplyImmediately=True
    )
    assert database
    found = drift_in(dev, folder)

    assert {(drift.moved, drift.run) for drift in found.values()} == {(Side.ACCOUNT, run["run"])}


@pytest.mark.slow
def test_a_revert_changes_this_resource_alone(
    orderops: Orderops, dev: Proxy, alice: Callable[[str], Any], folder: Path
) -> None:
    words = ("--env", "dev", "--environments", str(folder))
    set_visibility(alice, 99)
    alice("logs").put_retention_policy(logGroupName="/orderops/dev/order-processor", retentionInDays=3653)

    dry = orderops("infra", "drift", *words, "--revert", QUEUE, "--dry-run")
    assert dry.code == 3
    done = orderops("infra", "drift", *words, "--revert", QUEUE, "--yes")

    assert done.code == 0, done.err
    assert set(drift_in(dev, folder)) == {("logs-group//orderops/dev/order-processor", "retentionInDays")}
    (run, *_) = orderops("history", *words, "--json").json
    assert run["command"].startswith(f"infra drift --revert {QUEUE}")
    assert [step["address"] for step in run["steps"]] == [QUEUE]


@pytest.mark.slow
def test_a_deleted_resource_comes_back_by_a_revert(
    orderops: Orderops, dev: Proxy, alice: Callable[[str], Any], folder: Path
) -> None:
    words = ("--env", "dev", "--environments", str(folder))
    alice("logs").delete_log_group(logGroupName="/orderops/dev/flow-log")

    done = orderops("infra", "drift", *words, "--revert", "logs-group//orderops/dev/flow-log", "--yes")

    assert done.code == 0, done.err
    assert drift_in(dev, folder) == {}


def test_an_accepted_value_is_in_the_file_with_its_comments_and_nothing_is_left_to_do(
    orderops: Orderops, dev: Proxy, alice: Callable[[str], Any], folder: Path
) -> None:
    words = ("--env", "dev", "--environments", str(folder))
    file = folder / "dev.toml"
    edit(folder, "backup_days = 7\n", "backup_days   =  7  # a week\n")
    edit(folder, "visibility_timeout = 30", "# how long an order may take\nvisibility_timeout = 30 # seconds")
    before = file.read_text()
    set_visibility(alice, 99)
    alice("rds").modify_db_instance(
        DBInstanceIdentifier="orderops-dev-database", BackupRetentionPeriod=3, ApplyImmediately=True
    )

    done = orderops("infra", "drift", *words, "--accept", QUEUE, "--accept", DATABASE, "--yes")

    assert done.code == 0, done.err
    expected = before.replace("visibility_timeout = 30 #", "visibility_timeout = 99 #")
    assert file.read_text() == expected.replace("backup_days   =  7  #", "backup_days   =  3  #")
    assert "to undo it: set database.backup_days back to 7" in done.err
    assert orderops("infra", "plan", *words).code == 0


@pytest.mark.slow
def test_a_default_that_is_accepted_becomes_a_key_of_its_table(
    orderops: Orderops, dev: Proxy, alice: Callable[[str], Any], folder: Path
) -> None:
    words = ("--env", "dev", "--environments", str(folder))
    alice("rds").modify_db_instance(
        DBInstanceIdentifier="orderops-dev-database", PreferredBackupWindow="03:00-03:30", ApplyImmediately=True
    )

    assert orderops("infra", "drift", *words, "--accept", DATABASE, "--yes").code == 0

    assert 'inside the VPC\nbackup_window = "03:00-03:30"\n\n[services' in (folder / "dev.toml").read_text()
    assert orderops("infra", "plan", *words).code == 0


def test_a_difference_that_no_key_sets_is_not_accepted(
    orderops: Orderops, dev: Proxy, alice: Callable[[str], Any], folder: Path
) -> None:
    damage(alice, "orderops-dev")
    before = (folder / "dev.toml").read_bytes()
    group, rule = "ec2-security-group/orderops-dev-database", "elbv2-rule/orderops-dev-order-processor:80"
    words = ("--env", "dev", "--environments", str(folder), "--yes")

    refused = orderops("infra", "drift", *words, "--accept", group, "--accept", rule, "--accept", QUEUE)

    assert refused.code == 1
    assert f"{group}: no key of dev.toml declares Ingress" in refused.err
    assert f"{rule}: no key of dev.toml declares a resource that does not exist" in refused.err
    assert (folder / "dev.toml").read_bytes() == before


def test_an_ignored_difference_is_shown_counts_nothing_and_is_not_reverted(
    orderops: Orderops, dev: Proxy, alice: Callable[[str], Any], folder: Path
) -> None:
    words = ("--env", "dev", "--environments", str(folder))
    set_visibility(alice, 99)
    ignore(folder, "2999-12-31")

    shown = orderops("infra", "drift", *words)
    planned = orderops("infra", "plan", *words)
    applied = orderops("infra", "apply", *words, "--yes")
    reverted = orderops("infra", "drift", *words, "--revert", QUEUE, "--yes")

    assert (shown.code, planned.code, applied.code, reverted.code) == (0, 0, 0, 1)
    assert "ignored until 2999-12-31: a load test of payments" in shown.out
    assert f"ignored by the file: {QUEUE} VisibilityTimeout" in planned.err
    assert f"ignored by the file: {QUEUE} VisibilityTimeout" in applied.err
    assert drift_in(dev, folder)[QUEUE, "VisibilityTimeout"].found == 99


@pytest.mark.slow
def test_a_difference_counts_again_after_its_date(
    orderops: Orderops, dev: Proxy, alice: Callable[[str], Any], folder: Path
) -> None:
    words = ("--env", "dev", "--environments", str(folder))
    set_visibility(alice, 99)
    ignore(folder, "2020-01-01")

    shown = orderops("infra", "drift", *words)

    assert shown.code == 3
    assert "no longer ignored, since 2020-01-01: a load test of payments" in shown.out
    assert orderops("infra", "apply", *words, "--yes").code == 0
    assert drift_in(dev, folder) == {}


def test_where_cloudtrail_cannot_be_read_the_drift_is_shown_all_the_same(
    orderops: Orderops, dev: Proxy, alice: Callable[[str], Any], folder: Path
) -> None:
    set_visibility(alice, 99)
    denied = ApiError("AccessDeniedException", "User is not authorized to perform: cloudtrail:LookupEvents")
    dev.rule = lambda request: denied if request.action == "LookupEvents" else None

    shown = orderops("infra", "drift", "--env", "dev", "--environments", str(folder), "--json")

    assert shown.code == 3
    (difference,) = shown.json["differences"]
    assert (difference["found"], difference["mover"]["state"]) == (99, TrailState.NOT_ALLOWED)


def edit(folder: Path, before: str, after: str) -> None:
    file = folder / "dev.toml"
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def ignore(folder: Path, until: str) -> None:
    table = '[drift.ignore."sqs-queue/*-queue"]\nproperties = ["VisibilityTimeout"]\n'
    with (folder / "dev.toml").open("a") as file:
        file.write(f'\n{table}reason = "a load test of payments"\nuntil = {until}\n')


@pytest.mark.slow
def test_an_environment_that_does_not_exist_has_not_drifted(orderops: Orderops, folder: Path) -> None:
    shown = orderops("infra", "drift", "--env", "dev", "--environments", str(folder))

    assert shown.code == 1
    assert "dev does not exist yet" in shown.err


@pytest.mark.parametrize(
    "options", [("--revert", "sqs-queue/none"), ("--accept", "sqs-queue/none"), ("--revert", QUEUE, "--accept", QUEUE)]
)
def test_an_address_that_is_not_declared_and_opposite_ways_are_wrong_usage(
    orderops: Orderops, folder: Path, options: tuple[str, ...]
) -> None:
    assert orderops("infra", "drift", "--env", "dev", "--environments", str(folder), *options).code == 2


@pytest.mark.slow
def test_a_change_that_cloudtrail_does_not_show_yet_is_not_laid_to_orderops(
    orderops: Orderops, dev: Proxy, folder: Path
) -> None:
    words = ("--env", "dev", "--environments", str(folder))
    edit(folder, "backup_days = 7", "backup_days = 8")
    assert orderops("infra", "apply", *words, "--yes").code == 0
    (run, *_) = orderops("history", *words, "--json").json
    databases = get_backend("rds")[DEFAULT_ACCOUNT_ID][REGION].databases
    databases["orderops-dev-database"].backup_retention_period = 3

    found = drift_in(dev, folder)[DATABASE, "BackupRetentionPeriod"]

    assert (found.moved, found.run, found.mover.state) == (Side.ACCOUNT, run["run"], TrailState.NOT_YET)


@pytest.mark.slow
def test_an_ignored_permission_is_left_alone_before_the_first_release_too(
    orderops: Orderops, proxy: Proxy, dev_infra: bytes, client: Callable[[str], Any], folder: Path
) -> None:
    proxy.bring_back(dev_infra)
    words = ("--env", "dev", "--environments", str(folder))
    role = "orderops-dev-order-processor-task"
    for name in client("iam").list_role_policies(RoleName=role)["PolicyNames"]:
        client("iam").delete_role_policy(RoleName=role, PolicyName=name)
    assert orderops("infra", "plan", *words).code == 3
    with (folder / "dev.toml").open("a") as file:
        file.write('\n[drift.ignore."iam-role/*"]\nproperties = ["InlinePolicies"]\nreason = "a trial"\n')
        file.write("until = 2999-12-31\n")

    planned = orderops("infra", "plan", *words)

    assert planned.code == 0, planned.out
    assert f"ignored by the file: iam-role/{role} InlinePolicies" in planned.err
