"""ARNs of security groups and their rules in the partition of the region; moto builds all of them with `aws`."""

from __future__ import annotations

from dataclasses import replace

from moto.utilities.utils import get_partition

from orderops.local.emulator.protocol import Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays

MOTO_PREFIX = b":".join((b"arn", b"aws", b"ec2", b""))
ACTIONS = ("CreateSecurityGroup", "DescribeSecurityGroups", "DescribeSecurityGroupRules")


def register(emulator: Emulator, _delays: Delays) -> None:
    """Correct the ARNs in responses."""
    for action in ACTIONS:
        emulator.on_after("ec2", action, _correct)


def _correct(request: Request, response: Response) -> Response:
    right = f"arn:{get_partition(request.region)}:ec2:".encode()
    return replace(response, body=response.body.replace(MOTO_PREFIX, right))
