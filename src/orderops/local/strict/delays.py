"""How long things take that take minutes on AWS."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Delays:
    """Seconds: short enough for a laptop, long enough that nobody finds things ready at once."""

    network: float = 0.2
    """Until a VPC or a NAT gateway is available, or gone."""

    task: float = 0.2
    """Until a task on paper runs, until it is healthy, and until it is drained."""

    queue_name: float = 1.0
    """For which the name of a deleted queue cannot be used again."""

    database: float = 0.4
    """Until a database instance is made, changed, or gone."""

    backup_lag: float = 0.5
    """By how much the latest time to which a database can be restored lies behind the clock."""

    role: float = 0.5
    """Until the services that assume a new role know it."""

    secret: float = 0.3
    """Until the name of a secret that was deleted without recovery is free."""

    balancer: float = 0.2
    """Until a load balancer is active."""

    interfaces: float = 0.15
    """Until the network interfaces of a load balancer that is gone are given back."""

    alarm: float = 0.5
    """For which an alarm stays as it was put or set, before its data count."""
