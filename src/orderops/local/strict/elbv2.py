"""Load balancers: what AWS refuses of balancers, listeners, rules and logs, and the time that a balancer takes."""

from __future__ import annotations

from orderops.local.emulator import Emulator
from orderops.local.strict import elbv2_balancers, elbv2_listeners, elbv2_logs, elbv2_names
from orderops.local.strict.pace import Pace


def take_part(emulator: Emulator, pace: Pace) -> None:
    """Refuse what AWS refuses, and let balancers take their time."""
    for part in (elbv2_names, elbv2_balancers, elbv2_listeners, elbv2_logs):
        part.take_part(emulator, pace)
