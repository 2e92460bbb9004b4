"""A rollout is judged by its own deployment, in AWS's shapes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.releases import rollout as module
from orderops.releases.rollout import Rollout
from orderops.releases.verdict import ReleaseVerdict

OK = SimpleNamespace(status_code=200)
BEGAN = datetime(2026, 11, 10, 8, tzinfo=UTC)
OLD, NEW = "shop:6", "shop:7"
GROUP = "arn:aws:elasticloadbalancing:ap-southeast-2:123456789012:targetgroup/shop/0123456789abcdef"
VALUES = {"environment": "dev", "service": "shop", "image": "shop:9", "memory": "512", "port": "8080"}
ROLE = "(service shop) failed to launch a task with (error ECS was unable to assume the role 'arn:aws:iam::1:role/x')."


class Ecs:
    """One service of ECS, whose answers a test changes."""

    def __init__(self, session: boto3.Session) -> None:
        self.deployments = [deployment("ecs-svc/1", OLD, "COMPLETED")]
        self.events: list[dict[str, Any]] = []
        self.tasks: list[dict[str, Any]] = []
        self.service_deployments: list[dict[str, Any]] = []
        self.sent: list[tuple[str, dict[str, Any]]] = []
        for operation in (
            "DescribeServices",
            "ListTasks",
            "DescribeTasks",
            "ListServiceDeployments",
            "DescribeServiceDeployments",
            "StopServiceDeployment",
            "UpdateService",
        ):
            session.events.register(f"before-call.ecs.{operation}", self._answer(operation))

    def begin(self, definition: str = NEW, identity: str = "ecs-svc/2") -> dict[str, Any]:
        """Begin a deployment."""
        for one in self.deployments:
            one["status"] = "ACTIVE"
        self.deployments.insert(0, deployment(identity, definition, "IN_PROGRESS"))
        self.service_deployments.insert(
            0, {"serviceDeploymentArn": f"arn/{identity}", "status": "IN_PROGRESS", "createdAt": BEGAN}
        )
        return self.deployments[0]

    def ends(self, *tasks: dict[str, Any]) -> None:
        """Let tasks end."""
        self.tasks += tasks

    def _answer(self, operation: str) -> Any:
        def answer(params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
            if operation.startswith(("Stop", "Update")):
                self.sent.append((operation, params))
            return OK, {
                "DescribeServices": {"services": [self.described()] if self.deployments else []},
                "ListTasks": {"taskArns": [task["taskArn"] for task in self.tasks]},
                "DescribeTasks": {"tasks": self.tasks},
                "ListServiceDeployments": {"serviceDeployments": self.service_deployments},
                "DescribeServiceDeployments": {"serviceDeployments": self.service_deployments},
            }.get(operation, {})

        return answer

    def described(self) -> dict[str, Any]:
        return {
            "serviceName": "shop",
            "status": "ACTIVE",
            "desiredCount": 2,
            "runningCount": sum(one["runningCount"] for one in self.deployments),
            "taskDefinition": self.deployments[0]["taskDefinition"],
            "deployments": self.deployments,
            "events": self.events,
        }


def deployment(identity: str, definition: str, state: str, running: int = 0) -> dict[str, Any]:
    return {
        "id": identity,
        "status": "PRIMARY",
        "taskDefinition": definition,
        "rolloutState": state,
        "runningCount": running,
        "pendingCount": 0,
        "createdAt": BEGAN,
    }


def ended(
    name: str, by: str = "ecs-svc/2", code: str = "EssentialContainerExited", exit_code: int = 139
) -> dict[str, Any]:
    return {
        "taskArn": f"arn:aws:ecs:ap-southeast-2:123456789012:task/c/{name}",
        "taskDefinitionArn": NEW,
        "startedBy": by,
        "stopCode": code,
        "stoppedReason": "Scaling activity initiated by (deployment 2)" if code == "Planned" else "ended",
        "stoppedAt": BEGAN + timedelta(seconds=9),
        "containers": [{"name": "shop", "exitCode": exit_code}],
    }


@pytest.fixture
def ecs(session: boto3.Session) -> Ecs:
    return Ecs(session)


@pytest.fixture(autouse=True)
def _no_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orderops.releases.task_end.last_lines_of", lambda *_: [])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The time that the rollout reads; a test moves it."""
    now = [1000.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    yield now


@pytest.fixture
def rollout(ecs: Ecs, aws: Aws, clock: list[float]) -> Rollout:
    return Rollout.of(aws, "c", "shop", VALUES, stuck_seconds=100)


def test_a_release_whose_deployment_completes_is_deployed(ecs: Ecs, rollout: Rollout) -> None:
    own = ecs.begin()
    assert rollout.look() is ReleaseVerdict.RUNNING

    own["rolloutState"] = "COMPLETED"

    assert rollout.look() is ReleaseVerdict.DEPLOYED
    assert (rollout.deployment, rollout.definition, rollout.previous) == ("ecs-svc/2", NEW, OLD)


def test_the_deployment_of_before_is_not_taken_for_the_own_one(rollout: Rollout) -> None:
    assert rollout.look() is ReleaseVerdict.RUNNING
    assert rollout.deployment == ""


def test_two_ends_for_one_cause_are_a_crash_loop_although_ecs_counts_no_failure(ecs: Ecs, rollout: Rollout) -> None:
    ecs.begin()
    ecs.ends(ended("a"))
    assert rollout.look() is ReleaseVerdict.RUNNING

    ecs.ends(ended("b"))

    assert rollout.look() is ReleaseVerdict.CRASH_LOOPING
    assert rollout.reason == "2 x crashed in native code, exit 139"
    assert rollout.card.groups[0].tasks == ("a", "b")


def unhealthy(reason: str, *, task: str = "", seconds: float = 0) -> dict[str, Any]:
    """The event for a target that fails its checks, so many seconds after the release began."""
    about = f"(task {task}) " if task else ""
    message = f"(service shop) {about}(port 8080) is unhealthy in (target-group {GROUP}) due to (reason {reason})."
    return {"createdAt": BEGAN + timedelta(seconds=seconds), "message": message}


def failed_checks(name: str) -> dict[str, Any]:
    why = f"Task failed ELB health checks in (target-group {GROUP})"
    task = ended(name, code="ServiceSchedulerInitiated", exit_code=143)
    return {**task, "stoppedReason": why, "createdAt": BEGAN + timedelta(seconds=1)}


@pytest.mark.parametrize(
    "before",
    [
        unhealthy("Request timed out", task="old", seconds=5),
        unhealthy("Request timed out", seconds=-5),
    ],
    ids=["of another task", "older than the task"],
)
def test_a_failed_check_of_the_release_before_is_no_cause(ecs: Ecs, rollout: Rollout, before: dict[str, Any]) -> None:
    ecs.begin()
    ecs.events = [before, unhealthy("Health checks failed", task="a", seconds=4)]
    ecs.ends(failed_checks("a"))

    rollout.take_evidence({}, rollout.ends(ecs.described()))

    assert [group.cause.key for group in rollout.card.groups] == ["wrong-port"]


def test_an_event_that_comes_after_the_service_was_read_is_the_cause(ecs: Ecs, rollout: Rollout) -> None:
    ecs.begin()
    ecs.events = [unhealthy("Request timed out", task="old", seconds=-5)]
    read = ecs.described()
    ecs.events = [unhealthy("Health checks failed", seconds=4), *ecs.events]
    ecs.ends(failed_checks("a"))

    [end] = rollout.ends(read)

    assert end.reason.endswith("Health checks failed")


@pytest.mark.parametrize(
    "others",
    [
        [ended("a"), ended("b", exit_code=137)],
        [ended("a", by="ecs-svc/1"), ended("b", by="ecs-svc/1")],
        [ended("a", code="UserInitiated"), ended("b", code="UserInitiated")],
        [ended("a", code="Planned"), ended("b", code="Planned")],
    ],
    ids=["two causes", "of another deployment", "stopped by hand", "stopped by the deployment itself"],
)
def test_other_ends_are_no_crash_loop(ecs: Ecs, rollout: Rollout, others: list[dict[str, Any]]) -> None:
    ecs.begin()
    ecs.ends(*others)

    assert rollout.look() is ReleaseVerdict.RUNNING


def test_a_deployment_of_the_definition_of_before_is_a_rollback(ecs: Ecs, rollout: Rollout) -> None:
    ecs.begin()["rolloutState"] = "FAILED"
    rollout.look()
    ecs.begin(OLD, "ecs-svc/3")["rolloutStateReason"] = "rolling back to deploymentId 1."
    rollout.verdict = ReleaseVerdict.RUNNING

    assert rollout.look() is ReleaseVerdict.ROLLED_BACK
    assert rollout.reason == "rolling back to deploymentId 1."


def test_a_crash_loop_is_one_whoever_notices_it_first(ecs: Ecs, rollout: Rollout) -> None:
    ecs.begin()
    rollout.look()
    ecs.ends(ended("a"), ended("b"), ended("c"))
    ecs.begin(OLD, "ecs-svc/3")

    assert rollout.look() is ReleaseVerdict.CRASH_LOOPING


def test_another_release_in_its_place_is_a_failure(ecs: Ecs, rollout: Rollout) -> None:
    ecs.begin()
    rollout.look()
    ecs.begin("shop:8", "ecs-svc/9")

    assert rollout.look() is ReleaseVerdict.FAILED
    assert rollout.reason == "another deployment, ecs-svc/9, took its place"


def test_a_release_without_any_change_for_too_long_is_stuck(ecs: Ecs, rollout: Rollout, clock: list[float]) -> None:
    own = ecs.begin()
    rollout.look()
    clock[0] += 99
    own["pendingCount"] = 1
    assert rollout.look() is ReleaseVerdict.RUNNING
    clock[0] += 99
    assert rollout.look() is ReleaseVerdict.RUNNING
    clock[0] += 2

    assert rollout.look() is ReleaseVerdict.STUCK
    assert rollout.reason == "no task has started, become healthy or ended for 101 s"


def test_an_event_that_says_why_no_task_starts_is_believed_sooner(
    ecs: Ecs, rollout: Rollout, clock: list[float]
) -> None:
    own = ecs.begin()
    ecs.events = [{"createdAt": BEGAN, "message": ROLE}]
    assert rollout.look() is ReleaseVerdict.RUNNING
    clock[0] += 21

    assert rollout.look() is ReleaseVerdict.STUCK
    assert rollout.reason == "a role cannot be assumed"
    assert own["runningCount"] == 0


def test_events_from_before_the_release_do_not_count(ecs: Ecs, rollout: Rollout, clock: list[float]) -> None:
    ecs.begin()
    ecs.events = [{"createdAt": BEGAN - timedelta(seconds=1), "message": ROLE}]
    rollout.look()
    clock[0] += 30

    assert rollout.look() is ReleaseVerdict.RUNNING


def test_a_release_that_ecs_gave_up_before_a_task_started_is_stuck(ecs: Ecs, rollout: Rollout) -> None:
    ecs.begin()
    rollout.look()
    ecs.events = [{"createdAt": BEGAN, "message": ROLE}]
    ecs.begin(OLD, "ecs-svc/3")

    assert rollout.look() is ReleaseVerdict.STUCK


def test_a_first_release_that_failed_is_failed(ecs: Ecs, aws: Aws, clock: list[float]) -> None:
    ecs.deployments = []
    first = Rollout.of(aws, "c", "shop", VALUES, stuck_seconds=100)
    own = ecs.begin()
    first.look()
    own |= {"rolloutState": "FAILED", "rolloutStateReason": "tasks failed to start."}

    assert first.look() is ReleaseVerdict.FAILED
    assert first.previous == ""
    assert first.roll_back() == ""
    assert ecs.sent == []


def test_a_rollout_under_way_is_stopped_by_its_own_deployment(ecs: Ecs, rollout: Rollout) -> None:
    ecs.begin()

    assert rollout.roll_back() == "stopped, and rolled back"
    assert [operation for operation, _ in ecs.sent] == ["StopServiceDeployment"]


def test_a_completed_release_goes_back_by_a_new_deployment_of_the_one_before(ecs: Ecs, rollout: Rollout) -> None:
    ecs.begin()["rolloutState"] = "COMPLETED"
    ecs.service_deployments[0]["status"] = "SUCCESSFUL"

    assert rollout.roll_back() == "returned to the release before"
    assert [operation for operation, _ in ecs.sent] == ["UpdateService"]
    assert OLD in str(ecs.sent[0][1]["body"])


def test_evidence_that_is_gone_later_is_kept(ecs: Ecs, rollout: Rollout) -> None:
    ecs.begin()
    ecs.ends(ended("a"), ended("b"))
    rollout.look()
    ecs.tasks = []

    rollout.take_evidence({}, [])

    assert rollout.card.summary == "2 x crashed in native code, exit 139"


def test_what_runs_now_is_told_by_revision(ecs: Ecs, rollout: Rollout) -> None:
    ecs.deployments[0]["runningCount"] = 2
    ecs.begin()["runningCount"] = 1

    assert rollout.runs_now() == "1 of revision 7 and 2 of revision 6 run, 2 wanted"
