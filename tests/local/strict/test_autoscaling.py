from __future__ import annotations

from typing import Any

import pytest

from support.emulated_service import System
from support.laptop import until
from support.strict_clients import Client, Refused

WHERE = {"ServiceNamespace": "ecs", "ResourceId": "service/dev/app", "ScalableDimension": "ecs:service:DesiredCount"}
CPU = {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}
TRACKING = {"TargetValue": 50.0, "PredefinedMetricSpecification": CPU}
POLICY: dict[str, Any] = {
    **WHERE,
    "PolicyName": "cpu",
    "PolicyType": "TargetTrackingScaling",
    "TargetTrackingScalingPolicyConfiguration": TRACKING,
}


@pytest.fixture
def system(strict: Client) -> System:
    found = System(strict)
    found.listen()
    found.create(found.define())
    return found


def test_a_scaling_policy_needs_a_target(moto: Client, strict: Client, system: System, refused: Refused) -> None:
    moto("application-autoscaling").put_scaling_policy(**POLICY)

    with refused("ObjectNotFoundException"):
        strict("application-autoscaling").put_scaling_policy(**POLICY)
    strict("application-autoscaling").register_scalable_target(**WHERE, MinCapacity=1, MaxCapacity=5)
    strict("application-autoscaling").put_scaling_policy(**POLICY)


def query(name: str, **more: Any) -> dict[str, Any]:
    metric = {"Namespace": "AWS/SQS", "MetricName": "ApproximateNumberOfMessagesVisible"}
    return {"Id": name, "MetricStat": {"Metric": metric, "Stat": "Sum"}, "ReturnData": False, **more}


RATIO = {"Id": "ratio", "Expression": "a / b", "ReturnData": True}
WRONG_METRICS = {
    "two results": [query("a", ReturnData=True), RATIO],
    "no result": [query("a"), query("b")],
    "one name twice": [query("a"), query("a"), RATIO],
    "a name that begins with a capital": [query("A"), RATIO],
    "an expression with a metric": [query("a", Expression="a")],
    "neither": [{"Id": "a"}],
}


@pytest.mark.parametrize("queries", WRONG_METRICS.values(), ids=WRONG_METRICS)
def test_metric_math_has_one_result_and_different_names(
    moto: Client, strict: Client, system: System, refused: Refused, queries: list[dict[str, Any]]
) -> None:
    strict("application-autoscaling").register_scalable_target(**WHERE, MinCapacity=1, MaxCapacity=5)

    def put(client: Client, queries: list[dict[str, Any]], **more: Any) -> None:
        tracking = {"TargetValue": 1.0, "CustomizedMetricSpecification": {"Metrics": queries}, **more}
        policy = {**POLICY, "TargetTrackingScalingPolicyConfiguration": tracking}
        client("application-autoscaling").put_scaling_policy(**policy)

    with refused("ValidationException"):
        put(strict, queries)
    with refused("ValidationException"):
        put(strict, [query("a"), query("b"), RATIO], PredefinedMetricSpecification=CPU)
    put(strict, [query("a"), query("b"), RATIO])


def test_a_higher_minimum_raises_the_desired_count_at_once(strict: Client, system: System) -> None:
    strict("application-autoscaling").register_scalable_target(**WHERE, MinCapacity=3, MaxCapacity=5)

    assert system.service()["desiredCount"] == 3
    until(lambda: system.service()["runningCount"] == 3)


def test_a_lower_maximum_lowers_the_desired_count_at_once(strict: Client, system: System) -> None:
    strict("application-autoscaling").register_scalable_target(**WHERE, MinCapacity=1, MaxCapacity=1)

    assert system.service()["desiredCount"] == 1


def test_plain_moto_keeps_the_desired_count(moto: Client) -> None:
    plain = System(moto)
    moto("ecs").create_service(cluster="dev", serviceName="app", taskDefinition=plain.define(), desiredCount=2)

    moto("application-autoscaling").register_scalable_target(**WHERE, MinCapacity=3, MaxCapacity=5)

    assert plain.service()["desiredCount"] == 2


def test_a_target_needs_an_active_service(moto: Client, strict: Client, system: System, refused: Refused) -> None:
    strict("ecs").delete_service(cluster="dev", service="app", force=True)
    moto("application-autoscaling").register_scalable_target(**WHERE, MinCapacity=1, MaxCapacity=5)

    with refused("ValidationException"):
        strict("application-autoscaling").register_scalable_target(**WHERE, MinCapacity=1, MaxCapacity=5)


def test_a_capacity_range_needs_both_limits_in_order(strict: Client, system: System, refused: Refused) -> None:
    with refused("ValidationException"):
        strict("application-autoscaling").register_scalable_target(**WHERE, MinCapacity=1)
    with refused("ValidationException"):
        strict("application-autoscaling").register_scalable_target(**WHERE, MinCapacity=5, MaxCapacity=1)


def test_the_policies_of_a_target_are_deleted_with_it(
    moto: Client, strict: Client, system: System, refused: Refused
) -> None:
    for client in (moto, strict):
        strict("application-autoscaling").register_scalable_target(**WHERE, MinCapacity=1, MaxCapacity=5)
        strict("application-autoscaling").put_scaling_policy(**POLICY)
        client("application-autoscaling").deregister_scalable_target(**WHERE)
        left = moto("application-autoscaling").describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]
        assert bool(left) == (client is moto)

    with refused("ObjectNotFoundException"):
        strict("application-autoscaling").deregister_scalable_target(**WHERE)


def test_a_policy_put_again_replaces_its_alarms(moto: Client, strict: Client, system: System) -> None:
    def alarms() -> int:
        return len(strict("cloudwatch").describe_alarms()["MetricAlarms"])

    strict("application-autoscaling").register_scalable_target(**WHERE, MinCapacity=1, MaxCapacity=5)
    for _ in range(3):
        strict("application-autoscaling").put_scaling_policy(**POLICY)
    assert alarms() == 2

    moto("application-autoscaling").put_scaling_policy(**POLICY)
    assert alarms() == 4
