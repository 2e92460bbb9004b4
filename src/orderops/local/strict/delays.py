"""Durations of operations that take minutes on AWS."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Delays:
    """Delays in seconds: short enough for tests, long enough that nothing is ready immediately."""

    network: float = 0.2
    """Until a VPC or a NAT gateway is available, or deleted."""

    task: float = 0.2
    """Until a simulated task runs, until it is healthy, and until it is drained."""

    queue_name: float = 1.0
    """Until the name of a deleted queue is free (60 s on AWS)."""

    purge: float = 1.0
    """Until the messages of a queue may be deleted again (60 s on AWS)."""

    listing: float = 0.3
    """Until a listing shows that a secret, queue or role was created or deleted (5 min and 1 min on AWS)."""

    database: float = 0.4
    """Until a database instance is created, changed or deleted."""

    backup_lag: float = 0.5
    """How far the latest restorable time is behind the clock (5 min on AWS)."""

    schedule_group: float = 0.2
    """Until a deleted group of schedules is gone."""

    role: float = 0.5
    """Until other services know a new role."""

    secret: float = 0.3
    """Until the name of a secret deleted without recovery is free."""

    balancer: float = 0.2
    """Until a load balancer is active."""

    interfaces: float = 0.15
    """Until the network interfaces of a deleted load balancer are released."""

    link: float = 0.2
    """Until a VPC link is available, or deleted (2 to 10 min on AWS)."""

    domain: float = 0.2
    """Until a domain name of API Gateway has taken on its settings (minutes on AWS)."""

    rest_api: float = 0.3
    """Until a further REST API of the account may be deleted (30 s on AWS)."""

    certificate: float = 0.2
    """Until a new certificate shows the records to make, and until one whose records exist is issued (minutes)."""

    alarm: float = 0.5
    """Until an alarm that was put or set follows its data."""

    web_acl: float = 0.2
    """Until a new web ACL can be associated, and until one that was taken away counts as unused (minutes on AWS)."""

    trail: float = 0.0
    """Until LookupEvents shows a call (5 to 15 min on AWS)."""

    trail_pause: float = 0.5
    """Until one more call of LookupEvents is answered, after two at once; as on AWS."""
