"""What `status` says of the releases that run: version, digest, since when, and tasks older than a secret."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.config.environment import load_environment
from orderops.frozen import replace
from orderops.health.component import ComponentState, ComponentStatus
from orderops.health.examination import examine
from orderops.health.notes import outdated_tasks
from orderops.health.releases import ServiceRelease, read_releases
from orderops.health.verdict import HealthVerdict, judge
from orderops.images.ecr import version_of
from orderops.infra.page import PageAnswer
from orderops.infra.readiness import ReadyAnswer, ReadyState
from orderops.infra.workspace import Workspace
from orderops.ui.status import show_status
from support.command_line import Orderops
from support.recorded_history import Dev

pytest_plugins = ["support.recorded_history_fixtures"]

OK = SimpleNamespace(status_code=200)
SERVICE, CLUSTER = "orderops-dev-orders", "orderops-dev-cluster"
DIGEST = "sha256:" + "a1" * 32
URI = f"123456789012.dkr.ecr.ap-southeast-2.amazonaws.com/{SERVICE}"
ARN = "arn:aws:secretsmanager:ap-southeast-2:123456789012:secret:orderops/dev/orders/TOKEN-AbCdEf"
MORNING = datetime(2026, 11, 28, 8, tzinfo=UTC)
DEFINITION = f"arn:aws:ecs:ap-southeast-2:123456789012:task-definition/{SERVICE}:41"


class Account:
    """Answers in AWS's shapes, which a test changes, and the calls that were made."""

    def __init__(self, session: boto3.Session) -> None:
        self.secrets = [{"name": "TOKEN", "valueFrom": ARN}]
        self.started = [MORNING, MORNING]
        self.changed = MORNING - timedelta(days=1)
        self.written = MORNING - timedelta(days=1)
        self.tags = ["src-0123456789abcdef", "released-a1a1", "1.4.0"]
        self.refused: set[str] = set()
        self.calls: list[str] = []
        for operation, answer in {
            "ecs.DescribeTaskDefinition": self._definition,
            "ecs.ListTasks": lambda: {"taskArns": [f"arn:{number}" for number in range(len(self.started))]},
            "ecs.DescribeTasks": self._tasks,
            "secrets-manager.DescribeSecret": lambda: {"ARN": ARN, "LastChangedDate": self.changed},
            "secrets-manager.ListSecretVersionIds": self._versions,
            "ecr.DescribeImages": lambda: {"imageDetails": [{"imageDigest": DIGEST, "imageTags": self.tags}]},
        }.items():
            session.events.register(f"before-call.{operation}", self._answering(operation, answer))

    def _answering(self, operation: str, answer: Callable[[], dict[str, Any]]) -> Callable[..., Any]:
        def answered(**_: Any) -> Any:
            self.calls.append(operation)
            if operation in self.refused:
                return SimpleNamespace(status_code=400), {"Error": {"Code": "AccessDeniedException", "Message": "no"}}
            return OK, answer()

        return answered

    def _definition(self) -> dict[str, Any]:
        container = {"name": "orders", "image": f"{URI}@{DIGEST}", "secrets": self.secrets}
        return {"taskDefinition": {"taskDefinitionArn": DEFINITION, "containerDefinitions": [container]}}

    def _tasks(self) -> dict[str, Any]:
        own = [{"group": f"service:{SERVICE}", "lastStatus": "RUNNING", "startedAt": at} for at in self.started]
        # A job, a service of another environment in the cluster, and a task that has not started.
        others = [
            {"group": "family:jobs", "lastStatus": "RUNNING", "startedAt": MORNING - timedelta(days=9)},
            {"group": f"service:{SERVICE}-archive", "lastStatus": "RUNNING", "startedAt": MORNING - timedelta(days=9)},
            {"group": f"service:{SERVICE}", "lastStatus": "PENDING"},
        ]
        return {"tasks": [*own, *others]}

    def _versions(self) -> dict[str, Any]:
        return {
            "Versions": [
                {"VersionId": "1", "VersionStages": ["AWSPREVIOUS"], "CreatedDate": MORNING + timedelta(days=1)},
                {"VersionId": "2", "VersionStages": ["AWSCURRENT"], "CreatedDate": self.written},
            ]
        }


@pytest.fixture
def account(session: boto3.Session) -> Account:
    return Account(session)


@pytest.fixture
def workspace(aws: Aws, tmp_path: Any) -> Workspace:
    (tmp_path / "dev.toml").write_text("[database]\n[services.orders]\n")
    return Workspace(load_environment("dev", tmp_path), aws)


def running(rollout: str = "COMPLETED") -> dict[str, Any]:
    """The service as DescribeServices returns it."""
    deployment = {"status": "PRIMARY", "createdAt": MORNING - timedelta(hours=1), "rolloutState": rollout}
    return {SERVICE: {"serviceName": SERVICE, "taskDefinition": DEFINITION, "deployments": [deployment]}}


def release(workspace: Workspace, rollout: str = "COMPLETED") -> ServiceRelease:
    [found] = read_releases(workspace, running(rollout))
    return found


def test_a_release_is_named_by_version_digest_revision_and_since_when(workspace: Workspace, account: Account) -> None:
    assert release(workspace).to_dict("dev") == {
        "service": "orders",
        "version": "1.4.0",
        "digest": DIGEST,
        "image": f"{URI}@{DIGEST}",
        "revision": 41,
        "since": "2026-11-28T07:00:00Z",
        "rollout": "completed",
        "outdated_tasks": 0,
        "changed_secrets": [],
        "next": None,
    }


def test_tasks_older_than_the_value_of_a_secret_are_counted_with_the_command_that_replaces_them(
    workspace: Workspace, account: Account
) -> None:
    account.started = [MORNING, MORNING + timedelta(hours=2), MORNING + timedelta(hours=4)]
    account.changed = account.written = MORNING + timedelta(hours=3)

    found = release(workspace).to_dict("dev")

    assert (found["outdated_tasks"], found["changed_secrets"]) == (2, ["orderops/dev/orders/TOKEN"])
    assert found["next"] == "orderops service restart orders --env dev"


def test_a_secret_whose_tags_alone_were_changed_outdates_no_task(workspace: Workspace, account: Account) -> None:
    account.changed = MORNING + timedelta(hours=3)

    assert release(workspace).outdated_tasks == 0


def test_an_unchanged_secret_takes_one_call(workspace: Workspace, account: Account) -> None:
    assert release(workspace).outdated_tasks == 0
    assert account.calls.count("secrets-manager.DescribeSecret") == 1
    assert "secrets-manager.ListSecretVersionIds" not in account.calls


def test_a_secret_is_read_once_however_many_of_its_keys_a_task_takes(workspace: Workspace, account: Account) -> None:
    """ECS developer guide: a JSON key, a version stage and a version id may follow the ARN."""
    account.secrets = [{"name": key, "valueFrom": f"{ARN}:{key}::"} for key in ("USER", "PASSWORD")]
    account.changed = account.written = MORNING + timedelta(hours=3)

    assert release(workspace).changed_secrets == ("orderops/dev/orders/TOKEN",)
    assert account.calls.count("secrets-manager.DescribeSecret") == 1


def test_without_secrets_that_are_read_at_start_no_task_is_looked_at(workspace: Workspace, account: Account) -> None:
    account.secrets = [{"name": "KEY", "valueFrom": "arn:aws:ssm:ap-southeast-2:123456789012:parameter/key"}]

    assert release(workspace).outdated_tasks == 0
    assert not {"ecs.ListTasks", "secrets-manager.DescribeSecret"} & {*account.calls}


@pytest.mark.parametrize(
    "operation",
    [
        "ecs.DescribeTaskDefinition",
        "ecs.ListTasks",
        "ecs.DescribeTasks",
        "secrets-manager.DescribeSecret",
        "secrets-manager.ListSecretVersionIds",
        "ecr.DescribeImages",
    ],
)
def test_what_credentials_may_not_read_is_left_out(workspace: Workspace, account: Account, operation: str) -> None:
    account.changed = account.written = MORNING + timedelta(hours=3)
    account.refused = {operation}

    found = release(workspace)

    assert (found.service, found.revision, found.since) == ("orders", 41, "2026-11-28T07:00:00Z")


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("process://orderops.service@src-0f4e", "src-0f4e"),
        ("process://orderops.service", ""),
        ("registry.example.com/orders:7", "7"),
        ("localhost:5000/orders:7@sha256:" + "1" * 64, "7"),
        ("localhost:5000/orders", ""),
        (f"{URI}:2.0.1", "2.0.1"),
    ],
)
def test_the_version_of_an_image_is_in_its_name(aws: Aws, image: str, version: str) -> None:
    assert version_of(aws, image) == version


@pytest.mark.parametrize(
    ("tags", "version"),
    [
        (["src-0123456789abcdef", "released-a1", "1.4.0"], "1.4.0"),
        (["released-a1", "src-0123456789abcdef"], "src-0123456789abcdef"),
        (["sha256-a1a1a1a1a1a1a1a1", "released-a1"], "sha256-a1a1a1a1a1a1a1a1"),
        (["released-a1", "sbom-a1"], ""),
        ([], ""),
    ],
)
def test_an_image_in_ecr_is_called_by_its_version_before_other_tags(
    aws: Aws, account: Account, tags: list[str], version: str
) -> None:
    account.tags = tags

    assert version_of(aws, f"{URI}@{DIGEST}") == version


def test_status_shows_release_and_outdated_tasks_and_stays_healthy(dev: Dev, orderops: Orderops) -> None:
    image = "registry.example.com/orders:7@" + DIGEST
    assert orderops("service", "deploy", "--image", image, "--yes", "--bake", "0").code == 0

    shown = orderops("status")

    [line] = [line for line in shown.out.splitlines() if line.startswith("release:")]
    assert line.startswith("release: order-processor 7 (a1a1a1a1a1a1), revision 2, since 20")
    [found] = orderops("status", "--json").json["releases"]
    assert (found["image"], found["revision"], found["next"]) == (image, 2, None)
    record = orderops("service", "releases", "--json").json[0]
    assert found["since"] == record["started"]

    # A restart is another deployment of the same release.
    assert orderops("service", "restart", "--yes", "--bake", "0").code == 0
    assert orderops("status", "--json").json["releases"][0]["since"] == record["started"]


def test_status_names_outdated_tasks_their_secret_and_the_command(
    workspace: Workspace, account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    account.changed = account.written = MORNING + timedelta(hours=3)
    found = (release(workspace, "IN_PROGRESS"),)
    health = replace(
        judge("dev", (ComponentStatus("database", ComponentState.OK, "postgres 16"),), {}),
        releases=found,
        notes=tuple(outdated_tasks(found)),
    )

    show_status(health.to_dict())

    lines = capsys.readouterr().out.splitlines()
    [line] = [line for line in lines if line.startswith("release:")]
    assert line.startswith("release: orders 1.4.0 (a1a1a1a1a1a1), revision 41, since 2026-11-28 07:00Z (")
    assert line.endswith("ago), being rolled out")
    outdated = lines.index("review: 2 tasks of orders started before orderops/dev/orders/TOKEN got its value of now")
    assert lines[outdated + 1].strip().startswith("then: orderops service restart orders --env dev")


def test_outdated_tasks_are_no_fault_of_the_environment(dev: Dev) -> None:
    health = examine(
        dev.workspace,
        ask=lambda url: ReadyAnswer(ReadyState.READY, "", url),
        page=lambda url, path: PageAnswer(url + path, 3, 200),
    )

    assert health.verdict is HealthVerdict.HEALTHY
    assert [found.service for found in health.releases] == ["order-processor"]
