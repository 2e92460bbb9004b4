"""Network interfaces in subnets and security groups: AWS refuses to delete either while an interface uses it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.apigateway.store import link_records


@dataclass(frozen=True)
class Interface:
    """Network interface; one of a deleted balancer is released at `until`."""

    subnet: str
    vpc: str
    groups: frozenset[str]
    public: bool = False
    until: float = 0.0


def backend(service: str, region: str) -> Any:
    """Return moto's backend of a service."""
    return get_backend(service)[DEFAULT_ACCOUNT_ID][region]


def interfaces(region: str) -> Iterator[Interface]:
    """Yield every network interface in this region."""
    ec2 = backend("ec2", region)
    for eni in ec2.enis.values():
        groups = frozenset(group.id for group in eni.group_set)
        yield Interface(eni.subnet.id, eni.subnet.vpc_id, groups, public=bool(eni.public_ip))
    for balancer in backend("elbv2", region).load_balancers.values():
        yield from balancer_interfaces(balancer)
    yield from _of_links(ec2, region)
    for database in backend("rds", region).databases.values():
        yield from _of_database(database)
    yield from (interface for interface in getattr(ec2, "retained_interfaces", ()) if interface.until > time.time())


def balancer_interfaces(balancer: Any, until: float = 0.0) -> Iterator[Interface]:
    """Yield one interface for each subnet of a balancer."""
    groups, public = frozenset(balancer.security_groups or ()), balancer.scheme != "internal"
    for subnet in balancer.subnets:
        yield Interface(subnet.id, subnet.vpc_id, groups, public, until)


def retain_interfaces(region: str, interfaces_left: Iterable[Interface]) -> None:
    """Keep interfaces until their time, after their owner is deleted."""
    ec2 = backend("ec2", region)
    remaining = [interface for interface in getattr(ec2, "retained_interfaces", ()) if interface.until > time.time()]
    ec2.retained_interfaces = [*remaining, *interfaces_left]


def _of_links(ec2: Any, region: str) -> Iterator[Interface]:
    """Yield one interface for each subnet of each VPC link, until its deletion is over."""
    for link in link_records(region).values():
        for id in link["subnetIds"]:
            yield Interface(id, ec2.get_subnet(id).vpc_id, frozenset(link["securityGroupIds"]))


def _of_database(database: Any) -> Iterator[Interface]:
    """Yield an interface in the subnets of the instance's zone; a Multi-AZ instance may use all."""
    group = getattr(database, "db_subnet_group", None)
    for subnet in group._subnets if group else ():
        if database.multi_az or subnet.availability_zone == database.availability_zone:
            yield Interface(subnet.id, subnet.vpc_id, frozenset(database.vpc_security_group_ids or ()))
