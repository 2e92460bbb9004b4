"""CloudWatch Logs: retention in the periods that AWS offers."""

from __future__ import annotations

from orderops.environment_values import LOG_DAYS
from orderops.local.emulator import Emulator
from orderops.local.strict.pace import Pace
from orderops.local.wire import Call, Refusal


def take_part(emulator: Emulator, pace: Pace) -> None:
    """Refuse what AWS refuses."""
    emulator.on_before("logs", "PutRetentionPolicy", _offered)


def _offered(call: Call) -> None:
    days = call.json.get("retentionInDays")
    if days not in LOG_DAYS:
        raise Refusal("InvalidParameterException", f"Invalid retentionInDays value: {days}")
