"""The bake of a release: a real HTTP server behind the address, and metrics in CloudWatch's shapes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.releases.bake import Bake, ReleaseBaseline, baseline_of
from orderops.releases.probe import ask
from orderops.releases.rollout import Rollout
from orderops.releases.traffic import Traffic, traffic
from orderops.releases.verdict import ReleaseVerdict

OK = SimpleNamespace(status_code=200)
GROUP = "arn:aws:elasticloadbalancing:ap-southeast-2:123456789012:targetgroup/shop/73e2d6bc24d8a067"
BALANCER = "arn:aws:elasticloadbalancing:ap-southeast-2:123456789012:loadbalancer/app/shop/50dc6c495c0c9188"
VALUES = {"environment": "dev", "service": "shop", "image": "shop:9", "memory": "512", "port": "8080"}


class Service:
    """A service over HTTP, with answers that a test sets."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {
            "/version": (200, {"service": "shop", "version": "2"}),
            "/ready": (200, {"checks": {}}),
        }
        answers = self.answers

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, document = answers.get(self.path, (404, None))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(document).encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.server.shutdown()


@pytest.fixture
def cloud(session: boto3.Session) -> dict[str, Any]:
    """What AWS answers, by operation; a test changes it."""
    own = {"id": "2", "status": "PRIMARY", "taskDefinition": "shop:7", "rolloutState": "COMPLETED", "runningCount": 2}
    answers: dict[str, Any] = {
        "ecs.DescribeServices": {
            "services": [
                {"serviceName": "shop", "status": "ACTIVE", "desiredCount": 2, "deployments": [own], "events": []}
            ]
        },
        "ecs.ListTasks": {"taskArns": []},
        "ecs.DescribeTasks": {"tasks": []},
        "elastic-load-balancing-v2.DescribeTargetGroups": {"TargetGroups": [{"LoadBalancerArns": [BALANCER]}]},
        "cloudwatch.GetMetricData": {"MetricDataResults": []},
    }
    for operation in answers:
        session.events.register(f"before-call.{operation}", lambda operation=operation, **_: (OK, answers[operation]))
    return answers


def metrics(requests: int, errors: int) -> dict[str, Any]:
    minutes = [datetime(2026, 11, 28, 12, minute, tzinfo=UTC) for minute in (1, 0)]
    results = [
        {"Id": f"m{index}", "Timestamps": minutes, "Values": [count / 2] * 2}
        for index, count in enumerate((requests, errors))
    ]
    return {"MetricDataResults": results}


def bake(aws: Aws, service: Service, *, seconds: float = 0, **baseline: Any) -> Bake:
    rollout = Rollout(aws, "c", "shop", VALUES, 100, previous="shop:6", deployment="2", definition="shop:7")
    rollout.verdict = ReleaseVerdict.DEPLOYED
    return Bake(rollout, seconds, service.url, "shop", "2", GROUP, ReleaseBaseline(**{"ready": True, **baseline}))


def test_a_release_that_answers_as_itself_is_good(cloud: dict[str, Any], aws: Aws, service: Service) -> None:
    cloud["cloudwatch.GetMetricData"] = metrics(600, 4)
    baked = bake(aws, service)

    assert baked.look() is ReleaseVerdict.DEPLOYED
    assert baked.notes() == [
        "no task ended in 0 s",
        "4 of 600 requests answered with 5xx",
        "/version answers 2",
    ]


def test_a_worker_is_judged_by_its_tasks_alone(cloud: dict[str, Any], aws: Aws, service: Service) -> None:
    cloud["cloudwatch.GetMetricData"] = metrics(600, 600)
    good = bake(aws, service)
    worker = Bake(good.rollout, 30, "", "shop", "2", "", baseline_of(aws, "", ""))

    assert worker.look() is ReleaseVerdict.DEPLOYED
    assert worker.notes() == ["no task ended in 30 s"]


def test_a_read_from_before_the_end_of_the_rollout_is_no_verdict(
    cloud: dict[str, Any], aws: Aws, service: Service
) -> None:
    baked = bake(aws, service, seconds=60)
    baked.rollout.verdict = ReleaseVerdict.RUNNING
    [own] = cloud["ecs.DescribeServices"]["services"][0]["deployments"]
    own |= {"rolloutState": "IN_PROGRESS", "pendingCount": 1}
    cloud["ecs.DescribeServices"]["services"][0]["runningCount"] = 1

    assert baked.look() is ReleaseVerdict.RUNNING
    own["rolloutState"] = "COMPLETED"
    assert baked.look() is ReleaseVerdict.DEPLOYED


def test_the_old_version_at_the_end_turns_it_back(cloud: dict[str, Any], aws: Aws, service: Service) -> None:
    service.answers["/version"] = (200, {"service": "shop", "version": "1"})

    assert bake(aws, service, seconds=60).look() is ReleaseVerdict.DEPLOYED, "not yet: clients keep connections"
    at_the_end = bake(aws, service)
    assert at_the_end.look() is ReleaseVerdict.ROLLED_BACK
    assert at_the_end.rollout.reason == "/version answers 1, not 2"


@pytest.mark.parametrize("other", [(404, None), (200, {"version": "17.2"}), (200, ["1"]), (500, None)])
def test_another_program_at_that_path_decides_nothing(
    cloud: dict[str, Any], aws: Aws, service: Service, other: tuple[int, Any]
) -> None:
    service.answers["/version"] = other

    assert bake(aws, service).look() is ReleaseVerdict.DEPLOYED


def test_a_release_that_is_ready_no_more_goes_back(cloud: dict[str, Any], aws: Aws, service: Service) -> None:
    checks = {"database": {"ok": False, "detail": "refuses the login"}, "queue": {"ok": True, "detail": "answers"}}
    service.answers["/ready"] = (503, {"checks": checks})
    was_ready, was_not = bake(aws, service), bake(aws, service, ready=False)

    assert was_ready.look() is ReleaseVerdict.ROLLED_BACK
    assert was_ready.rollout.reason == "/ready answered 200 before, and 503 now; database: refuses the login"
    assert was_not.look() is ReleaseVerdict.DEPLOYED


@pytest.mark.parametrize(("requests", "errors", "bad"), [(100, 6, True), (100, 5, False), (10, 4, False), (5, 5, True)])
def test_errors_turn_it_back_from_more_than_five_in_a_hundred(
    cloud: dict[str, Any], aws: Aws, service: Service, requests: int, errors: int, bad: bool
) -> None:
    cloud["cloudwatch.GetMetricData"] = metrics(1000, 900)
    baked = bake(aws, service, seconds=60)
    # The minute of the start has the errors of the release before.
    cloud["cloudwatch.GetMetricData"] = metrics(1000 + requests, 900 + errors)

    verdict = baked.look()

    assert verdict is (ReleaseVerdict.ROLLED_BACK if bad else ReleaseVerdict.DEPLOYED)


def test_a_long_bake_leaves_out_the_minute_in_which_it_began(
    session: boto3.Session, cloud: dict[str, Any], aws: Aws, service: Service
) -> None:
    asked: list[Any] = []
    session.events.register("provide-client-params.cloudwatch.GetMetricData", lambda params, **_: asked.append(params))

    before = datetime.now(UTC)
    bake(aws, service, seconds=180).look()

    [params] = asked
    assert params["StartTime"] > before
    assert params["StartTime"].second == 0


def test_errors_that_were_there_before_do_not_turn_it_back(cloud: dict[str, Any], aws: Aws, service: Service) -> None:
    cloud["cloudwatch.GetMetricData"] = metrics(100, 50)
    baked = bake(aws, service, traffic=Traffic(100, 40))

    assert baked.look() is ReleaseVerdict.DEPLOYED
    assert baked.notes()[1] == "not judged by 5xx: the release before had 40 of 100 requests answered with 5xx"


def test_a_task_that_ends_turns_it_back(cloud: dict[str, Any], aws: Aws, service: Service) -> None:
    task = {
        "taskArn": "arn/3f2a",
        "taskDefinitionArn": "shop:7",
        "startedBy": "2",
        "stopCode": "EssentialContainerExited",
        "containers": [{"name": "shop", "reason": "OutOfMemoryError: killed"}],
    }
    cloud["ecs.ListTasks"], cloud["ecs.DescribeTasks"] = {"taskArns": ["arn/3f2a"]}, {"tasks": [task]}
    baked = bake(aws, service, seconds=60)

    assert baked.look() is ReleaseVerdict.ROLLED_BACK
    assert baked.rollout.reason == "1 x out of memory at 512 MiB, exit 137, after all tasks had been healthy"


def test_another_deployment_in_its_place_is_a_failure(cloud: dict[str, Any], aws: Aws, service: Service) -> None:
    cloud["ecs.DescribeServices"]["services"][0]["deployments"][0]["id"] = "9"

    assert bake(aws, service, seconds=60).look() is ReleaseVerdict.FAILED


def test_without_the_right_to_read_metrics_it_is_judged_by_the_rest(
    session: boto3.Session, cloud: dict[str, Any], aws: Aws, service: Service
) -> None:
    denied = {"Error": {"Code": "AccessDenied", "Message": "no"}}
    session.events.unregister("before-call.cloudwatch.GetMetricData")
    session.events.register_first(
        "before-call.cloudwatch.GetMetricData", lambda **_: (SimpleNamespace(status_code=403), denied)
    )

    assert bake(aws, service).look() is ReleaseVerdict.DEPLOYED


def test_the_baseline_is_whether_it_was_ready_and_its_errors(cloud: dict[str, Any], aws: Aws, service: Service) -> None:
    cloud["cloudwatch.GetMetricData"] = metrics(100, 40)

    assert baseline_of(aws, GROUP, service.url) == ReleaseBaseline(True, Traffic(100, 40))
    service.answers["/ready"] = (503, {})
    assert not baseline_of(aws, GROUP, service.url).ready


def test_metrics_are_those_of_the_target_group_behind_its_balancer(
    session: boto3.Session, cloud: dict[str, Any], aws: Aws
) -> None:
    asked: list[Any] = []
    session.events.register("provide-client-params.cloudwatch.GetMetricData", lambda params, **_: asked.append(params))

    traffic(aws, GROUP, datetime(2026, 11, 28, 10, 0, 59, tzinfo=UTC), datetime(2026, 11, 28, 11, tzinfo=UTC))

    [params] = asked
    assert params["StartTime"] == datetime(2026, 11, 28, 10, 0, tzinfo=UTC)
    assert [query["MetricStat"]["Metric"] for query in params["MetricDataQueries"]] == [
        {
            "Namespace": "AWS/ApplicationELB",
            "MetricName": name,
            "Dimensions": [
                {"Name": "LoadBalancer", "Value": "app/shop/50dc6c495c0c9188"},
                {"Name": "TargetGroup", "Value": "targetgroup/shop/73e2d6bc24d8a067"},
            ],
        }
        for name in ("RequestCount", "HTTPCode_Target_5XX_Count")
    ]


def test_a_service_that_nobody_reaches_is_a_problem_in_words(service: Service) -> None:
    service.server.shutdown()
    service.server.server_close()

    answer = ask(f"{service.url}/version")

    assert (answer.status, "refused" in answer.problem) == (0, True)
    assert ask("").problem != ""


def test_a_service_without_a_balancer_has_no_traffic(cloud: dict[str, Any], aws: Aws) -> None:
    cloud["elastic-load-balancing-v2.DescribeTargetGroups"]["TargetGroups"][0]["LoadBalancerArns"] = []

    assert traffic(aws, GROUP, datetime.now(UTC) - timedelta(minutes=5)) == Traffic()
