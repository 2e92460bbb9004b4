"""How many requests of a target group were answered with an error, by the load balancer's metrics."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from orderops.aws.client import Aws
from orderops.aws.metrics import MetricQuery, read_metrics
from orderops.frozen import Frozen

METRICS = ("RequestCount", "HTTPCode_Target_5XX_Count")
FEWEST_ERRORS = 5
HIGHEST_SHARE = 0.05
"""The share of errors that the policy for alarms names, from which on somebody is woken."""
MINUTE = timedelta(minutes=1)


class Traffic(Frozen):
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
    dimensions = {
        "LoadBalancer": described["LoadBalancerArns"][0].rpartition(":loadbalancer/")[2],
        "TargetGroup": target_group_arn.rpartition(":")[2],
    }
    found = read_metrics(
        aws,
        [MetricQuery("AWS/ApplicationELB", metric, "Sum", dimensions) for metric in METRICS],
        period=MINUTE,
        start=since.replace(second=0, microsecond=0),
        end=until or datetime.now(UTC) + MINUTE,
    )
    requests, errors = (int(sum(value for _, value in points)) for points in found)
    return Traffic(requests, errors)
