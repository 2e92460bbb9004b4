"""EC2: a network that takes time to come and to go, and that nothing is taken away from while something uses it."""

from __future__ import annotations

from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.ec2 import flow_logs as ec2_flow_logs
from orderops.local.strict.ec2 import groups as ec2_groups
from orderops.local.strict.ec2 import nat as ec2_nat
from orderops.local.strict.ec2 import network as ec2_network
from orderops.local.strict.ec2 import pages as ec2_pages
from orderops.local.strict.ec2 import routes as ec2_routes


def take_part(emulator: Emulator, pace: Delays) -> None:
    """Refuse what AWS refuses, and let things be pending."""
    for part in (ec2_nat, ec2_network, ec2_routes, ec2_groups, ec2_flow_logs, ec2_pages):
        part.take_part(emulator, pace)
