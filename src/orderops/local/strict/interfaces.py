"""Who stands in a subnet, in a security group, or at a public address: AWS deletes none of these from under it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID


@dataclass(frozen=True)
class Interface:
    """A network interface; one that is left behind goes at `until`."""

    subnet: str
    vpc: str
    groups: frozenset[str]
    public: bool = False
    until: float = 0.0


def backend(service: str, region: str) -> Any:
    """What moto keeps of a service."""
    return get_backend(service)[DEFAULT_ACCOUNT_ID][region]


def interfaces(region: str) -> Iterator[Interface]:
    """Every interface of the account in this region."""
    ec2 = backend("ec2", region)
    for one in ec2.enis.values():
        groups = frozenset(group.id for group in one.group_set)
        yield Interface(one.subnet.id, one.subnet.vpc_id, groups, public=bool(one.public_ip))
    for balancer in backend("elbv2", region).load_balancers.values():
        yield from of_balancer(balancer)
    for database in backend("rds", region).databases.values():
        yield from _of_database(database)
    yield from (each for each in getattr(ec2, "left_behind", ()) if each.until > time.time())


def of_balancer(balancer: Any, until: float = 0.0) -> Iterator[Interface]:
    """One interface in every subnet of a balancer."""
    groups, public = frozenset(balancer.security_groups or ()), balancer.scheme != "internal"
    for subnet in balancer.subnets:
        yield Interface(subnet.id, subnet.vpc_id, groups, public, until)


def leave_behind(region: str, left: Iterable[Interface]) -> None:
    """Let interfaces outlive what they belonged to, until their time comes."""
    ec2 = backend("ec2", region)
    still = [each for each in getattr(ec2, "left_behind", ()) if each.until > time.time()]
    ec2.left_behind = [*still, *left]


def _of_database(database: Any) -> Iterator[Interface]:
    """In the subnets of its zone; a Multi-AZ one may stand in all."""
    group = getattr(database, "db_subnet_group", None)
    for subnet in group._subnets if group else ():
        if database.multi_az or subnet.availability_zone == database.availability_zone:
            yield Interface(subnet.id, subnet.vpc_id, frozenset(database.vpc_security_group_ids or ()))
