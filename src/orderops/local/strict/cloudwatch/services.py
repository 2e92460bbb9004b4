"""Metrics of target groups and services, read through the emulator, so that simulated and real tasks both count."""

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
from orderops.local.strict.cloudwatch.metrics import Measurement

STATE = re.compile(rb"<State>([\w.]+)</State>")
# Limit of DescribeServices.
SERVICES_PER_CALL = 10


class ServiceMetrics:
    """Reads other services with the identity of a CloudWatch request."""

    def __init__(self, emulator: Emulator, request: Request) -> None:
        self._emulator = emulator
        self._request = request

    def hosts(self) -> Iterator[Measurement]:
        """Yield the number of healthy and unhealthy targets of each group behind a balancer."""
        for group in list(get_backend("elbv2")[DEFAULT_ACCOUNT_ID][self._request.region].target_groups.values()):
            if not group.load_balancer_arns:
                continue
            parameters = {"Action": "DescribeTargetHealth", "Version": "2015-12-01", "TargetGroupArn": group.arn}
            states = Counter(STATE.findall(self._call("elasticloadbalancing", urlencode(parameters))))
            for balancer in group.load_balancer_arns:
                dimensions = (
                    ("TargetGroup", group.arn.rpartition(":")[2]),
                    ("LoadBalancer", balancer.rpartition(":loadbalancer/")[2]),
                )
                yield Measurement("AWS/ApplicationELB", "HealthyHostCount", dimensions, float(states[b"healthy"]))
                yield Measurement("AWS/ApplicationELB", "UnHealthyHostCount", dimensions, float(states[b"unhealthy"]))

    def tasks(self) -> Iterator[Measurement]:
        """Yield desired, running and pending tasks of each service, as Container Insights does."""
        backend = get_backend("ecs")[DEFAULT_ACCOUNT_ID][self._request.region]
        clusters: dict[str, list[str]] = {}
        for key in backend.services:
            cluster, _, service = key.partition(":")
            clusters.setdefault(cluster, []).append(service)
        for cluster, names in clusters.items():
            for start in range(0, len(names), SERVICES_PER_CALL):
                parameters = {"cluster": cluster, "services": names[start : start + SERVICES_PER_CALL]}
                response = self._call(
                    "ecs", json.dumps(parameters), "AmazonEC2ContainerServiceV20141113.DescribeServices"
                )
                yield from _counts(cluster, json.loads(response or b"{}"))

    def _call(self, service: str, body: str, target: str = "") -> bytes:
        content = body.encode()
        environ = {
            **self._request.environ,
            "wsgi.input": io.BytesIO(content),
            "CONTENT_LENGTH": str(len(content)),
            "CONTENT_TYPE": "application/x-amz-json-1.1" if target else "application/x-www-form-urlencoded",
            "HTTP_X_AMZ_TARGET": target,
            "HTTP_AUTHORIZATION": self._request.environ["HTTP_AUTHORIZATION"].replace("/monitoring/", f"/{service}/"),
        }
        try:
            response = self._emulator.decide(Request(environ))
        except ApiError:
            return b""
        return response.body if response.ok else b""


def _counts(cluster: str, document: dict[str, Any]) -> Iterator[Measurement]:
    for service in document.get("services", ()):
        if service["status"] == "INACTIVE":
            continue
        dimensions = (("ClusterName", cluster), ("ServiceName", service["serviceName"]))
        for name in ("Desired", "Running", "Pending"):
            count = float(service[f"{name.lower()}Count"])
            metric = f"{name}TaskCount"
            yield Measurement("ECS/ContainerInsights", metric, dimensions, count)
