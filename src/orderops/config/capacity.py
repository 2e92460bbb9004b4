"""Sums over all services that must fit: addresses of the private subnets, and connections of the database server."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network

from orderops.config.loader import Mistake
from orderops.config.network import NetworkConfig
from orderops.config.service import ServiceConfig

# AWS keeps five addresses of each subnet (VPC user guide, "Subnet sizing").
KEPT_BY_AWS = 5
# A rolling deployment runs the old and the new tasks together (maximumPercent 200).
DURING_A_DEPLOYMENT = 2
# Bytes of memory for each connection: the default of max_connections is DBInstanceClassMemory / 9531392, at most 5000
# (RDS user guide, "Maximum number of database connections").
BYTES_A_CONNECTION, MOST_CONNECTIONS = 9_531_392, 5000
# GiB of an instance class by family and size; twice as much with each doubling of the size. From "Hardware
# specifications for DB instance classes". Of a class that is not here, nothing is known.
BURSTABLE = {"micro": 1, "small": 2, "medium": 4, "large": 8, "xlarge": 16}
GIB_OF_LARGE = {"m": 8, "r": 16}


def capacity_mistakes(
    network: NetworkConfig, instance_class: str, services: Mapping[str, ServiceConfig]
) -> Iterator[Mistake]:
    """Sums of tasks and of connections that cannot fit."""
    private = network.subnets("private")
    room = sum(IPv4Network(cidr).num_addresses - KEPT_BY_AWS for cidr in private)
    tasks = DURING_A_DEPLOYMENT * sum(service.max_tasks for service in services.values())
    key = ("services", max(services, key=lambda name: services[name].max_tasks), "max_tasks")
    among = tuple(("services", name, "max_tasks") for name in services)
    if tasks > room:
        rule = f"all services run up to {tasks} tasks during a deployment; the private subnets have {room} addresses"
        yield Mistake(key, services[key[1]].max_tasks, rule, (*among, ("network", "cidr"), ("network", "zones")))
    most = most_connections(instance_class)
    # Twice as many during a deployment; but only this sum is certain to exceed the limit at full load.
    pools = sum(service.max_tasks * service.pool_size for service in services.values())
    if most is not None and pools > most:
        rule = (
            f"all services open up to {pools} database connections (max_tasks x pool_size); "
            f"a {instance_class} allows at most {most}"
        )
        yield Mistake(key, services[key[1]].max_tasks, rule, (*among, ("database", "instance_class")))


def most_connections(instance_class: str) -> int | None:
    """The most connections that an instance class can allow; None for a class of unknown memory."""
    # RDS takes some of the memory for itself, so a server allows fewer; this is what it can never exceed.
    gib = _gib(instance_class)
    return None if gib is None else min(gib * 2**30 // BYTES_A_CONNECTION, MOST_CONNECTIONS)


def _gib(instance_class: str) -> int | None:
    match = re.fullmatch(r"db[.](?P<family>[tmr])\d+[a-z]*[.](?P<size>\w+)", instance_class)
    if match is None:
        return None
    times = re.fullmatch(r"(\d+)xlarge", match["size"])
    sizes = BURSTABLE if match["family"] == "t" else {"large": GIB_OF_LARGE[match["family"]]}
    sizes = {**sizes, "xlarge": 2 * sizes["large"]}
    return int(times[1]) * sizes["xlarge"] if times else sizes.get(match["size"])
