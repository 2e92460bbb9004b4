"""CloudWatch Logs: only the retention periods that AWS offers, and groups by a part of their names."""

from __future__ import annotations

import json

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.logs import service_groups

# Periods that PutRetentionPolicy accepts, from the CloudWatch Logs API reference.
RETENTION_DAYS = frozenset(
    {1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}
)


def register(emulator: Emulator, delays: Delays) -> None:
    """Reject what AWS rejects."""
    emulator.on_before("logs", "PutRetentionPolicy", _check_retention)
    emulator.on_before("logs", "DescribeLogGroups", _check_one_filter)
    emulator.on_after("logs", "DescribeLogGroups", _with_pattern)
    service_groups.register(emulator)


def _check_retention(request: Request) -> None:
    days = request.json.get("retentionInDays")
    if days not in RETENTION_DAYS:
        raise ApiError("InvalidParameterException", f"Invalid retentionInDays value: {days}")


def _check_one_filter(request: Request) -> None:
    if {"logGroupNamePrefix", "logGroupNamePattern"} <= request.json.keys():
        raise ApiError(
            "InvalidParameterException", "LogGroup name prefix and LogGroup name pattern are mutually exclusive"
        )


def _with_pattern(request: Request, response: Response) -> Response | None:
    """Leave out of moto's page, which knows no pattern, what does not contain it: upper and lower case differ."""
    pattern = request.json.get("logGroupNamePattern")
    if not pattern:
        return None
    document = json.loads(response.body)
    document["logGroups"] = [group for group in document["logGroups"] if pattern in group["logGroupName"]]
    return Response(response.status, json.dumps(document).encode(), response.headers)
