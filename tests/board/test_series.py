"""The metrics of 24 hours, as CloudWatch has them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from orderops.board.series import read_series
from support.recorded_history import Dev

pytest_plugins = ["support.recorded_history_fixtures"]

# A whole period of five minutes, an hour ago: after it, nothing of now is in between.
PERIOD = datetime.fromtimestamp(datetime.now(UTC).timestamp() // 300 * 300 - 3600, UTC)
INDEX = 288 - 12
SERVICE = "order-processor"


def put(dev: Dev, namespace: str, metric: str, dimensions: dict[str, str], *values: float) -> None:
    pairs = [{"Name": name, "Value": value} for name, value in dimensions.items()]
    data: list[dict[str, Any]] = [
        {"MetricName": metric, "Dimensions": pairs, "Timestamp": PERIOD + timedelta(seconds=30), "Value": value}
        for value in values
    ]
    dev.workspace.aws.cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)


def of_group(dev: Dev) -> dict[str, str]:
    [group] = dev.workspace.aws.elbv2.describe_target_groups()["TargetGroups"]
    return {
        "LoadBalancer": group["LoadBalancerArns"][0].rpartition(":loadbalancer/")[2],
        "TargetGroup": group["TargetGroupArn"].rpartition(":")[2],
    }


def values_of(dev: Dev) -> dict[str, float | None]:
    """The values of that period, read an hour later."""
    [service] = read_series(dev.workspace, PERIOD + timedelta(hours=1, seconds=10)).services
    assert {len(values) for values in service.values.values()} == {288}
    return {name: values[INDEX] for name, values in service.values.items()}


def test_the_metrics_of_a_period_are_read_with_one_call(dev: Dev) -> None:
    group = of_group(dev)
    put(dev, "AWS/ApplicationELB", "RequestCount", group, 150, 50)
    put(dev, "AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", group, 10)
    put(dev, "AWS/ApplicationELB", "TargetResponseTime", group, 0.25)
    put(dev, "AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": f"orderops-dev-{SERVICE}-queue"}, 7, 12)
    tasks = {"ClusterName": "orderops-dev-cluster", "ServiceName": f"orderops-dev-{SERVICE}"}
    put(dev, "ECS/ContainerInsights", "RunningTaskCount", tasks, 2, 1)
    put(dev, "ECS/ContainerInsights", "DesiredTaskCount", tasks, 2)

    values = values_of(dev)

    # 200 requests in five minutes, ten of which failed.
    assert values["requests"] == 40
    assert values["errors"] == 5
    assert values["latency"] == 0.25
    assert (values["waiting"], values["running"], values["wanted"]) == (12, 1, 2)


def test_no_data_is_a_gap_and_no_error_among_requests_is_zero(dev: Dev) -> None:
    assert values_of(dev)["requests"] is None
    assert values_of(dev)["errors"] is None

    put(dev, "AWS/ApplicationELB", "RequestCount", of_group(dev), 5)

    # The load balancer sends no data point for a count of zero.
    assert values_of(dev)["errors"] == 0


def test_without_a_load_balancer_the_rest_is_read(dev: Dev) -> None:
    elbv2 = dev.workspace.aws.elbv2
    [balancer] = elbv2.describe_load_balancers()["LoadBalancers"]
    for listener in elbv2.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]:
        elbv2.delete_listener(ListenerArn=listener["ListenerArn"])
    elbv2.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])

    assert set(values_of(dev)) == {"waiting", "running", "wanted"}
