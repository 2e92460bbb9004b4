"""A release with a second target group, judged at its stages: a real HTTP server, and AWS's answers in its shapes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.operations.release_stages import StagedRelease
from orderops.releases.bake import ReleaseBaseline
from orderops.releases.rollout import Rollout
from orderops.releases.stages import DeploymentStage
from orderops.releases.verdict import ReleaseVerdict

OK = SimpleNamespace(status_code=200)
GROUP = "arn:aws:elasticloadbalancing:ap-southeast-2:123456789012:targetgroup/shop-alt/73e2d6bc24d8a067"
VALUES = {"environment": "dev", "service": "shop", "image": "shop:2", "memory": "512", "port": "8080"}
TESTED = DeploymentStage("arn:deployment", "POST_TEST_TRAFFIC_SHIFT", "pause-1", None, "ROLLBACK")
SHIFTING = DeploymentStage("arn:deployment", "PRODUCTION_TRAFFIC_SHIFT")
BAKED = DeploymentStage("arn:deployment", "POST_PRODUCTION_TRAFFIC_SHIFT", "pause-2", None, "CONTINUE")


class Balancer:
    """Answers for the release before, or with the header of a test for the new one."""

    def __init__(self) -> None:
        self.before: dict[str, tuple[int, Any]] = {
            "/version": (200, {"service": "shop", "version": "1"}),
            "/ready": (200, {}),
        }
        self.candidate = {**self.before, "/version": (200, {"service": "shop", "version": "2"})}
        self.late = 0
        """Requests of a test that the release before still answers."""
        balancer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                tested = self.headers.get("x-orderops-candidate") == "shop" and balancer.late <= 0
                balancer.late -= 1
                status, document = (balancer.candidate if tested else balancer.before)[self.path]
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(document).encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@dataclass
class Cloud:
    """What AWS answers, and the answers that its pauses got."""

    answers: dict[str, Any]
    continued: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture
def balancer() -> Iterator[Balancer]:
    balancer = Balancer()
    yield balancer
    balancer.server.shutdown()


@pytest.fixture
def cloud(session: boto3.Session) -> Cloud:
    own = {"id": "2", "status": "PRIMARY", "taskDefinition": "shop:7", "rolloutState": "IN_PROGRESS", "runningCount": 2}
    service = {"serviceName": "shop", "status": "ACTIVE", "desiredCount": 2, "deployments": [own], "events": []}
    groups = [{"TargetGroupArn": GROUP, "Weight": 100}, {"TargetGroupArn": "arn:other/1/2", "Weight": 0}]
    rule = {"Actions": [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]}
    cloud = Cloud(
        {
            "ecs.DescribeServices": {"services": [service]},
            "ecs.ListTasks": {"taskArns": []},
            "ecs.DescribeTasks": {"tasks": []},
            "ecs.ContinueServiceDeployment": {},
            "elastic-load-balancing-v2.DescribeRules": {"Rules": [rule]},
            "elastic-load-balancing-v2.DescribeTargetGroups": {
                "TargetGroups": [{"LoadBalancerArns": ["a/b:loadbalancer/c"]}]
            },
            "cloudwatch.GetMetricData": {"MetricDataResults": []},
        }
    )
    for operation in cloud.answers:
        session.events.register(
            f"before-call.{operation}", lambda operation=operation, **_: (OK, cloud.answers[operation])
        )
    session.events.register(
        "before-parameter-build.ecs.ContinueServiceDeployment",
        lambda params, **_: cloud.continued.append({key: params[key] for key in ("hookId", "action")}),
    )
    return cloud


def staged(aws: Aws, url: str, *, seconds: float = 0, stage: DeploymentStage = TESTED) -> StagedRelease:
    rollout = Rollout(aws, "c", "shop", VALUES, 100, previous="shop:6", deployment="2", definition="shop:7")
    rollout.stage = stage
    return StagedRelease(rollout, "shop", "2", url, ReleaseBaseline(ready=True), seconds, "arn:rule", "arn:test")


def test_a_release_that_answers_its_test_gets_the_clients(aws: Aws, cloud: Cloud, balancer: Balancer) -> None:
    release = staged(aws, balancer.url)

    looks = [release.look(TESTED) for _ in range(2)]
    assert (looks, cloud.continued) == ([True, True], [])
    assert release.look(TESTED)

    assert cloud.continued == [{"hookId": "pause-1", "action": "CONTINUE"}]
    assert release.notes == ["answered its test with 200"]


@pytest.mark.parametrize(
    ("path", "answer", "reason"),
    [
        ("/version", (200, {"service": "shop", "version": "7"}), "/version answers 7, not 2; no client has reached it"),
        ("/ready", (503, {}), "/ready answered 200 before, and 503 now; no client has reached it"),
    ],
)
def test_a_release_with_a_wrong_answer_goes_back_before_any_client(
    aws: Aws, cloud: Cloud, balancer: Balancer, path: str, answer: tuple[int, Any], reason: str
) -> None:
    balancer.candidate[path] = answer
    release = staged(aws, balancer.url)

    assert [release.look(TESTED) for _ in range(3)] == [True, True, False]
    assert (release.rollout.verdict, release.rollout.reason) == (ReleaseVerdict.ROLLED_BACK, reason)
    assert cloud.continued == []


def test_a_rule_that_takes_effect_late_makes_no_release_good_or_bad(aws: Aws, cloud: Cloud, balancer: Balancer) -> None:
    # The release before answers with the version that is expected, as after a change of its variables alone.
    balancer.before = {path: (200, {"service": "shop", "version": "2"}) for path in balancer.before}
    balancer.candidate["/version"] = (200, {"service": "shop", "version": "7"})
    balancer.late = 4
    release = staged(aws, balancer.url)

    assert [release.look(TESTED) for _ in range(5)] == [True, True, True, True, False]
    assert cloud.continued == []


def test_a_release_that_cannot_be_asked_from_here_goes_on_and_says_so(aws: Aws, cloud: Cloud) -> None:
    release = staged(aws, "http://127.0.0.1:1")

    assert all(release.look(TESTED) for _ in range(3))

    assert [answer["action"] for answer in cloud.continued] == ["CONTINUE"]
    assert release.notes[0].startswith("was not tested: ")


def test_a_service_whose_paths_lead_elsewhere_is_not_asked(aws: Aws, cloud: Cloud) -> None:
    release = staged(aws, "")

    assert release.look(TESTED)
    assert (len(cloud.continued), release.notes) == (1, ["was not tested"])


def test_the_bake_ends_its_pause_to_the_second(aws: Aws, cloud: Cloud, balancer: Balancer) -> None:
    balancer.before = balancer.candidate
    release = staged(aws, balancer.url, seconds=0.4, stage=BAKED)

    assert release.look(BAKED)
    assert cloud.continued == []
    assert release.waits_for(BAKED).startswith("bakes beside the tasks before, 0 s")
    while not cloud.continued:
        assert release.look(BAKED)

    assert cloud.continued == [{"hookId": "pause-2", "action": "CONTINUE"}]
    assert "no task ended in 0 s" in release.notes


@pytest.mark.parametrize("stage", [SHIFTING, BAKED])
def test_errors_of_the_new_tasks_alone_send_it_back(
    aws: Aws, cloud: Cloud, balancer: Balancer, session: boto3.Session, stage: DeploymentStage
) -> None:
    asked: list[str] = []
    session.events.register(
        "before-parameter-build.cloudwatch.GetMetricData",
        lambda params, **_: asked.extend(
            dimension["Value"]
            for query in params["MetricDataQueries"]
            for dimension in query["MetricStat"]["Metric"]["Dimensions"]
            if dimension["Name"] == "TargetGroup"
        ),
    )
    requests, errors = 40, 10
    minute = [datetime(2026, 11, 28, 12, tzinfo=UTC)]
    release = staged(aws, balancer.url, seconds=300, stage=stage)
    cloud.answers["cloudwatch.GetMetricData"] = {
        "MetricDataResults": [
            {"Id": f"m{index}", "Timestamps": minute, "Values": [count]}
            for index, count in enumerate((requests, errors))
        ]
    }

    assert not release.look(stage)

    assert release.rollout.verdict is ReleaseVerdict.ROLLED_BACK
    assert release.rollout.reason == "10 of 40 requests answered with 5xx"
    assert set(asked) == {"targetgroup/shop-alt/73e2d6bc24d8a067"}
    assert cloud.continued == []
