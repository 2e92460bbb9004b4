"""Load balancers: errors for balancers, listeners, rules and logs, and the time that a balancer takes."""

from __future__ import annotations

from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.elbv2 import associations as elbv2_associations
from orderops.local.strict.elbv2 import balancers as elbv2_balancers
from orderops.local.strict.elbv2 import listeners as elbv2_listeners
from orderops.local.strict.elbv2 import logs as elbv2_logs
from orderops.local.strict.elbv2 import names as elbv2_names


def register(emulator: Emulator, delays: Delays) -> None:
    """Reject what AWS rejects, and delay new balancers."""
    for module in (elbv2_names, elbv2_balancers, elbv2_listeners, elbv2_associations, elbv2_logs):
        module.register(emulator, delays)
