"""RDS blue/green deployment: a green instance of another version that follows the database until the switchover.

Sources: "Overview of Amazon RDS Blue/Green Deployments" and "Limitations and considerations" in the RDS user guide;
BlueGreenDeployment in the API reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ENVIRONMENT, Ownership, Tags, from_pairs, to_pairs
from orderops.engine.names import NameRule
from orderops.engine.resource import Observed, Outputs, Properties, Resource, State
from orderops.resources.rds_description import replicas_of

TO = "orderops:engine-version"
"""The tag of a deployment with the version that it leads to: until green is upgraded, RDS tells the one before."""
READY, SWITCHING, SWITCHED, GOING = "AVAILABLE", "SWITCHOVER_IN_PROGRESS", "SWITCHOVER_COMPLETED", "DELETING"
WORKING = frozenset({"PROVISIONING", SWITCHING})
BROKEN = frozenset({"INVALID_CONFIGURATION"})
LOGICAL = "rds.logical_replication"
TRUE = frozenset({"1", "on", "true", "yes"})


class RdsBlueGreenDeployment(Resource):
    """Deployment from the instance with the ARN `source` to `version`, a full one such as 17.4."""

    source: str
    version: str
    parameter_group: str

    kind: ClassVar[str] = "rds-blue-green-deployment"
    name_rule: ClassVar[NameRule | None] = NameRule(
        60, r"[A-Za-z](-?[A-Za-z0-9]+)*", "letters, digits and single inner hyphens, a letter first"
    )
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        # The source is at work on a change or a backup; a deployment that was deleted is listed for a while.
        {"InvalidDBInstanceState", "BlueGreenDeploymentNotFoundFault", "BlueGreenDeploymentAlreadyExistsFault"}
    )
    immutable: ClassVar[frozenset[str]] = frozenset({"EngineVersion"})
    timeout: ClassVar[timedelta] = timedelta(hours=24)
    typical_duration: ClassVar[timedelta] = timedelta(minutes=40)

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in every(aws.rds.describe_blue_green_deployments, "BlueGreenDeployments"):
            tags, name = from_pairs(raw.get("TagList")), raw["BlueGreenDeploymentName"]
            if name == owner.name or (not owner.name and tags.get(ENVIRONMENT) == owner.environment):
                yield _observed(raw, tags)

    def desired(self, outputs: Outputs) -> Properties:
        return {"EngineVersion": self.version}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.rds.create_blue_green_deployment(
            BlueGreenDeploymentName=self.name,
            Source=self.source,
            TargetEngineVersion=self.version,
            TargetDBParameterGroupName=self.parameter_group,
            Tags=[*owner.pairs, {"Key": TO, "Value": self.version}],
        )

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.rds.add_tags_to_resource(ResourceName=observed.arn, Tags=to_pairs(tags))

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        raise TypeError("the version of a deployment cannot be changed")

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        """Delete the deployment, and green with it; after the switchover the database that was green stays."""
        # RDS refuses to delete the target of a finished one.
        target = {} if observed.properties["Status"] == SWITCHED else {"DeleteTarget": True}
        aws.rds.delete_blue_green_deployment(BlueGreenDeploymentIdentifier=observed.id, **target)

    @classmethod
    def rollback_reason(cls, aws: Aws, observed: Observed) -> str:
        return str(observed.properties["StatusDetails"])


def deployment_name(prefix: str, resource_id: str) -> str:
    """The name of the deployment from an instance with this DbiResourceId, which no other instance ever has."""
    own = resource_id.removeprefix("db-")[:10].lower()
    return f"{prefix[: 59 - len(own)].rstrip('-')}-{own}"


def replicates_logically(aws: Aws, instance: Observed) -> bool:
    """Whether logical replication is in force, which RDS needs for another major version."""
    properties = instance.properties
    if properties["ParameterApplyStatus"] == "pending-reboot":
        return False
    read = aws.rds.describe_db_parameters
    # A value that equals the family's default is no value of a user's.
    for raw in every(read, "Parameters", DBParameterGroupName=properties["DBParameterGroupName"], Source="user"):
        if raw["ParameterName"] == LOGICAL:
            return str(raw.get("ParameterValue", "")).lower() in TRUE
    return False


def source_refusal(aws: Aws, instance: Observed) -> str:
    """Why RDS, or orderops, makes no deployment from this instance; "" if nothing is known."""
    if instance.properties["ManageMasterUserPassword"]:
        return "RDS makes no blue/green deployment of a database whose master password it manages"
    if replicas_of(aws, instance.id):
        return f"{instance.id} has read replicas, which orderops does not take along in a blue/green deployment"
    return ""


def _observed(raw: Mapping[str, Any], tags: Tags) -> Observed:
    status = raw["Status"]
    state = (
        State.PENDING
        if status in WORKING
        else State.GOING
        if status == GOING
        else State.FAILED
        if status in BROKEN
        else State.READY
    )
    return Observed(
        raw["BlueGreenDeploymentIdentifier"],
        {
            "EngineVersion": tags.get(TO, ""),
            "Source": raw.get("Source", ""),
            "Target": raw.get("Target", ""),
            "Status": status,
            "StatusDetails": raw.get("StatusDetails") or "",
        },
        tags,
        name=raw["BlueGreenDeploymentName"],
        arn=f"{raw['Source'].partition(':db:')[0]}:deployment:{raw['BlueGreenDeploymentIdentifier']}",
        state=state,
        status=_words(status),
    )


def _words(status: str) -> str:
    return status.lower().replace("_", " ")
