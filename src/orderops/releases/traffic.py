"""How many requests of a target group were answered with an error, by the load balancer's metrics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from orderops.aws.client import Aws, every

METRICS = ("RequestCount", "HTTPCode_Target_5XX_Count")
FEWEST_ERRORS = 5
HIGHEST_SHARE = 0.05
"""The share of errors that the policy for alarms names, from which on somebody is woken."""
MINUTE = 60


@dataclass(frozen=True)
class Traffic:
    """Requests of some minutes, and how many of them the tasks answered with 5xx."""

    requests: int = 0
    errors: int = 0

    @property
    def is_bad(self) -> bool:
        """Whether there are more errors than single ones, and more than their highest share."""
        return self.errors >= FEWEST_ERRORS and self.errors > HIGHEST_SHARE * self.requests

    def __str__(self) -> str:
        return f"{self.errors} of {self.requests} requests answered with 5xx"


NO_TRAFFIC = Traffic()


def traffic(aws: Aws, target_group_arn: str, since: datetime, until: datetime | None = None) -> Traffic:
    """The traffic of a target group in whole minutes. Metrics of a load balancer arrive a minute or two late."""
    described = aws.elbv2.describe_target_groups(TargetGroupArns=[target_group_arn])["TargetGroups"][0]
    if not described["LoadBalancerArns"]:
        return NO_TRAFFIC
    dimensions = [
        {"Name": "LoadBalancer", "Value": described["LoadBalancerArns"][0].rpartition(":loadbalancer/")[2]},
        {"Name": "TargetGroup", "Value": target_group_arn.rpartition(":")[2]},
    ]
    queries = [
        {
            "Id": metric.lower(),
            "MetricStat": {
                "Metric": {"Namespace": "AWS/ApplicationELB", "MetricName": metric, "Dimensions": dimensions},
                "Period": MINUTE,
                "Stat": "Sum",
            },
        }
        for metric in METRICS
    ]
    counts = {
        result["Id"]: int(sum(result["Values"]))
        for result in every(
            aws.cloudwatch.get_metric_data,
            "MetricDataResults",
            MetricDataQueries=queries,
            StartTime=since.replace(second=0, microsecond=0),
            EndTime=until or datetime.now(UTC) + timedelta(seconds=MINUTE),
        )
    }
    requests, errors = (counts.get(metric.lower(), 0) for metric in METRICS)
    return Traffic(requests, errors)
