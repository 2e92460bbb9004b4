"""Blue/green and canary deployments of the emulated ECS, as its developer guide describes their stages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from orderops.local.ecs import traffic_shift
from support.emulated_service import System
from support.laptop import until
from support.strict_clients import Client, Refused

HEADER = {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "x-candidate", "Values": ["app"]}}
PATHS = {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/*"]}}
TRUST = {"Effect": "Allow", "Principal": {"Service": "ecs.amazonaws.com"}, "Action": "sts:AssumeRole"}
BLUE_GREEN = {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0}


def pause(*stages: str, minutes: int = 30, action: str = "ROLLBACK") -> dict[str, Any]:
    limit = {"timeoutInMinutes": minutes, "action": action}
    return {"targetType": "PAUSE", "lifecycleStages": list(stages), "timeoutConfiguration": limit}


class TwoColours(System):
    """A service with two target groups, a production rule and a test rule."""

    def __post_init__(self) -> None:
        super().__post_init__()
        elb = self.client("elbv2")
        vpc = self.group["TargetGroups"][0]["VpcId"]
        other = elb.create_target_group(Name="app-alt", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip")
        self.other = other["TargetGroups"][0]["TargetGroupArn"]
        refuse = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
        listener = elb.create_listener(LoadBalancerArn=self.balancer, Protocol="HTTP", Port=80, DefaultActions=refuse)[
            "Listeners"
        ][0]["ListenerArn"]
        self.production = self._rule(listener, 100, PATHS)
        self.test = self._rule(listener, 99, HEADER, PATHS)
        trust = json.dumps({"Version": "2012-10-17", "Statement": [TRUST]})
        role = self.client("iam").create_role(RoleName="traffic", AssumeRolePolicyDocument=trust)
        self.role = role["Role"]["Arn"]

    def _rule(self, listener: str, priority: int, *conditions: dict[str, Any]) -> str:
        groups = [{"TargetGroupArn": self.arn, "Weight": 100}, {"TargetGroupArn": self.other, "Weight": 0}]
        actions = [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]
        created = self.client("elbv2").create_rule(
            ListenerArn=listener, Priority=priority, Conditions=list(conditions), Actions=actions
        )
        return str(created["Rules"][0]["RuleArn"])

    def balanced(self, **advanced: str) -> list[dict[str, Any]]:
        configuration = {
            "alternateTargetGroupArn": self.other,
            "productionListenerRule": self.production,
            "testListenerRule": self.test,
            "roleArn": self.role,
            **advanced,
        }
        kept = {name: value for name, value in configuration.items() if value}
        base = {"targetGroupArn": self.arn, "containerName": "app", "containerPort": 80}
        return [{**base, "advancedConfiguration": kept}]

    def begin(self, **configuration: Any) -> None:
        self.create(
            self.define(), loadBalancers=self.balanced(), deploymentConfiguration={**BLUE_GREEN, **configuration}
        )
        until(self.steady)

    def release(self, **settings: Any) -> str:
        definition = self.define(image="app:2")
        self.client("ecs").update_service(cluster="dev", service="app", taskDefinition=definition, **settings)
        return definition

    def weights(self, rule: str) -> dict[str, int]:
        raw = self.client("elbv2").describe_rules(RuleArns=[rule])["Rules"][0]
        return {one["TargetGroupArn"]: one["Weight"] for one in raw["Actions"][0]["ForwardConfig"]["TargetGroups"]}

    def newest(self) -> dict[str, Any]:
        ecs = self.client("ecs")
        arn = ecs.list_service_deployments(cluster="dev", service="app")["serviceDeployments"][0]
        described = ecs.describe_service_deployments(serviceDeploymentArns=[arn["serviceDeploymentArn"]])
        return dict(described["serviceDeployments"][0])

    def waits_at(self, stage: str) -> bool:
        newest = self.newest()
        hooks = [hook["status"] for hook in newest.get("lifecycleHookDetails", ())]
        return newest.get("lifecycleStage") == stage and hooks == ["AWAITING_ACTION"]

    def answer(self, action: str) -> None:
        newest = self.newest()
        hook = newest["lifecycleHookDetails"][0]["hookId"]
        self.client("ecs").continue_service_deployment(
            serviceDeploymentArn=newest["serviceDeploymentArn"], hookId=hook, action=action
        )

    def running(self) -> dict[str, int]:
        """Running tasks by revision."""
        return {one["taskDefinition"].rpartition(":")[2]: one["runningCount"] for one in self.service()["deployments"]}


@pytest.fixture(autouse=True)
def short_bakes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(traffic_shift, "LONGEST_BAKE", 0.5)
    yield


@pytest.fixture
def system(strict: Client) -> TwoColours:
    return TwoColours(strict)


def test_a_release_takes_over_the_traffic_of_both_rules_and_the_groups_change_places(system: TwoColours) -> None:
    system.begin()
    assert system.weights(system.production) == {system.arn: 100, system.other: 0}

    system.release()
    until(system.steady)

    assert system.weights(system.production) == {system.other: 100, system.arn: 0}
    assert system.weights(system.test) == {system.other: 100, system.arn: 0}
    assert system.service()["loadBalancers"][0]["targetGroupArn"] == system.arn
    assert system.newest()["status"] == "SUCCESSFUL"
    assert system.running() == {"2": 2}

    system.release()
    until(system.steady)

    assert system.weights(system.production) == {system.arn: 100, system.other: 0}


def test_a_pause_after_the_test_shift_keeps_clients_at_the_tasks_before(system: TwoColours) -> None:
    system.begin()
    system.release(deploymentConfiguration={"lifecycleHooks": [pause("POST_TEST_TRAFFIC_SHIFT")]})

    until(lambda: system.waits_at("POST_TEST_TRAFFIC_SHIFT"))

    assert system.weights(system.test) == {system.other: 100, system.arn: 0}
    assert system.weights(system.production) == {system.arn: 100, system.other: 0}
    assert system.running() == {"1": 2, "2": 2}
    system.answer("CONTINUE")
    until(system.steady)
    assert system.weights(system.production) == {system.other: 100, system.arn: 0}


@pytest.mark.parametrize("how", ["the pause", "StopServiceDeployment", "the time limit"])
def test_a_rollback_sends_clients_back_to_tasks_that_still_run(
    system: TwoColours, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "the time limit":
        monkeypatch.setattr(traffic_shift, "MINUTE", 0.01)
    system.begin()
    before = system.client("ecs").list_tasks(cluster="dev", serviceName="app")["taskArns"]
    system.release(deploymentConfiguration={"lifecycleHooks": [pause("POST_PRODUCTION_TRAFFIC_SHIFT")]})
    if how != "the time limit":
        until(lambda: system.waits_at("POST_PRODUCTION_TRAFFIC_SHIFT"))
        assert system.weights(system.production) == {system.other: 100, system.arn: 0}

    if how == "the pause":
        system.answer("ROLLBACK")
    elif how == "StopServiceDeployment":
        arn = system.newest()["serviceDeploymentArn"]
        system.client("ecs").stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")
    until(lambda: system.newest()["status"] == "ROLLBACK_SUCCESSFUL")

    assert system.weights(system.production) == {system.arn: 100, system.other: 0}
    assert system.weights(system.test) == {system.arn: 100, system.other: 0}
    assert system.client("ecs").list_tasks(cluster="dev", serviceName="app")["taskArns"] == before
    assert system.service()["taskDefinition"].endswith(":1")


def test_a_pause_whose_limit_says_continue_goes_on_by_itself(
    system: TwoColours, monkeypatch: pytest.MonkeyPatch
) -> None:
    system.begin()
    monkeypatch.setattr(traffic_shift, "MINUTE", 0.01)
    hooks = [pause("POST_PRODUCTION_TRAFFIC_SHIFT", action="CONTINUE")]
    system.release(deploymentConfiguration={"lifecycleHooks": hooks})

    until(system.steady)

    assert system.newest()["status"] == "SUCCESSFUL"


def test_the_first_release_pauses_too(system: TwoColours) -> None:
    hooks = [pause("POST_PRODUCTION_TRAFFIC_SHIFT")]
    system.create(
        system.define(),
        loadBalancers=system.balanced(),
        deploymentConfiguration={**BLUE_GREEN, "lifecycleHooks": hooks},
    )
    until(lambda: system.waits_at("POST_PRODUCTION_TRAFFIC_SHIFT"))

    system.answer("CONTINUE")
    until(system.steady)

    assert system.weights(system.production) == {system.arn: 100, system.other: 0}


def test_a_canary_gets_its_share_first(system: TwoColours) -> None:
    canary = {"canaryPercent": 10.0, "canaryBakeTimeInMinutes": 1}
    system.begin(strategy="CANARY", canaryConfiguration=canary)
    seen = []

    def done() -> bool:
        seen.append(system.weights(system.production)[system.other])
        return system.steady() and system.running() == {"2": 2}

    system.release()
    until(done)

    assert list(dict.fromkeys(seen)) == [0, 10, 100]


def test_a_newer_release_takes_the_place_of_one_under_way(system: TwoColours) -> None:
    system.begin()
    system.release(deploymentConfiguration={"lifecycleHooks": [pause("POST_PRODUCTION_TRAFFIC_SHIFT")]})
    until(lambda: system.waits_at("POST_PRODUCTION_TRAFFIC_SHIFT"))
    first = system.newest()["serviceDeploymentArn"]

    system.release(deploymentConfiguration={"lifecycleHooks": []})
    until(system.steady)

    described = system.client("ecs").describe_service_deployments(serviceDeploymentArns=[first])
    assert described["serviceDeployments"][0]["status"] == "STOPPED"
    assert system.weights(system.production) == {system.other: 100, system.arn: 0}
    assert system.running() == {"3": 2}


def test_the_circuit_breaker_does_not_judge_such_a_deployment(system: TwoColours) -> None:
    breaker = {"enable": True, "rollback": True}
    system.begin(deploymentCircuitBreaker=breaker)

    system.release()

    assert system.newest()["deploymentCircuitBreaker"]["status"] == "DISABLED"


def test_a_service_with_more_tasks_starts_them_in_the_live_group(system: TwoColours) -> None:
    system.begin()
    system.release()
    until(system.steady)

    system.client("ecs").update_service(cluster="dev", service="app", desiredCount=3)
    until(lambda: system.service()["runningCount"] == 3)

    health = system.client("elbv2").describe_target_health(TargetGroupArn=system.other)
    assert len(health["TargetHealthDescriptions"]) == 3


@pytest.mark.parametrize(
    "advanced",
    [
        {"alternateTargetGroupArn": ""},
        {"productionListenerRule": ""},
        {"roleArn": ""},
        {"roleArn": "arn:aws:iam::123456789012:role/nobody"},
        {"testListenerRule": "arn:aws:elasticloadbalancing:ap-southeast-2:123456789012:listener-rule/app/a/b/c/d"},
        {"alternateTargetGroupArn": "arn:aws:elasticloadbalancing:ap-southeast-2:123456789012:targetgroup/x/1"},
    ],
    ids=lambda advanced: "-".join(f"{name} {value[:12]}" for name, value in advanced.items()),
)
def test_an_incomplete_balancer_is_refused(system: TwoColours, refused: Refused, advanced: dict[str, str]) -> None:
    with refused("InvalidParameterException"):
        system.create(
            system.define(), loadBalancers=system.balanced(**advanced), deploymentConfiguration=dict(BLUE_GREEN)
        )


@pytest.mark.parametrize(
    "configuration",
    [
        {"strategy": "BLUE_GREEN"},
        {**BLUE_GREEN, "lifecycleHooks": [pause("PRODUCTION_TRAFFIC_SHIFT")]},
        {**BLUE_GREEN, "lifecycleHooks": [pause("TEST_TRAFFIC_SHIFT")]},
        {**BLUE_GREEN, "lifecycleHooks": [pause("POST_TEST_TRAFFIC_SHIFT", minutes=20_161)]},
        {"strategy": "ROLLING", "lifecycleHooks": [pause("POST_TEST_TRAFFIC_SHIFT")]},
        {**BLUE_GREEN, "canaryConfiguration": {"canaryPercent": 10.0}},
        {"strategy": "CANARY", "canaryConfiguration": {"canaryPercent": 0.05}},
        {**BLUE_GREEN, "bakeTimeInMinutes": 1441},
    ],
    ids=str,
)
def test_a_configuration_outside_the_rules_is_refused(
    system: TwoColours, refused: Refused, configuration: dict[str, Any]
) -> None:
    with refused("InvalidParameterException"):
        system.create(system.define(), loadBalancers=system.balanced(), deploymentConfiguration=configuration)


def test_a_production_rule_that_names_one_group_is_refused(system: TwoColours, refused: Refused) -> None:
    alone = [{"Type": "forward", "TargetGroupArn": system.arn}]
    system.client("elbv2").modify_rule(RuleArn=system.production, Actions=alone)

    with refused("InvalidParameterException"):
        system.create(system.define(), loadBalancers=system.balanced(), deploymentConfiguration=dict(BLUE_GREEN))


def test_a_pause_that_does_not_wait_cannot_be_answered(system: TwoColours, refused: Refused) -> None:
    system.begin()
    arn = system.newest()["serviceDeploymentArn"]

    with refused("InvalidParameterException"):
        system.client("ecs").continue_service_deployment(serviceDeploymentArn=arn, hookId="unknown")
