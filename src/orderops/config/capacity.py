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
# max_connections in the default parameter groups (RDS user guide, "Maximum number of database connections").
DEFAULT_MOST_CONNECTIONS = "LEAST({DBInstanceClassMemory/9531392},5000)"
# DBInstanceClassMemory is less than the memory of the class, since the operating system and RDS keep some, and no API
# says how much. Servers have shown 198 on 2 GiB, 413 on 4, 856 on 8, about 1700 on 16 and 3400 on 32; with these two,
# the estimate is below all of them.
KEPT_MEGABYTES, KEPT_SHARE = 250, 0.06
# Connections that are not for the services. A user that is no superuser cannot have 3 + 2 of them
# (superuser_reserved_connections, rds.rds_superuser_reserved_connections: repost.aws, "remaining connection slots are
# reserved"). RDS itself uses some 3, a migration 3, a comparison 2, psql and monitoring one each.
RESERVED_CONNECTIONS = 15
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
    if most is not None and pooled_connections(services) > most - RESERVED_CONNECTIONS:
        yield _too_many_connections(instance_class, most, services)


def pooled_connections(services: Mapping[str, ServiceConfig]) -> int:
    """The connections that all services together may open during a deployment."""
    return DURING_A_DEPLOYMENT * sum(service.max_tasks * service.pool_size for service in services.values())


def most_connections(instance_class: str, formula: str = DEFAULT_MOST_CONNECTIONS) -> int | None:
    """How many connections a server of that class surely allows, by its `max_connections` in RDS's words.

    None for a class of unknown memory, and for a formula that cannot be read.
    """
    text = "".join(formula.split())
    call = re.fullmatch(r"(LEAST|GREATEST|SUM)\((.+)\)", text)
    values = [_connections(value, instance_class) for value in (call[2].split(",") if call else [text])]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    if call and call[1] != "LEAST":
        return max(known) if call[1] == "GREATEST" else sum(known)
    return min(known)


def room_for_connections(most: int) -> str:
    """How many connections a server leaves for the services, in words."""
    left = max(0, most - RESERVED_CONNECTIONS)
    return f"about {most} and keeps {RESERVED_CONNECTIONS} for RDS, migrations and operators, which leaves {left}"


def _connections(value: str, instance_class: str) -> int | None:
    if value.isdigit():
        return int(value)
    share, gib = re.fullmatch(r"\{DBInstanceClassMemory/(\d+)\}", value), memory_gib(instance_class)
    if share is None or gib is None or not int(share[1]):
        return None
    return int((gib * 1024 - KEPT_MEGABYTES) * (1 - KEPT_SHARE) * 2**20 // int(share[1]))


def _too_many_connections(instance_class: str, most: int, services: Mapping[str, ServiceConfig]) -> Mistake:
    largest = max(services, key=lambda name: services[name].max_tasks * services[name].pool_size)
    declared = services[largest]
    # The key that the file changes; a default is in no line of it.
    key = "pool_size" if "pool_size" in declared.model_fields_set else "max_tasks"
    others = tuple(("services", name, key) for name in services for key in ("pool_size", "max_tasks"))
    rule = (
        f"all services open up to {pooled_connections(services)} database connections during a deployment "
        f"(2 x max_tasks x pool_size); a {instance_class} has {room_for_connections(most)}: "
        "lower pool_size or max_tasks, or choose a larger instance_class"
    )
    among = (*others, ("database", "instance_class"))
    return Mistake(("services", largest, key), getattr(declared, key), rule, among)


def memory_gib(instance_class: str) -> int | None:
    """The memory of an instance class in GiB; None for a class that is not known here."""
    match = re.fullmatch(r"db[.](?P<family>[tmr])\d+[a-z]*[.](?P<size>\w+)", instance_class)
    if match is None:
        return None
    times = re.fullmatch(r"(\d+)xlarge", match["size"])
    sizes = BURSTABLE if match["family"] == "t" else {"large": GIB_OF_LARGE[match["family"]]}
    sizes = {**sizes, "xlarge": 2 * sizes["large"]}
    return int(times[1]) * sizes["xlarge"] if times else sizes.get(match["size"])
