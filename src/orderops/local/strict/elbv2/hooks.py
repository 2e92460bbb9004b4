"""Load balancers: what AWS refuses of balancers, listeners, rules and logs, and the time that a balancer takes."""

from __future__ import annotations

from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.elbv2 import balancers as elbv2_balancers
from orderops.local.strict.elbv2 import listeners as elbv2_listeners
from orderops.local.strict.elbv2 import logs as elbv2_logs
from orderops.local.strict.elbv2 import names as elbv2_names


def take_part(emulator: Emulator, pace: Delays) -> None:
    """Refuse what AWS refuses, and let balancers take their time."""
    for part in (elbv2_names, elbv2_balancers, elbv2_listeners, elbv2_logs):
        part.take_part(emulator, pace)
