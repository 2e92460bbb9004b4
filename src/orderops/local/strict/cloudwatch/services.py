"""What balancers and services are told to be, as metrics: asked of whoever answers about them, paper or processes."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.emulator.protocol import ApiError, Request
from orderops.local.emulator.server import Emulator
from orderops.local.strict.cloudwatch.metrics import Measure

STATE = re.compile(rb"<State>([\w.]+)</State>")
SERVICES_A_CALL = 10


class ServiceMetrics:
    """Asks other services on behalf of one who looks at metrics."""

    def __init__(self, emulator: Emulator, call: Request) -> None:
        self._emulator = emulator
        self._call = call

    def hosts(self) -> Iterator[Measure]:
        """How many targets of each balanced group are healthy."""
        for group in list(get_backend("elbv2")[DEFAULT_ACCOUNT_ID][self._call.region].target_groups.values()):
            if not group.load_balancer_arns:
                continue
            asked = {"Action": "DescribeTargetHealth", "Version": "2015-12-01", "TargetGroupArn": group.arn}
            states = Counter(STATE.findall(self._ask("elasticloadbalancing", urlencode(asked))))
            for balancer in group.load_balancer_arns:
                place = (
                    ("TargetGroup", group.arn.rpartition(":")[2]),
                    ("LoadBalancer", balancer.rpartition(":loadbalancer/")[2]),
                )
                yield Measure("AWS/ApplicationELB", "HealthyHostCount", place, float(states[b"healthy"]))
                yield Measure("AWS/ApplicationELB", "UnHealthyHostCount", place, float(states[b"unhealthy"]))

    def tasks(self) -> Iterator[Measure]:
        """How many tasks each service wants and has, as Container Insights counts them."""
        backend = get_backend("ecs")[DEFAULT_ACCOUNT_ID][self._call.region]
        clusters: dict[str, list[str]] = {}
        for key in backend.services:
            cluster, _, service = key.partition(":")
            clusters.setdefault(cluster, []).append(service)
        for cluster, names in clusters.items():
            for start in range(0, len(names), SERVICES_A_CALL):
                asked = {"cluster": cluster, "services": names[start : start + SERVICES_A_CALL]}
                answer = self._ask("ecs", json.dumps(asked), "AmazonEC2ContainerServiceV20141113.DescribeServices")
                yield from _counts(cluster, json.loads(answer or b"{}"))

    def _ask(self, service: str, body: str, target: str = "") -> bytes:
        content = body.encode()
        environ = {
            **self._call.environ,
            "wsgi.input": io.BytesIO(content),
            "CONTENT_LENGTH": str(len(content)),
            "CONTENT_TYPE": "application/x-amz-json-1.1" if target else "application/x-www-form-urlencoded",
            "HTTP_X_AMZ_TARGET": target,
            "HTTP_AUTHORIZATION": self._call.environ["HTTP_AUTHORIZATION"].replace("/monitoring/", f"/{service}/"),
        }
        try:
            answer = self._emulator.decide(Request(environ))
        except ApiError:
            return b""
        return answer.body if answer.ok else b""


def _counts(cluster: str, told: dict[str, Any]) -> Iterator[Measure]:
    for service in told.get("services", ()):
        if service["status"] == "INACTIVE":
            continue
        place = (("ClusterName", cluster), ("ServiceName", service["serviceName"]))
        for name in ("Desired", "Running", "Pending"):
            count = float(service[f"{name.lower()}Count"])
            metric = f"{name}TaskCount"
            yield Measure("ECS/ContainerInsights", metric, place, count)
