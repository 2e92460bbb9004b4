"""EC2: a network that takes time to come and to go, and that nothing is taken away from while something uses it."""

from __future__ import annotations

from orderops.local.emulator import Emulator
from orderops.local.strict import ec2_flow_logs, ec2_groups, ec2_nat, ec2_network, ec2_pages, ec2_routes
from orderops.local.strict.pace import Pace


def take_part(emulator: Emulator, pace: Pace) -> None:
    """Refuse what AWS refuses, and let things be pending."""
    for part in (ec2_nat, ec2_network, ec2_routes, ec2_groups, ec2_flow_logs, ec2_pages):
        part.take_part(emulator, pace)
