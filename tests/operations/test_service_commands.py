"""orderops service releases, rollback, explain, logs, restart and scale, with AWS emulated."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from support.command_line import Orderops
from support.faulty_proxy import Proxy
from support.policy_workflows import run_quietly
from support.recorded_history import Dev
from support.repository import ENVIRONMENTS

pytest_plugins = ["support.recorded_history_fixtures"]

FIRST = "registry.example.com/orders@sha256:" + "1" * 64
SECOND = "registry.example.com/orders@sha256:" + "2" * 64
SERVICE = "orderops-dev-order-processor"
GROUP = "/orderops/dev/order-processor"


@pytest.fixture(scope="module")
def _released(swift: Proxy, _made: bytes) -> bytes:
    swift.bring_back(_made)
    variables = {
        "AWS_ENDPOINT_URL": swift.url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "ORDEROPS_BAKE": "0",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        where = ("--yes", "--env", "dev", "--environments", str(ENVIRONMENTS))
        for image in (FIRST, SECOND):
            said = run_quietly("service", "deploy", "--image", image, *where)
            assert said.code == 0, said.err
    return swift.keep()


@pytest.fixture
def released(brought: Callable[[bytes], Dev], _released: bytes) -> Dev:
    """dev after two releases."""
    return brought(_released)


def running(dev: Dev) -> dict[str, Any]:
    aws = dev.workspace.aws
    service = aws.ecs.describe_services(cluster="orderops-dev-cluster", services=[SERVICE])["services"][0]
    definition = aws.ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
    return {"image": definition["containerDefinitions"][0]["image"], **service}


def test_releases_are_listed_newest_first_with_verdict_and_which_one_runs(released: Dev, orderops: Orderops) -> None:
    listed = orderops("service", "releases", "--json").json

    assert [(one["image"], one["verdict"], one["running"]) for one in listed] == [
        (SECOND, "deployed", True),
        (FIRST, "deployed", False),
    ]
    assert listed[0]["previous"] == listed[1]["definition"]
    assert orderops("service", "releases").out.startswith("* ")


def test_a_rollback_releases_the_image_of_before_by_its_digest(released: Dev, orderops: Orderops) -> None:
    said = orderops("service", "rollback", "--yes")

    assert said.code == 0, said.err
    assert running(released)["image"] == FIRST
    newest = orderops("service", "releases", "--json").json[0]
    assert (newest["image"], newest["command"]) == (FIRST, "service rollback order-processor --env dev")


def test_a_rollback_that_is_run_again_changes_nothing(released: Dev, orderops: Orderops) -> None:
    assert orderops("service", "rollback", "--yes").code == 0
    released.proxy.forget()

    again = orderops("service", "rollback", "--yes")

    assert again.code == 0
    assert "0 changes" in again.err
    assert released.proxy.changing == []
    assert running(released)["image"] == FIRST


def test_after_a_rollback_and_a_new_release_the_one_that_ran_before_comes_back(
    released: Dev, orderops: Orderops
) -> None:
    third = "registry.example.com/orders@sha256:" + "3" * 64
    assert orderops("service", "rollback", "--yes").code == 0
    assert orderops("service", "deploy", "--image", third, "--yes").code == 0

    assert orderops("service", "rollback", "--yes").code == 0

    assert running(released)["image"] == FIRST


@pytest.mark.parametrize("name", ["revision", "digest", "image"])
def test_a_rollback_goes_to_a_release_by_any_of_its_names(released: Dev, orderops: Orderops, name: str) -> None:
    first = orderops("service", "releases", "--json").json[1]
    to = {"revision": first["definition"].rpartition(":")[2], "digest": FIRST.partition("@")[2], "image": FIRST}[name]

    assert orderops("service", "rollback", "--to", to, "--yes").code == 0
    assert running(released)["image"] == FIRST


def test_a_rollback_to_no_release_is_refused_and_changes_nothing(released: Dev, orderops: Orderops) -> None:
    said = orderops("service", "rollback", "--to", "77", "--yes")

    assert said.code == 1
    assert "no release of order-processor that ended well is named 77" in said.err
    assert running(released)["image"] == SECOND


def test_a_rollback_to_an_image_that_may_have_moved_is_refused(dev: Dev, orderops: Orderops) -> None:
    assert orderops("service", "deploy", "--image", "registry.example.com/orders:7", "--yes").code == 0
    assert orderops("service", "deploy", "--image", SECOND, "--yes").code == 0

    said = orderops("service", "rollback", "--yes")

    assert said.code == 1
    assert "registry.example.com/orders:7 is not pinned by a digest" in said.err


def test_without_an_earlier_release_a_rollback_is_refused(dev: Dev, orderops: Orderops) -> None:
    said = orderops("service", "rollback", "--yes")

    assert (said.code, "no earlier release of order-processor is on record" in said.err) == (1, True)


def test_a_release_is_not_done_again_if_nothing_changes(released: Dev, orderops: Orderops) -> None:
    assert orderops("service", "deploy", "--image", SECOND, "--yes").code == 0

    assert len(orderops("service", "releases", "--json").json) == 2


def test_there_is_nothing_to_explain_while_all_is_well(released: Dev, orderops: Orderops) -> None:
    said = orderops("service", "explain")
    last = orderops("service", "explain", "--last")

    assert (said.code, said.out) == (0, "")
    assert "no task of order-processor in dev ended unexpectedly in the last hour" in said.err
    assert (last.code, "is on record as failed" in last.err) == (1, True)


def test_a_restart_is_a_new_deployment_of_the_same_release(released: Dev, orderops: Orderops) -> None:
    before = running(released)

    said = orderops("service", "restart", "--yes")

    after = running(released)
    assert said.code == 0, said.err
    assert after["taskDefinition"] == before["taskDefinition"]
    assert after["deployments"][0]["id"] != before["deployments"][0]["id"]
    assert "order-processor: deployed" in said.err


def test_a_restart_that_is_only_tried_changes_nothing(released: Dev, orderops: Orderops) -> None:
    released.proxy.forget()

    assert orderops("service", "restart", "--dry-run").code == 0
    assert released.proxy.changing == []


def test_the_number_of_tasks_is_set_within_its_maximum(dev: Dev, orderops: Orderops) -> None:
    assert orderops("service", "scale", "--tasks", "3", "--yes").code == 0
    assert running(dev)["desiredCount"] == 3

    said = orderops("service", "scale", "--tasks", "6", "--yes")

    assert said.code == 2
    assert "--tasks 6 is more than max_tasks of order-processor, which is 5" in said.err
    assert running(dev)["desiredCount"] == 3


def test_fewer_tasks_than_declared_are_set_with_a_warning(dev: Dev, orderops: Orderops) -> None:
    said = orderops("service", "scale", "--tasks", "0", "--yes")

    assert said.code == 0
    assert "fewer than min_tasks (1): the next `orderops up" in said.err
    assert running(dev)["desiredCount"] == 0


def write(dev: Dev, task: str, *messages: str) -> None:
    logs, stream = dev.workspace.aws.guarded(lambda: None).logs, f"task/order-processor/{task}"
    logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
    now = int(time.time() * 1000)
    events = [{"timestamp": now + number, "message": message} for number, message in enumerate(messages)]
    logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)


def test_lines_of_all_tasks_are_shown_in_order_and_chosen(dev: Dev, orderops: Orderops) -> None:
    write(dev, "aaaaaaaa11", "started", "took an order")
    write(dev, "bbbbbbbb22", "started", "\x1b[31mred")

    lines = orderops("service", "logs").out.splitlines()
    orders = orderops("service", "logs", "--grep", "an? order", "--json").out.splitlines()
    second = orderops("service", "logs", "--task", "bbbb").out.splitlines()

    assert sorted(line.split(" ", 1)[1] for line in lines) == [
        "aaaaaaaa started",
        "aaaaaaaa took an order",
        "bbbbbbbb \\x1b[31mred",
        "bbbbbbbb started",
    ]
    assert [json.loads(line)["message"] for line in orders] == ["took an order"]
    assert len(second) == 2


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize("given", [TRACE, TRACE.upper(), f"00-{TRACE}-00f067aa0ba902b7-01"])
def test_the_lines_of_a_trace_are_those_of_its_request_and_of_its_order(
    dev: Dev, orderops: Orderops, given: str
) -> None:
    other = TRACE[::-1]
    lines: list[dict[str, object]] = [
        {"message": "order accepted", "trace_id": TRACE},
        {"message": "another request", "trace_id": other},
        {"message": "a request that claims it", "request_id": TRACE},
        {"message": "orders written", "orders": [{"order_id": "1", "trace_id": other}, {"trace_id": TRACE}]},
        {"message": "orders of others", "orders": [{"trace_id": other}, TRACE]},
    ]
    write(dev, "aaaaaaaa11", *(json.dumps(line) for line in lines), f"no JSON: {TRACE}", f'["{TRACE}"]')

    shown = orderops("service", "logs", "--trace", given, "--json").out.splitlines()

    messages = [json.loads(json.loads(line)["message"])["message"] for line in shown]
    assert messages == ["order accepted", "orders written"]


@pytest.mark.parametrize("given", ["", "abc", "0" * 32, "x" * 32, f"{TRACE}\x1b[31m", f'"{TRACE}"'])
def test_an_invalid_trace_id_is_refused_with_where_to_find_one(dev: Dev, orderops: Orderops, given: str) -> None:
    refused = orderops("service", "logs", "--trace", given)

    assert refused.code == 2
    assert "is no trace id" in refused.err
    assert "x-trace-id" in refused.err
    assert "\x1b" not in refused.err


def test_metrics_are_shown_only_where_they_are_asked_for(dev: Dev, orderops: Orderops) -> None:
    metric = json.dumps({"message": "metrics", "_aws": {"CloudWatchMetrics": []}, "Processed": 7})
    write(dev, "aaaaaaaa11", metric, "started")

    assert "Processed" not in orderops("service", "logs").out
    assert "Processed" in orderops("service", "logs", "--grep", "Processed").out


def test_a_wrong_expression_and_a_missing_group_are_refused_in_words(dev: Dev, orderops: Orderops) -> None:
    wrong = orderops("service", "logs", "--grep", "[")
    dev.workspace.aws.guarded(lambda: None).logs.delete_log_group(logGroupName=GROUP)
    missing = orderops("service", "logs")

    assert (wrong.code, "is no regular expression" in wrong.err) == (2, True)
    assert (missing.code, f"the log group {GROUP} does not exist" in missing.err) == (1, True)
    assert f"orderops infra apply --env dev --environments {ENVIRONMENTS}" in missing.err


def test_a_release_whose_image_is_gone_is_refused_before_anything_changes(dev: Dev, orderops: Orderops) -> None:
    gone = f"123456789012.dkr.ecr.ap-southeast-2.amazonaws.com/{SERVICE}@sha256:{'9' * 64}"
    dev.proxy.forget()

    said = orderops("service", "deploy", "--image", gone, "--yes")

    assert said.code == 1
    assert f"{gone} is not in its repository any more" in said.err
    assert dev.proxy.changing == []


def test_a_release_that_nobody_watched_is_judged_by_attaching_to_it(released: Dev, orderops: Orderops) -> None:
    aws = released.workspace.aws.guarded(lambda: None)
    aws.ecs.update_service(cluster="orderops-dev-cluster", service=SERVICE, forceNewDeployment=True)

    said = orderops("service", "deploy", "--attach")

    assert said.code == 0, said.err
    assert "order-processor: deployed" in said.err
    assert orderops("service", "releases", "--json").json[0]["verdict"] == "deployed"
