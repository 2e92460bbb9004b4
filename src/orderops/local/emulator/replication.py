"""What DescribeDBInstances says of a replica's replication."""

from __future__ import annotations

from typing import Any

NOT_NORMAL = frozenset({"error", "terminated"})


def status_infos(instance: Any) -> list[dict[str, Any]]:
    """Return the StatusInfos of an instance: empty unless it is a replica that has begun to replicate."""
    status = instance.__dict__.get("replication_status", "")
    if not instance.is_replica or not status:
        return []
    return [{"StatusType": "read replication", "Normal": status not in NOT_NORMAL, "Status": status}]
