"""How near a cold `orderops infra apply` comes to the critical path of what AWS needs.

    python benchmarks/critical_path.py

Every call takes 40 ms more than the emulator takes for it; the database is ready after 20 s, the NAT gateway after 4 s,
the balancer after 3 s. The critical path is the longest chain of dependencies, where each resource costs the calls that
AWS wants to make it as it is declared, one call to see it, and its readiness.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import cache

import boto3

from orderops.config.environment import load_environment
from orderops.engine.resource import Resource
from orderops.infra.stack import stack
from slow_aws import SlowAws, served

LATENCY = 0.04
READY_AFTER = {"rds-instance": 20.0, "ec2-nat-gateway": 4.0, "elbv2-load-balancer": 3.0}
CHANGES = {
    "ec2-vpc": 2,  # and its DNS host names
    "ec2-security-group": 3,  # and its rules in, and those out
    "iam-role": 2,  # and its policy
}
"""Calls that make a resource of a kind, where one create cannot take it all."""


def critical_path(resources: list[Resource], call: float) -> float:
    """Seconds that no order of work can save, when a call takes `call` seconds."""

    by_address = {resource.address: resource for resource in resources}

    @cache
    def until_ready(address: str) -> float:
        resource = by_address[address]
        own = (CHANGES.get(resource.kind, 1) + 1) * call + READY_AFTER.get(resource.kind, 0.0)
        return own + max((until_ready(need.address) for need in resource.needs()), default=0.0)

    return max(until_ready(address) for address in by_address)


def seconds_of_a_call(url: str) -> float:
    """What one call takes by itself, from client to client."""
    ec2 = boto3.client("ec2", "ap-southeast-2", endpoint_url=url, aws_access_key_id="t", aws_secret_access_key="t")
    ec2.describe_vpcs()
    begun = time.monotonic()
    for _ in range(10):
        ec2.describe_vpcs()
    return (time.monotonic() - begun) / 10


def main() -> None:
    """Apply dev to a slow AWS, and print both times and their ratio."""
    slow = SlowAws(LATENCY, READY_AFTER)
    with served(slow) as url:
        env = {
            **os.environ,
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
        orderops = [sys.executable, "-m", "orderops", "infra"]
        # the emulator loads a service at its first call, which AWS does not
        subprocess.run([*orderops, "plan", "--env", "dev"], env=env, check=False, capture_output=True)
        call = seconds_of_a_call(url)
        begun = time.monotonic()
        subprocess.run([*orderops, "apply", "--env", "dev", "--yes"], env=env, check=True, capture_output=True)
        took = time.monotonic() - begun
    least = critical_path(stack(load_environment("dev"), "123456789012").infra, call)
    print(f"critical path {least:.1f} s, cold apply {took:.1f} s, ratio {took / least:.2f}, {slow.calls} calls")


if __name__ == "__main__":
    main()
