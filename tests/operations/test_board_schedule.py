"""The board that AWS publishes: made by up, unchanged by the next, pruned, and run as Scheduler runs it."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest

from orderops.alerts.findings import findings
from orderops.aws.client import Aws
from orderops.config.environment import load_environment
from orderops.engine.step import Action
from orderops.health.component import ComponentState, ComponentStatus
from orderops.health.schedules import schedules_status
from orderops.health.verdict import HealthVerdict, judge
from orderops.infra.alarms import rules_in
from orderops.infra.apply import Apply
from orderops.infra.plan import make_plan
from orderops.infra.workspace import Workspace
from orderops.operations.board import publish_board
from support.command_line import Orderops
from support.dev_accounts import IMAGES, REGION
from support.faulty_proxy import Proxy
from support.repository import ENVIRONMENTS
from support.scheduled import run_as_scheduled

pytest_plugins = ["support.dev_accounts"]

# End to end.
pytestmark = pytest.mark.slow

BUCKET = "orderops-dev-board-acme"
FAILED = "orderops-dev-failed-schedules"
RENEWED = f'\n[board]\nbucket = "{BUCKET}"\npublish_every = "10m"\n'
BOARD = [
    "cloudwatch-alarm/orderops-dev-schedules-failed",
    "ecs-task-definition/orderops-dev-board",
    "iam-role/orderops-dev-board-execution",
    "iam-role/orderops-dev-board-schedule",
    "iam-role/orderops-dev-board-task",
    "logs-group//orderops/dev/board",
    "scheduler-group/orderops-dev",
    "scheduler-schedule/board",
    "sqs-queue/orderops-dev-failed-schedules",
]


def workspace_of(url: str, folder: Path, more: str = "") -> Workspace:
    (folder / "dev.toml").write_text((ENVIRONMENTS / "dev.toml").read_text() + more)
    session = boto3.Session("testing", "testing", region_name=REGION)
    return Workspace(load_environment("dev", folder), Aws(REGION, endpoint_url=url, session=session))


@pytest.fixture(scope="module")
def renewed_account(account: Proxy, dev_released: bytes, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An account with the environment dev, whose file has been given `publish_every` since its release."""
    account.bring_back(dev_released)
    workspace = workspace_of(account.url, tmp_path_factory.mktemp("renewed"), RENEWED)
    workspace.aws.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    plan = make_plan(workspace)
    assert plan.services.unreleased == [], "the service that runs is taken for one without a release"
    run = Apply(workspace, IMAGES)
    steps = [*run.infra(), *run.release()]
    assert sorted(step.address for step in steps if step.action is not Action.NO_OP) == sorted(
        [*BOARD, "ec2-vpc/orderops-dev-vpc"]
    )
    return account.keep()


@pytest.fixture
def renewed(proxy: Proxy, renewed_account: bytes, tmp_path: Path) -> Workspace:
    proxy.bring_back(renewed_account)
    return workspace_of(proxy.url, tmp_path, RENEWED)


def test_a_plan_right_afterwards_has_nothing_to_do(renewed: Workspace) -> None:
    plan = make_plan(renewed, images=IMAGES)

    assert (plan.changes, plan.undeclared) == ([], [])


def test_taken_out_of_the_file_it_is_pruned_and_the_schedule_goes_first(renewed: Workspace, tmp_path: Path) -> None:
    without = workspace_of(str(renewed.aws.endpoint("sts")), tmp_path)
    assert sorted(step.address for step in make_plan(without, images=IMAGES, prune=True).pruned) == BOARD

    pruned = [step.address for step in Apply(without, IMAGES).prune()]

    assert sorted(pruned) == BOARD
    first = pruned.index("scheduler-schedule/board")
    assert set(pruned[:first]) <= {"cloudwatch-alarm/orderops-dev-schedules-failed"}
    assert not make_plan(without, images=IMAGES).differs


def fail(workspace: Workspace, schedule: str = "board") -> None:
    """Write a failed start into the queue, as EventBridge Scheduler does."""
    words = {
        "ERROR_CODE": "ClientException",
        "ERROR_MESSAGE": "TaskDefinition is inactive",
        "SCHEDULE_ARN": f"arn:aws:scheduler:{REGION}:123456789012:schedule/orderops-dev/{schedule}",
    }
    attributes = {name: {"DataType": "String", "StringValue": word} for name, word in words.items()}
    url = workspace.aws.sqs.get_queue_url(QueueName=FAILED)["QueueUrl"]
    workspace.aws.sqs.send_message(QueueUrl=url, MessageBody="{}", MessageAttributes=attributes)


def test_status_says_that_a_schedule_did_not_start_and_what_to_type(renewed: Workspace) -> None:
    assert schedules_status(renewed).state is ComponentState.OK
    fail(renewed)

    status = schedules_status(renewed)

    health = judge("dev", (status,), {})
    assert health.cause == "schedules is degraded: board did not start: 1 failed start in the last 4 days"
    assert health.next == "orderops queue dlq list --schedules --env dev"
    assert (health.verdict, health.priority) == (HealthVerdict.DEGRADED, "P2")


def test_the_alarm_of_the_schedules_is_listed_and_nothing_is_wrong_with_it(renewed: Workspace) -> None:
    names = [name for name, *_ in rules_in(renewed.environment)]
    found = [finding for finding in findings(renewed.aws, renewed.stack, lambda _: True) if "schedules" in finding.name]

    assert names.count("orderops-dev-schedules-failed") == 1
    assert found == []


def test_an_environment_of_an_earlier_version_is_not_down_for_want_of_the_queue(renewed: Workspace) -> None:
    url = renewed.aws.sqs.get_queue_url(QueueName=FAILED)["QueueUrl"]
    renewed.aws.sqs.delete_queue(QueueUrl=url)

    health = judge("dev", (ComponentStatus("database", ComponentState.OK, ""), schedules_status(renewed)), {})

    assert (health.verdict, health.next) == (HealthVerdict.DEGRADED, "orderops infra apply --env dev")


def test_failed_starts_are_listed_with_their_error_and_deleted_by_name(
    renewed: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fail(renewed)
    fail(renewed)
    orderops = Orderops(capsys)
    where = ("--schedules", "--env", "dev", "--environments", str(tmp_path))

    listed = orderops("queue", "dlq", "list", *where)
    refused = orderops("queue", "dlq", "purge", "--all", "--yes", *where)
    purged = orderops("queue", "dlq", "purge", "--all", "--yes", "--confirm", FAILED, *where)

    assert listed.out.splitlines()[0] == "2 board did not start: ClientException"
    assert "TaskDefinition is inactive" in listed.out
    assert "next: orderops infra drift --env dev" in listed.err
    assert (refused.code, purged.code) == (2, 0), purged.err
    assert "next: orderops status --env dev" in purged.err
    (run,) = orderops("history", "--last", "1", "--json", *where[1:]).json
    assert run["command"] == "queue dlq purge --all --schedules --env dev"
    assert schedules_status(renewed).state is ComponentState.OK


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--schedules", "--service", "order-processor"), "have dead letters of their own"),
        (("--schedules",), "dev has no schedules"),
    ],
)
def test_schedules_that_do_not_exist_and_two_queues_at_once_are_refused(
    renewed: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    if "--service" not in words:
        workspace_of("", tmp_path)

    found = Orderops(capsys)("queue", "dlq", "list", *words, "--env", "dev", "--environments", str(tmp_path))

    assert (found.code, said in found.err) == (2, True)


def test_a_queue_with_failed_starts_is_pruned_only_by_its_name(renewed: Workspace, tmp_path: Path) -> None:
    fail(renewed)
    without = workspace_of(str(renewed.aws.endpoint("sts")), tmp_path)

    deleted = [step.address for step in Apply(without, IMAGES).prune() if step.action is Action.DELETE]

    assert sorted(deleted) == [address for address in BOARD if address != f"sqs-queue/{FAILED}"]


def test_another_file_reaches_the_task_with_the_next_release_and_restarts_no_service(
    renewed: Workspace, tmp_path: Path
) -> None:
    text = RENEWED.replace("[board]", '[board]\ntitle = "Acme"')
    changed = workspace_of(str(renewed.aws.endpoint("sts")), tmp_path, text)

    changes = {step.address: sorted(step.changes) for step in make_plan(changed, images=IMAGES).changes}

    assert changes == {
        "ecs-task-definition/orderops-dev-board": ["Environment"],
        "scheduler-schedule/board": ["TaskDefinitionArn"],
    }


def test_the_input_of_the_target_publishes_the_page_and_two_firings_at_once_do_no_harm(
    renewed: Workspace, proxy: Proxy
) -> None:
    """Scheduler starts a task at least once: a second one replaces the page by the same."""
    for _ in range(2):
        ran = run_as_scheduled(lambda service: getattr(renewed.aws, service), proxy.url, "board")
        assert ran.returncode == 0, ran.stdout
        assert f"published s3://{BUCKET}/index.html" in ran.stdout
        assert "AWS renews it every 10m" in ran.stdout

    assert [found["Key"] for found in renewed.aws.s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == ["index.html"]
    page = renewed.aws.s3.get_object(Bucket=BUCKET, Key="index.html")["Body"].decode()
    # Three times the interval of the file: later, the page says that it was not renewed.
    assert 'data-stale="1800"' in page


def test_by_hand_the_page_of_a_scheduled_board_is_published_as_well(
    renewed: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_board(renewed, None)

    assert "AWS renews it every 10m once the environment is up" in capsys.readouterr().err
