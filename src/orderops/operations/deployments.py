"""The blue/green deployments of an environment's database, as the account tells: under way, finished, and given up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orderops.aws.ownership import ADDRESS, Ownership
from orderops.engine.destroy import destroy
from orderops.engine.inventory import Inventory, Owned
from orderops.engine.reconcile import reconcile
from orderops.engine.resource import Observed
from orderops.engine.scheduler import OnWait
from orderops.engine.step import Step
from orderops.engine.task import RecentWrites
from orderops.infra.workspace import Workspace
from orderops.resources.rds_blue_green import SWITCHED, RdsBlueGreenDeployment
from orderops.resources.rds_deployment import green_of, held_by_green, is_old
from orderops.resources.rds_instance import RdsInstance
from orderops.resources.rds_versions import numbers
from orderops.restore.instances import load_instances


def open_deployment(workspace: Workspace, instance: Observed) -> Observed | None:
    """The deployment of ours from this instance that is not switched over; None if there is none."""
    found = _deployments(workspace)
    return next((item for item in found if item.properties["Source"] == instance.arn and not _is_over(item)), None)


def finished_deployments(workspace: Workspace, instance: Observed) -> list[Observed]:
    """The deployments of ours whose green instance is this one now."""
    found = _deployments(workspace)
    return [item for item in found if item.properties["Target"] == instance.arn and _is_over(item)]


def green_instance(workspace: Workspace, instance: Observed) -> Observed | None:
    """The green instance of the database; None if there is none."""
    found = {item.id: item for item in RdsInstance.listing(workspace.aws, Ownership(workspace.environment.name))}
    return found.get(green_of(instance.id, found))


def old_instances(workspace: Workspace, name: str) -> list[str]:
    """The instances that were this database before switchovers."""
    listed = RdsInstance.listing(workspace.aws, Ownership(workspace.environment.name))
    return sorted(item.id for item in listed if is_old(item.id, name))


def check_receives_schema(workspace: Workspace) -> None:
    """Raise OrderopsError while the database has a green instance that a change of schema or roles would not reach.

    RDS replicates rows to green of another major version; green of the same one is a physical copy.
    """
    primary = load_instances(workspace.aws, workspace.stack).primary
    if primary is None or not primary.observed.properties["Green"]:
        return
    deployment = open_deployment(workspace, primary.observed)
    versions = [primary.observed.properties["EngineVersionNow"]]
    versions += [deployment.properties["EngineVersion"]] if deployment else []
    # Of one that somebody made by hand, nothing tells the version until green is upgraded.
    if len(versions) == 1 or numbers(versions[0])[0] != numbers(versions[1])[0]:
        raise held_by_green(primary.name, primary.observed.properties["Green"])


def make_deployment(
    workspace: Workspace,
    resource: RdsBlueGreenDeployment,
    *,
    dry_run: bool,
    on_wait: OnWait = lambda *_: None,
    recent_writes: RecentWrites | None = None,
) -> Iterator[Step]:
    """Make a deployment, and wait until its green instance is ready; yield the step."""
    yield from reconcile(
        [resource], _inventory(workspace), dry_run=dry_run, on_wait=on_wait, recent_writes=recent_writes
    )


def delete_deployments(workspace: Workspace, found: Iterable[Observed], on_wait: OnWait) -> Iterator[Step]:
    """Delete deployments, and the green instances of those that are not switched over; yield the steps."""
    owned = [Owned(RdsBlueGreenDeployment, item, (item.tags or {})[ADDRESS]) for item in found]
    yield from destroy(owned, _inventory(workspace), on_wait=on_wait)


def _deployments(workspace: Workspace) -> list[Observed]:
    return list(RdsBlueGreenDeployment.listing(workspace.aws, Ownership(workspace.environment.name)))


def _is_over(deployment: Observed) -> bool:
    return bool(deployment.properties["Status"] == SWITCHED)


def _inventory(workspace: Workspace) -> Inventory:
    return Inventory(workspace.aws, workspace.environment.name, [RdsBlueGreenDeployment], workspace.environment.tags)
