"""The description of an RDS instance: its state, its settings, and its role in the environment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ADDRESS, ENVIRONMENT, ROLE, Ownership, Tags, from_pairs
from orderops.engine.names import NameRule
from orderops.engine.resource import Observed, State
from orderops.frozen import replace
from orderops.resources.rds_deployment import GREEN, green_of, told_apart
from orderops.resources.rds_pending import pending_changes

KIND, REPLICA_KIND = "rds-instance", "rds-read-replica"
# The tag with the number of promotions so far. Of two instances with the primary's role, the greater number wins.
TERM = "orderops:term"
A_TERM = re.compile("[0-9]{1,18}")
SERVICE_SECRET = "orderops:service-secret"
"""The tag with the ARN of the secret whose role and password open the instance for the services."""
MASTER_SECRET = "orderops:master-secret"
"""The tag with the ARN of the secret of ours that holds the master user's password, where RDS does not manage it."""
SERVICE_IAM_USER = "orderops:service-iam-user"
"""The tag with the role that opens the instance for the services with tokens of IAM."""
IDENTIFIER = NameRule(63, r"[a-z](-?[a-z0-9])*", "lower-case letters, digits and single inner hyphens, a letter first")
PRIMARY, RESTORED, FORMER, REHEARSAL, DRILL = "primary", "restored", "former", "rehearsal", "drill"
"""The values of the role tag. An instance that was never part of a promotion has none."""
REPLICA = "replica"
"""What a read replica is called; it has no role tag."""
RESTORED_ROLES = (RESTORED, REHEARSAL, DRILL)
"""The roles with which instances are restored."""
DISPOSABLE = frozenset({REHEARSAL, DRILL})
"""The roles of restored instances that hold no data of their own."""
STOPPED = "stopped"
REPLICATING, TERMINATED = "replicating", "terminated"
"""Of the statuses of a replication (DBInstanceStatusInfo in the API reference)."""
USABLE = frozenset({"available", STOPPED, "storage-full", "storage-initialization", "storage-optimization"})
DEAD = frozenset({"failed", "insufficient-capacity", "modify-failed", "restore-error", "upgrade-failed"})
DEAD_PREFIXES = ("incompatible-", "inaccessible-encryption-credentials")
GOING = frozenset({"deleting", "delete-precheck"})
ZONES = ("AvailabilityZone", "SecondaryAvailabilityZone")
LIFECYCLE = "open-source-rds-extended-support-disabled"
TOLD_AS_ASKED = (
    "AllocatedStorage",
    "AutoMinorVersionUpgrade",
    "BackupRetentionPeriod",
    "CopyTagsToSnapshot",
    "DBInstanceClass",
    "DBName",
    "DeletionProtection",
    "Engine",
    "EngineLifecycleSupport",
    "EngineVersion",
    "MasterUsername",
    "MultiAZ",
    "PreferredBackupWindow",
    "PreferredMaintenanceWindow",
    "PubliclyAccessible",
    "StorageEncrypted",
    "StorageType",
)


def restored_name(source: str, role: str, moment: datetime) -> str:
    """Return the identifier of the instance that a restore to this point in time creates."""
    return f"{source}-{role}-{moment:%Y%m%d-%H%M%S}"


def is_restored_name(name: str, role: str) -> bool:
    """Return whether a restore of this role gives such identifiers to the instances that it creates."""
    return re.search(rf"-{re.escape(role)}-[0-9]{{8}}-[0-9]{{6}}\Z", name) is not None


def instances(aws: Aws, owner: Ownership) -> Iterator[Observed]:
    """The instances of an environment, or those that may be the one that `owner` names, with their effective roles.

    Without read replicas. After an interrupted promotion, two instances have the role of the primary; the last promoted
    one is the primary.
    """
    described = [(raw, tags_of(raw)) for raw in every(aws.rds.describe_db_instances, "DBInstances")]
    own = [(raw, tags) for raw, tags in described if not is_read_replica(raw, tags)]
    ids = {raw["DBInstanceIdentifier"]: raw["DbiResourceId"] for raw, _ in described}
    terms = _highest_terms(tags for _, tags in own)
    for raw, tags in own:
        name = raw["DBInstanceIdentifier"]
        if term_of(tags) < terms.get(_whose(tags), 0):
            tags = tags | former(name)
        if sought(name, tags, owner):
            found, green = observed_of(raw, tags), green_of(name, ids)
            beside = {"Green": green, "GreenResourceId": ids.get(green, "")}
            yield replace(found, properties={**found.properties, **beside})


def tags_of(raw: Mapping[str, Any]) -> dict[str, str]:
    """The tags of an instance, without those that RDS has copied for a blue/green deployment."""
    return told_apart(KIND, raw["DBInstanceIdentifier"], from_pairs(raw.get("TagList")))


def read_replicas(aws: Aws, owner: Ownership) -> Iterator[Observed]:
    """The read replicas of an environment, or those that may be the one that `owner` names."""
    for raw in every(aws.rds.describe_db_instances, "DBInstances"):
        tags = tags_of(raw)
        if is_read_replica(raw, tags) and sought(raw["DBInstanceIdentifier"], tags, owner):
            yield observed_replica(raw, tags)


def is_read_replica(raw: Mapping[str, Any], tags: Tags) -> bool:
    """Whether an instance replicates another one, or was created to and has been promoted outside of orderops."""
    # Green of the same major version is a physical replica of the database, and none of ours.
    if tags.get(ROLE) == GREEN:
        return False
    return bool(raw.get("ReadReplicaSourceDBInstanceIdentifier")) or tags.get(ADDRESS, "").startswith(
        f"{REPLICA_KIND}/"
    )


def replicas_of(aws: Aws, source: str) -> dict[str, str]:
    """The read replicas of an instance in this region, with their classes."""
    return {
        raw["DBInstanceIdentifier"]: raw["DBInstanceClass"]
        for raw in every(aws.rds.describe_db_instances, "DBInstances")
        if raw.get("ReadReplicaSourceDBInstanceIdentifier", "").rpartition(":")[2] == source
    }


def is_usable(aws: Aws, name: str) -> bool:
    """Whether an instance accepts connections, as far as its status says."""
    [raw] = aws.rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
    return raw["DBInstanceStatus"] in USABLE - {STOPPED}


def former(name: str) -> dict[str, str]:
    """The tags of an instance after another one was promoted."""
    return {ADDRESS: f"{KIND}/{name}-former", "Name": name, ROLE: FORMER}


def term_of(tags: Tags) -> int:
    """The number of promotions up to this instance; 0 for one that was never promoted."""
    term = tags.get(TERM, "")
    return int(term) if A_TERM.fullmatch(term) else 0


def _whose(tags: Tags) -> tuple[str, str]:
    return tags.get(ENVIRONMENT, ""), tags.get(ADDRESS, "")


def _highest_terms(tagged: Iterable[Tags]) -> dict[tuple[str, str], int]:
    terms: dict[tuple[str, str], int] = {}
    for tags in tagged:
        if ADDRESS in tags:
            terms[_whose(tags)] = max(term_of(tags), terms.get(_whose(tags), 0))
    return terms


def sought(name: str, tags: Tags, owner: Ownership) -> bool:
    """Match by tag as well as by name, since a promoted instance has another name."""
    if owner.name:
        return name == owner.name or tags.get(ADDRESS) == owner.address
    return name.startswith(owner.prefix) or tags.get(ENVIRONMENT) == owner.environment


def sought_backup(raw: Mapping[str, Any], owner: Ownership) -> bool:
    """Match like `sought`, and leave out backups whose tags say that they are another environment's.

    By its name, a database of dev-eu could be one of dev.
    """
    tags = from_pairs(raw.get("TagList"))
    ours = tags.get(ENVIRONMENT, owner.environment) == owner.environment
    return ours and sought(str(raw["DBInstanceIdentifier"]), tags, owner)


def observed_of(raw: Mapping[str, Any], tags: Tags) -> Observed:
    state, status = _condition(raw)
    endpoint = raw.get("Endpoint", {})
    pending = sorted(raw.get("PendingModifiedValues", {}))
    return Observed(
        raw["DBInstanceIdentifier"],
        {
            **_settings(raw),
            "Running": raw["DBInstanceStatus"] != STOPPED,
            "EndpointAddress": endpoint.get("Address"),
            "EndpointPort": endpoint.get("Port"),
            "MasterUserSecretArn": raw.get("MasterUserSecret", {}).get("SecretArn") or tags.get(MASTER_SECRET),
            "ServiceSecretArn": tags.get(SERVICE_SECRET, ""),
            "ReadReplicaDBInstanceIdentifiers": sorted(raw.get("ReadReplicaDBInstanceIdentifiers", ())),
            "ServiceIamUser": tags.get(SERVICE_IAM_USER, ""),
            # Without what waits for the maintenance window: until then, RDS refuses every token.
            "IamAuthenticationNow": bool(raw.get("IAMDatabaseAuthenticationEnabled")),
            "DBInstanceStatus": raw["DBInstanceStatus"],
            "Green": "",
            "GreenResourceId": "",
            "DbiResourceId": raw["DbiResourceId"],
            "InstanceCreateTime": raw.get("InstanceCreateTime"),
            "LatestRestorableTime": raw.get("LatestRestorableTime"),
            "AllocatedStorageNow": raw["AllocatedStorage"],
            "EngineVersionNow": raw["EngineVersion"],
            "DBInstanceClassNow": raw["DBInstanceClass"],
            "Zones": [zone for key in ZONES if (zone := raw.get(key))],
            "PendingModifiedValues": dict(raw.get("PendingModifiedValues", {})),
            "ParameterApplyStatus": next(
                (group["ParameterApplyStatus"] for group in raw.get("DBParameterGroups", ())), ""
            ),
        },
        tags,
        name=raw["DBInstanceIdentifier"],
        arn=raw["DBInstanceArn"],
        state=state,
        status=status,
        settling=f"{', '.join(pending)} to be changed" if pending else "",
        pending=pending_changes(raw),
    )


def observed_replica(raw: Mapping[str, Any], tags: Tags) -> Observed:
    """A replica is ready once it replicates; one whose replication breaks later is ready, and does not replicate."""
    observed, source = observed_of(raw, tags), raw.get("ReadReplicaSourceDBInstanceIdentifier")
    infos = [info for info in raw.get("StatusInfos", ()) if info.get("StatusType") == "read replication"]
    replication = infos[0]["Status"] if infos else ""
    state, status = observed.state, observed.status
    if state is State.READY and source and observed.properties["Running"]:
        if not replication:
            state, status = State.PENDING, "copying the primary"
        elif replication == TERMINATED:
            state, status = State.FAILED, "no longer replicated: RDS has terminated it"
    return replace(
        observed,
        properties={
            **observed.properties,
            "SourceDBInstanceIdentifier": source,
            "Replicating": replication == REPLICATING,
            "ReplicationStatus": replication,
            "ReplicationMessage": infos[0].get("Message", "") if infos else "",
        },
        state=state,
        status=status,
    )


def _settings(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, including pending ones: AWS has accepted them, and they need not be sent again."""
    pending = raw.get("PendingModifiedValues", {})
    # The emulator does not return the lifecycle support.
    now = {"EngineLifecycleSupport": LIFECYCLE, **raw, **pending}
    room = raw.get("MaxAllocatedStorage")
    return {
        **{key: now.get(key) for key in TOLD_AS_ASKED},
        "CACertificateIdentifier": now.get("CACertificateIdentifier"),
        "DedicatedLogVolume": bool(now.get("DedicatedLogVolume")),
        "Iops": now.get("Iops"),
        "MonitoringInterval": now.get("MonitoringInterval") or 0,
        "MonitoringRoleArn": now.get("MonitoringRoleArn") or None,
        "NetworkType": now.get("NetworkType"),
        "OptionGroupName": next(
            (membership["OptionGroupName"] for membership in raw.get("OptionGroupMemberships", ())), None
        ),
        "PerformanceInsightsKMSKeyId": now.get("PerformanceInsightsKMSKeyId") or None,
        "PerformanceInsightsRetentionPeriod": now.get("PerformanceInsightsRetentionPeriod") or None,
        "MaxAllocatedStorage": room if room and room > raw["AllocatedStorage"] else None,
        "ManageMasterUserPassword": bool(raw.get("MasterUserSecret")),
        "EnableIAMDatabaseAuthentication": now.get("IAMDatabaseAuthenticationEnabled", False),
        "StorageThroughput": now.get("StorageThroughput"),
        "EnablePerformanceInsights": raw.get("PerformanceInsightsEnabled"),
        "DatabaseInsightsMode": raw.get("DatabaseInsightsMode"),
        "EnableCloudwatchLogsExports": _log_exports(raw, pending.get("PendingCloudwatchLogsExports", {})),
        "DBSubnetGroupName": pending.get("DBSubnetGroupName") or raw.get("DBSubnetGroup", {}).get("DBSubnetGroupName"),
        "DBParameterGroupName": next(
            (group["DBParameterGroupName"] for group in raw.get("DBParameterGroups", ())), None
        ),
        "VpcSecurityGroupIds": sorted(
            group["VpcSecurityGroupId"] for group in raw.get("VpcSecurityGroups", ()) if group["Status"] != "removing"
        ),
        "Port": pending.get("Port") or raw.get("DbInstancePort") or raw.get("Endpoint", {}).get("Port"),
    }


def _log_exports(raw: Mapping[str, Any], pending: Mapping[str, Any]) -> list[str]:
    enabled = {*raw.get("EnabledCloudwatchLogsExports", ()), *pending.get("LogTypesToEnable", ())}
    return sorted(enabled - {*pending.get("LogTypesToDisable", ())})


def _condition(raw: Mapping[str, Any]) -> tuple[State, str]:
    """The status, and what AWS still works on while the status is `available`."""
    status = raw["DBInstanceStatus"]
    if status in GOING:
        return State.GOING, status
    if status in DEAD or status.startswith(DEAD_PREFIXES):
        return State.FAILED, status
    if status not in USABLE:
        return State.PENDING, status
    if raw.get("MasterUserSecret", {}).get("SecretStatus") == "creating":
        return State.PENDING, "creating the master secret"
    if any(group["Status"] in ("adding", "removing") for group in raw.get("VpcSecurityGroups", ())):
        return State.PENDING, "changing the security groups"
    if any(group["ParameterApplyStatus"] == "applying" for group in raw.get("DBParameterGroups", ())):
        return State.PENDING, "applying the parameter group"
    # A new port is applied without a window, and other resources use it.
    if "Port" in raw.get("PendingModifiedValues", {}):
        return State.PENDING, "changing the port"
    return State.READY, status
