"""Releases by the strategies blue-green and canary, with AWS emulated."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest

from orderops.local.ecs import traffic_shift
from orderops.releases.stages import stage_of
from support.command_line import Orderops
from support.faulty_proxy import Proxy
from support.laptop import until
from support.policy_workflows import run_quietly
from support.recorded_history import YESTERDAY, Dev
from support.repository import ENVIRONMENTS

# End to end.
pytestmark = pytest.mark.slow

pytest_plugins = ["support.recorded_history_fixtures"]

FIRST, SECOND, THIRD = (f"registry.example.com/orders@sha256:{digit * 64}" for digit in "123")
SERVICE = "orderops-dev-order-processor"
TABLE = "[services.order-processor]\n"


def declared(folder: Path, strategy: str) -> Path:
    """Environments of which dev releases by this strategy."""
    shutil.copytree(ENVIRONMENTS, folder)
    file = folder / "dev.toml"
    file.write_text(file.read_text().replace(TABLE, f'{TABLE}strategy = "{strategy}"\n'))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return declared(tmp_path_factory.mktemp("strategies") / "environments", "blue-green")


@pytest.fixture(scope="module")
def _released(swift: Proxy, folder: Path) -> Iterator[bytes]:
    swift.reset()
    variables = {
        "AWS_ENDPOINT_URL": swift.url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "ORDEROPS_BAKE": "0",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        patch.setattr(traffic_shift, "LONGEST_BAKE", 0.2)
        said = run_quietly("up", "--image", FIRST, "--yes", "--env", "dev", "--environments", str(folder))
        assert said.code == 0, said.err
        yield swift.keep()


@pytest.fixture
def released(brought: Callable[[bytes], Dev], _released: bytes) -> Dev:
    """dev after its first release."""
    return brought(_released)


@pytest.fixture
def orderops(capsys: pytest.CaptureFixture[str], folder: Path) -> Orderops:
    return Orderops(capsys, "--env", "dev", "--environments", str(folder))


def weights(dev: Dev) -> dict[str, int]:
    """The weights of the service's rule, by target group."""
    aws = dev.workspace.aws
    listener = aws.elbv2.describe_listeners(
        LoadBalancerArn=aws.elbv2.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"]
    )["Listeners"][0]["ListenerArn"]
    rules = aws.elbv2.describe_rules(ListenerArn=listener)["Rules"]
    rule = next(rule for rule in rules if [one["Field"] for one in rule["Conditions"]] == ["path-pattern"])
    groups = rule["Actions"][0]["ForwardConfig"]["TargetGroups"]
    return {one["TargetGroupArn"].split("/")[1]: one["Weight"] for one in groups}


def test_a_release_moves_the_requests_and_leaves_nothing_to_do(released: Dev, orderops: Orderops) -> None:
    before = weights(released)

    said = orderops("service", "deploy", "--image", SECOND, "--yes")

    assert said.code == 0, said.err
    assert {group: 100 - weight for group, weight in before.items()} == weights(released)
    assert orderops("up", "--dry-run", "--image", SECOND).code == 0


def test_the_strategy_cannot_be_taken_away_while_the_second_group_has_the_requests(
    released: Dev, orderops: Orderops, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert orderops("service", "deploy", "--image", SECOND, "--yes").code == 0
    rolling = declared(tmp_path / "environments", "rolling")
    backward = Orderops(capsys, "--env", "dev", "--environments", str(rolling))
    before = weights(released)

    refused = backward("up", "--image", SECOND, "--yes", "--prune")

    assert refused.code == 1
    assert "the requests go to the target group that would be taken away" in refused.err
    assert "orderops service restart order-processor --env dev" in refused.err
    assert weights(released) == before
    assert orderops("service", "restart", "--yes").code == 0
    assert backward("up", "--image", SECOND, "--yes", "--prune").code == 0
    assert backward("up", "--image", SECOND, "--dry-run").code == 0


@pytest.mark.parametrize("releases", [1, 2], ids=["the second group is live", "the first group is live"])
def test_a_release_alone_takes_no_strategy_away_from_under_the_clients(
    released: Dev, orderops: Orderops, tmp_path: Path, capsys: pytest.CaptureFixture[str], releases: int
) -> None:
    for image in (SECOND, THIRD)[:releases]:
        assert orderops("service", "deploy", "--image", image, "--yes").code == 0
    before = weights(released)
    rolling = Orderops(capsys, "--env", "dev", "--environments", str(declared(tmp_path / "environments", "rolling")))

    said = rolling("service", "deploy", "--image", FIRST, "--yes")

    service = released.workspace.aws.ecs.describe_services(cluster="orderops-dev-cluster", services=[SERVICE])
    group = service["services"][0]["loadBalancers"][0]["targetGroupArn"].split("/")[1]
    advanced = service["services"][0]["loadBalancers"][0].get("advancedConfiguration")
    assert weights(released) == before
    if releases == 1:
        assert said.code == 1
        assert "the requests go to the target group that would be taken away" in said.err
        assert advanced
    else:
        # The tasks are in the group that the clients reach, and `up` takes the rest away.
        assert said.code == 0, said.err
        assert (before[group], advanced) == (100, None)


def test_the_share_of_a_canary_is_declared_and_sent(
    released: Dev, orderops: Orderops, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    canary = declared(tmp_path / "environments", 'canary"\ncanary_percent = 20\ncanary_minutes = 1\nrole = "both')
    by_share = Orderops(capsys, "--env", "dev", "--environments", str(canary))

    said = by_share("up", "--image", SECOND, "--yes")

    assert said.code == 0, said.err
    service = released.workspace.aws.ecs.describe_services(cluster="orderops-dev-cluster", services=[SERVICE])
    configuration = service["services"][0]["deploymentConfiguration"]
    assert configuration["canaryConfiguration"] == {"canaryPercent": 20.0, "canaryBakeTimeInMinutes": 1}
    assert by_share("up", "--image", SECOND, "--dry-run").code == 0
    assert orderops("up", "--image", SECOND, "--yes").code == 0
    assert orderops("up", "--image", SECOND, "--dry-run").code == 0


@pytest.mark.parametrize("answer", ["promote", "abort"])
def test_without_a_release_under_way_there_is_nothing_to_answer(released: Dev, orderops: Orderops, answer: str) -> None:
    said = orderops("service", answer, "--yes")

    assert said.code == 1
    assert "no release of order-processor is under way in dev" in said.err
    assert released.proxy.changing == [] or "continue" not in " ".join(released.proxy.changing).lower()


def begin(dev: Dev, image: str) -> None:
    """Begin a release that nobody watches, as a run that is killed leaves it."""
    aws = dev.workspace.aws
    ecs = boto3.Session("testing", "testing", region_name="ap-southeast-2").client("ecs", endpoint_url=dev.proxy.url)
    name = aws.ecs.describe_services(cluster="orderops-dev-cluster", services=[SERVICE])["services"][0][
        "taskDefinition"
    ]
    raw = ecs.describe_task_definition(taskDefinition=name)["taskDefinition"]
    keys = (
        "family",
        "networkMode",
        "requiresCompatibilities",
        "cpu",
        "memory",
        "executionRoleArn",
        "taskRoleArn",
        "runtimePlatform",
    )
    container = {**raw["containerDefinitions"][0], "image": image}
    definition = ecs.register_task_definition(
        **{key: raw[key] for key in keys if key in raw}, containerDefinitions=[container]
    )["taskDefinition"]["taskDefinitionArn"]
    ecs.update_service(cluster="orderops-dev-cluster", service=SERVICE, taskDefinition=definition)
    until(lambda: waiting(dev) == "POST_TEST_TRAFFIC_SHIFT")


def waiting(dev: Dev) -> str:
    """The stage at which a deployment waits; "" for none."""
    stage = stage_of(dev.workspace.aws, "orderops-dev-cluster", SERVICE)
    return stage.stage if stage and stage.pause else ""


def test_a_release_that_nobody_watches_is_promoted_to_its_bake_and_then_to_its_end(
    released: Dev, orderops: Orderops
) -> None:
    before = weights(released)
    begin(released, THIRD)

    tried = orderops("service", "promote", "--dry-run")
    assert "order-processor waits at POST_TEST_TRAFFIC_SHIFT; this sends the clients to it" in tried.err
    assert waiting(released) == "POST_TEST_TRAFFIC_SHIFT"
    assert orderops("service", "promote", "--yes").code == 0
    assert waiting(released) == "POST_PRODUCTION_TRAFFIC_SHIFT"
    assert orderops("service", "promote", "--yes").code == 0

    assert waiting(released) == ""
    assert weights(released) == {group: 100 - weight for group, weight in before.items()}


def test_an_aborted_release_leaves_the_requests_where_they_were(released: Dev, orderops: Orderops) -> None:
    before = weights(released)
    begin(released, THIRD)
    assert orderops("service", "promote", "--yes").code == 0

    said = orderops("service", "abort", "--yes")

    assert said.code == 0, said.err
    assert (waiting(released), weights(released)) == ("", before)
    assert orderops("history", "--last", "1").out.split()[4:6] == ["service", "abort"]


def test_a_release_that_an_interrupted_run_left_waiting_is_finished_by_running_it_again(
    released: Dev, orderops: Orderops
) -> None:
    assert orderops("service", "deploy", "--image", SECOND, "--yes").code == 0
    before = weights(released)
    ecs = boto3.Session("testing", "testing", region_name="ap-southeast-2").client(
        "ecs", endpoint_url=released.proxy.url
    )
    ecs.update_service(cluster="orderops-dev-cluster", service=SERVICE, forceNewDeployment=True)
    until(lambda: waiting(released) == "POST_TEST_TRAFFIC_SHIFT")

    said = orderops("service", "deploy", "--image", SECOND, "--yes")

    assert said.code == 0, said.err
    assert (waiting(released), weights(released)) == ("", {group: 100 - weight for group, weight in before.items()})


def test_a_restart_goes_through_both_pauses(released: Dev, orderops: Orderops) -> None:
    before = weights(released)

    said = orderops("service", "restart", "--yes")

    assert said.code == 0, said.err
    assert weights(released) == {group: 100 - weight for group, weight in before.items()}


@pytest.mark.slow
def test_the_tasks_that_a_promotion_replaces_pass_both_pauses(released: Dev, orderops: Orderops) -> None:
    released.age()
    assert orderops("restore", "--at", f"{YESTERDAY:%Y-%m-%dT%H:%M:%SZ}", "--yes").code == 0
    before = weights(released)

    said = orderops("restore", "promote", "--yes")

    assert said.code == 0, said.err
    assert (waiting(released), weights(released)) == ("", {group: 100 - weight for group, weight in before.items()})


def test_status_counts_both_groups_and_says_what_a_release_waits_for(released: Dev, orderops: Orderops) -> None:
    assert orderops("service", "restart", "--yes").code == 0

    def component(name: str) -> dict[str, str]:
        components = orderops("status", "--json").json["components"]
        return next(one for one in components if one["name"] == name)

    until(lambda: component("balancer")["detail"] == "1 of 1 targets healthy")
    begin(released, THIRD)

    waits = component("service order-processor")
    assert waits["state"] == "ok"
    assert "its release is tested and waits for `orderops service promote` or `abort`" in waits["detail"]
    assert "without an answer, ECS returns to the release before at " in waits["detail"]
