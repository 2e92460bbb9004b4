"""The board that AWS publishes: made by up, unchanged by the next, pruned, and run as Scheduler runs it."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.config.environment import load_environment
from orderops.engine.step import Action
from orderops.infra.apply import Apply
from orderops.infra.plan import make_plan
from orderops.infra.workspace import Workspace
from orderops.operations.board import publish_board
from support.dev_accounts import IMAGES, REGION
from support.faulty_proxy import Proxy
from support.repository import ENVIRONMENTS
from support.scheduled import run_as_scheduled

pytest_plugins = ["support.dev_accounts"]

# End to end.
pytestmark = pytest.mark.slow

BUCKET = "orderops-dev-board-acme"
RENEWED = f'\n[board]\nbucket = "{BUCKET}"\npublish_every = "10m"\n'
BOARD = [
    "ecs-task-definition/orderops-dev-board",
    "iam-role/orderops-dev-board-execution",
    "iam-role/orderops-dev-board-schedule",
    "iam-role/orderops-dev-board-task",
    "logs-group//orderops/dev/board",
    "scheduler-group/orderops-dev",
    "scheduler-schedule/board",
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
    assert pruned[0] == "scheduler-schedule/board"
    assert not make_plan(without, images=IMAGES).differs


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
