"""AWS WAF: errors for web ACLs, IP sets, associations and logs, and the time that an association takes."""

from __future__ import annotations

from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.wafv2 import acls, associations


def register(emulator: Emulator, delays: Delays) -> None:
    """Reject what AWS rejects."""
    for module in (acls, associations):
        module.register(emulator, delays)
