"""CloudWatch Logs: only the retention periods that AWS offers."""

from __future__ import annotations

from orderops.local.emulator.protocol import ApiError, Request
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
    service_groups.register(emulator)


def _check_retention(request: Request) -> None:
    days = request.json.get("retentionInDays")
    if days not in RETENTION_DAYS:
        raise ApiError("InvalidParameterException", f"Invalid retentionInDays value: {days}")
