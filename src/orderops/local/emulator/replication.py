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


def promote(backend: Any, replica: Any) -> None:
    """Make a replica's record one of its own, with backups for as many days as its promotion asked for."""
    source = backend.databases.get(replica.source_db_instance_identifier)
    if source is not None:
        # Its data has the password of the source, which only the source's record knows.
        replica._master_user_password = source.__dict__.get("_master_user_password")
        # Set again, it would replace one that SQL has given to the source since.
        replica.applied_credentials = (replica.master_username, replica._master_user_password)
        if replica.db_instance_identifier in source.replicas:
            source.remove_replica(replica)
    replica.is_replica, replica.source_db_instance_identifier = False, None
    replica.backup_retention_period = replica.__dict__.pop("promotion", None) or 0
    replica.replication_status = ""
