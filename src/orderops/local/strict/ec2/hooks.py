"""EC2: a network that takes time to create and delete, and whose parts are not deleted while in use."""

from __future__ import annotations

from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.ec2 import arns as ec2_arns
from orderops.local.strict.ec2 import flow_logs as ec2_flow_logs
from orderops.local.strict.ec2 import groups as ec2_groups
from orderops.local.strict.ec2 import nat as ec2_nat
from orderops.local.strict.ec2 import network as ec2_network
from orderops.local.strict.ec2 import pages as ec2_pages
from orderops.local.strict.ec2 import routes as ec2_routes
from orderops.local.strict.ec2 import zones as ec2_zones


def register(emulator: Emulator, delays: Delays) -> None:
    """Reject what AWS rejects, and let resources be pending."""
    for module in (ec2_nat, ec2_network, ec2_routes, ec2_groups, ec2_flow_logs, ec2_pages, ec2_zones, ec2_arns):
        module.register(emulator, delays)
